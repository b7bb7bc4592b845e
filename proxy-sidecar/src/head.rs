//! Reads heads of HTTP/1.1 messages off a connection: bounded in bytes and fields, and strict, because what two readers
//! understand differently is how requests are smuggled.

use crate::fields::{Fields, Repeated};
use bytes::{Bytes, BytesMut};
use std::io;
use std::mem::MaybeUninit;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The most bytes of a head.
pub(crate) const HEAD_LIMIT: usize = 32 * 1024;

/// The most fields of a head.
pub(crate) const FIELD_LIMIT: usize = 128;

/// What a read makes room for; most heads fit.
const READ_SIZE: usize = 2048;

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("failed to read a head: the connection was closed before its first byte")]
    Closed,
    #[error("failed to read a head: the connection was closed in the middle of it")]
    Truncated,
    #[error("failed to read a head: it is longer than {HEAD_LIMIT} bytes")]
    TooLong,
    #[error("failed to read a head: it has more than {FIELD_LIMIT} fields")]
    TooManyFields,
    #[error("failed to read a head: it is malformed")]
    Malformed(#[source] httparse::Error),
    #[error("failed to read a head")]
    Read(#[source] io::Error),
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Bytes,
    /// The request target as it was sent.
    pub(crate) target: Bytes,
    /// The minor version: HTTP/1.x.
    pub(crate) version: u8,
    pub(crate) fields: Fields,
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) reason: Bytes,
    pub(crate) fields: Fields,
}

/// Reads until `buffer` holds a head, and takes that out of it. What follows it stays there.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Bytes, HeadError> {
    let mut searched = 0;
    loop {
        if let Some(end) = end_of_head(buffer, searched) {
            return match end > HEAD_LIMIT {
                true => Err(HeadError::TooLong),
                false => Ok(buffer.split_to(end).freeze()),
            };
        }
        if buffer.len() >= HEAD_LIMIT {
            return Err(HeadError::TooLong);
        }
        searched = buffer.len();
        buffer.reserve(READ_SIZE);
        if stream.read_buf(buffer).await.map_err(HeadError::Read)? == 0 {
            return Err(match buffer.is_empty() {
                true => HeadError::Closed,
                false => HeadError::Truncated,
            });
        }
    }
}

/// Where the head ends: behind the first empty line. Of the first `searched` bytes it is known that it does not end there.
fn end_of_head(buffer: &[u8], searched: usize) -> Option<usize> {
    // The line's end may be there already, and the empty line not.
    let from = searched.saturating_sub(2);
    memchr::memchr_iter(b'\n', &buffer[from..]).find_map(|at| {
        let next = from + at + 1;
        match &buffer[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

impl RequestHead {
    pub(crate) fn parse(head: &Bytes) -> Result<Self, HeadError> {
        let mut fields = [MaybeUninit::uninit(); FIELD_LIMIT];
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(head, &mut fields);
        complete(status)?;
        Ok(Self {
            method: part(head, request.method),
            target: part(head, request.path),
            version: request.version.unwrap_or_default(),
            fields: collect(head, request.headers),
        })
    }
}

impl ResponseHead {
    pub(crate) fn parse(head: &Bytes) -> Result<Self, HeadError> {
        let mut fields = [MaybeUninit::uninit(); FIELD_LIMIT];
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            head,
            &mut fields,
        );
        complete(status)?;
        Ok(Self {
            status: response.code.unwrap_or_default(),
            reason: part(head, response.reason),
            fields: collect(head, response.headers),
        })
    }
}

fn complete(status: httparse::Result<usize>) -> Result<(), HeadError> {
    match status {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        // Nothing but empty lines: the parser skips those before a head.
        Ok(httparse::Status::Partial) => Err(HeadError::Malformed(httparse::Error::NewLine)),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
        Err(error) => Err(HeadError::Malformed(error)),
    }
}

fn part(head: &Bytes, text: Option<&str>) -> Bytes {
    text.map_or_else(Bytes::new, |text| match text.is_empty() {
        // The parser's own constant, not a part of the head.
        true => Bytes::new(),
        false => head.slice_ref(text.as_bytes()),
    })
}

fn collect(head: &Bytes, headers: &[httparse::Header<'_>]) -> Fields {
    let mut fields = Fields::with_capacity(headers.len());
    for header in headers {
        let value = match header.value.trim_ascii() {
            [] => Bytes::new(),
            value => head.slice_ref(value),
        };
        fields.push(head.slice_ref(header.name.as_bytes()), value);
    }
    fields
}

/// How long a message's body is (RFC 9112, 6.3), as far as its fields say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyLength {
    Known(u64),
    Chunked,
    /// Until the connection is closed, where that is allowed; none in requests.
    Unsaid,
}

/// The fields that frame the body contradict each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AmbiguousLength;

impl From<Repeated> for AmbiguousLength {
    fn from(_: Repeated) -> Self {
        Self
    }
}

/// # Errors
/// [`AmbiguousLength`] for anything that two readers could understand differently.
pub(crate) fn body_length(fields: &Fields) -> Result<BodyLength, AmbiguousLength> {
    let length = fields.one("content-length")?;
    let coding = fields.one("transfer-encoding")?;
    match (length, coding) {
        (Some(_), Some(_)) => Err(AmbiguousLength),
        (None, None) => Ok(BodyLength::Unsaid),
        (None, Some(coding)) => match coding.eq_ignore_ascii_case(b"chunked") {
            true => Ok(BodyLength::Chunked),
            false => Err(AmbiguousLength),
        },
        (Some(length), None) => decimal(length).map(BodyLength::Known).ok_or(AmbiguousLength),
    }
}

/// Digits alone: no sign, which Rust's own parser would take.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
