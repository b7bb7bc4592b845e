//! One HTTP/1.1 exchange (RFC 9112) over TLS: a request, and the response's head.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::sync::Arc;

use tempfile::SpooledTempFile;
use url::Url;

use super::body::{Body, Framing};
use super::tls::TlsStream;
use super::{explain_io, socket, tls};
use crate::GitError;
use crate::session::Session;

/// Bytes of a response's head.
const HEAD_BYTES: u64 = 64 * 1024;
/// Headers in a response.
const HEADERS: usize = 128;
/// Interim responses (1xx) before the real one.
const INTERIM_RESPONSES: usize = 8;

/// A request: GET, or POST when there is a body.
pub(super) struct Request<'a> {
    pub(super) target: &'a Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<&'a mut SpooledTempFile>,
}

/// A response whose body is yet to be read.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) location: Option<String>,
    pub(super) body: Body,
}

/// Sends `request` on a connection of its own and reads the head of the response.
pub(super) fn exchange(session: &Arc<Session>, request: Request<'_>) -> Result<Response, GitError> {
    let mut stream = tls::wrap(session, socket::connect(session)?)?;
    let sent = send(&mut stream, request);
    let mut reader = BufReader::new(stream);
    let head = match sent {
        Ok(()) => receive(&mut reader),
        // A server that refuses a large body answers and hangs up while we are still writing.
        Err(error) if is_hang_up(&error) => receive(&mut reader).map_err(|_| error),
        Err(error) => Err(error),
    };
    let head = head.map_err(|error| explain_io(session, error))?;
    Ok(Response {
        status: head.status,
        content_type: head.content_type,
        location: head.location,
        body: Body::new(reader, head.framing),
    })
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn send(stream: &mut TlsStream, request: Request<'_>) -> io::Result<()> {
    let method = if request.body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {} HTTP/1.1\r\n", path_and_query(request.target));
    for (name, value) in request.headers {
        // Values were checked where they came in; a line end here would smuggle in a header.
        let value = value.replace(['\r', '\n'], " ");
        write!(head, "{name}: {value}\r\n").map_err(io::Error::other)?;
    }
    let Some(body) = request.body else {
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        return stream.flush();
    };
    let length = body.stream_position()?;
    body.rewind()?;
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes())?;
    io::copy(body, stream)?;
    stream.flush()
}

fn path_and_query(target: &Url) -> String {
    match target.query() {
        Some(query) => format!("{}?{query}", target.path()),
        None => target.path().to_owned(),
    }
}

/// What is kept of a response's head.
struct Head {
    status: u16,
    content_type: String,
    location: Option<String>,
    framing: Framing,
}

fn receive(reader: &mut impl BufRead) -> io::Result<Head> {
    for _ in 0..INTERIM_RESPONSES {
        let head = parse_head(&read_head(reader)?)?;
        if head.status >= 200 {
            return Ok(head);
        }
    }
    Err(invalid("only interim responses"))
}

/// Reads up to and including the empty line.
fn read_head(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut limited = reader.take(HEAD_BYTES);
    loop {
        let start = head.len();
        if limited.read_until(b'\n', &mut head)? == 0 {
            let ended = limited.limit() > 0;
            return Err(if ended {
                io::ErrorKind::UnexpectedEof.into()
            } else {
                invalid("the head is too long")
            });
        }
        if start > 0 && matches!(&head[start..], b"\r\n" | b"\n") {
            return Ok(head);
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let status = response
        .parse(bytes)
        .map_err(|_| invalid("the head cannot be parsed"))?;
    if status.is_partial() {
        return Err(invalid("the head is incomplete"));
    }
    let status = response.code.ok_or_else(|| invalid("no status"))?;
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
    };
    Ok(Head {
        status,
        content_type: header("content-type").unwrap_or_default(),
        location: header("location"),
        framing: framing(status, header("transfer-encoding"), header("content-length"))?,
    })
}

/// RFC 9112, section 6.3, for responses to GET and POST.
fn framing(status: u16, encoding: Option<String>, length: Option<String>) -> io::Result<Framing> {
    match (encoding, length) {
        _ if status < 200 || status == 204 || status == 304 => Ok(Framing::Ended),
        (Some(encoding), _) if encoding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked {
            left: 0,
            started: false,
        }),
        (Some(_), _) => Err(invalid("a transfer encoding that was not asked for")),
        (None, Some(length)) => length
            .parse()
            .map(Framing::Length)
            .map_err(|_| invalid("the length is not a number")),
        (None, None) => Ok(Framing::Close),
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the server's HTTP is malformed: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> io::Result<Head> {
        receive(&mut text.as_bytes())
    }

    #[test]
    fn a_head_is_read_after_interim_responses() {
        let parsed = head(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 301 Moved\r\nLocation: /x\r\ncontent-length: 7\r\n\r\n",
        )
        .unwrap();
        assert_eq!((parsed.status, parsed.location.as_deref()), (301, Some("/x")));
        assert_eq!(parsed.framing, Framing::Length(7));
    }

    #[test]
    fn malformed_heads_are_errors() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
        for text in [
            "",
            "\r\n",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0-x\r\n\r\n",
            endless.as_str(),
        ] {
            assert!(head(text).is_err(), "{:?}", &text[..text.len().min(20)]);
        }
        assert!(head("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n").is_err());
    }
}
