//! Reads the body of a backend's answer, piece by piece, however its end is marked (RFC 9112, 6 and 7; RFC 9113, 8.1).

use crate::dial::BackendStream;
use crate::head::BodyLength;
use crate::http2::Held;
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long the body of an answer may take in all, until the client has it.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of a piece.
const PIECE: usize = 16 * 1024;

/// The most bytes of a line that says how long a chunk is, extensions included, and of all trailers.
const LINE_LIMIT: usize = 4096;

/// Why a body ends too early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("failed to read the body of the backend's answer")]
    Read(#[source] io::Error),
    #[error("failed to read the body of the backend's answer")]
    Http2(#[source] hyper::Error),
    #[error("failed to read the body of the backend's answer: it ends too early")]
    Truncated,
    #[error("failed to read the body of the backend's answer: a chunk is malformed")]
    Chunk,
    #[error("failed to relay the body of the backend's answer in time")]
    Timeout,
}

/// The body of an answer, by whichever version of HTTP it comes.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Http1(Box<BodyReader>),
    Http2(Held<Incoming>),
}

impl AnswerBody {
    /// How long it is, as far as that is known before.
    pub(crate) fn length(&self) -> BodyLength {
        match self {
            Self::Http1(reader) => reader.length,
            Self::Http2(body) => match body.io().size_hint().exact() {
                Some(length) => BodyLength::Known(length),
                None => BodyLength::Chunked,
            },
        }
    }

    /// The next piece; never empty. Nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Http1(reader) => reader.next().await,
            Self::Http2(body) => loop {
                let Some(frame) = body.io_mut().frame().await else {
                    return Ok(None);
                };
                match frame.map_err(BodyError::Http2)?.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    // Trailers may be discarded on the way (RFC 9110, 6.5.1), and those of a refusal have no reader.
                    Ok(_) | Err(_) => {}
                }
            },
        }
    }
}

/// A body of HTTP/1.1 that is being read.
#[derive(Debug)]
pub(crate) struct BodyReader {
    length: BodyLength,
    stream: BackendStream,
    buffer: BytesMut,
    state: State,
    /// Bytes of trailers so far.
    trailers: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// So many bytes of a body that says its length.
    Sized(u64),
    UntilClose,
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk's line.
    ChunkEnd,
    Trailers,
    Ended,
}

impl BodyReader {
    /// The body that follows a head. `buffer` holds what was read of it already.
    pub(crate) fn new(stream: BackendStream, buffer: BytesMut, length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Known(length) => State::Sized(length),
            BodyLength::Chunked => State::ChunkSize,
            BodyLength::Unsaid => State::UntilClose,
        };
        Self {
            length,
            stream,
            buffer,
            state,
            trailers: 0,
        }
    }

    /// The next piece; never empty. Nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.state {
                State::Sized(0) | State::Ended => return Ok(None),
                State::Sized(left) => {
                    let piece = self.piece(left).await?.ok_or(BodyError::Truncated)?;
                    self.state = State::Sized(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                State::UntilClose => return self.piece(u64::MAX).await,
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Chunk(left) => {
                    let piece = self.piece(left).await?.ok_or(BodyError::Truncated)?;
                    self.state = State::Chunk(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                State::ChunkSize => {
                    self.state = match chunk_size(&self.line().await?)? {
                        0 => State::Trailers,
                        size => State::Chunk(size),
                    }
                }
                State::ChunkEnd => match self.line().await?.is_empty() {
                    true => self.state = State::ChunkSize,
                    false => return Err(BodyError::Chunk),
                },
                State::Trailers => {
                    let line = self.line().await?;
                    self.trailers += line.len() + 1;
                    match line.is_empty() {
                        true => self.state = State::Ended,
                        false if self.trailers > LINE_LIMIT => return Err(BodyError::Chunk),
                        false => {}
                    }
                }
            }
        }
    }

    /// At most `most` bytes, as soon as there are any.
    async fn piece(&mut self, most: u64) -> Result<Option<Bytes>, BodyError> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// A line, without its end.
    async fn line(&mut self) -> Result<Bytes, BodyError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1);
                return match line.strip_suffix(b"\r") {
                    Some(text) => Ok(line.slice(..text.len())),
                    None => Err(BodyError::Chunk),
                };
            }
            if self.buffer.len() > LINE_LIMIT {
                return Err(BodyError::Chunk);
            }
            if !self.fill().await? {
                return Err(BodyError::Truncated);
            }
        }
    }

    /// Whether there was more.
    async fn fill(&mut self) -> Result<bool, BodyError> {
        self.buffer.reserve(PIECE);
        let count = self
            .stream
            .read_buf(&mut self.buffer)
            .await
            .map_err(BodyError::Read)?;
        Ok(count > 0)
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let digits = line[..end].trim_ascii_end();
    let is_number = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).map_err(|_| BodyError::Chunk)?;
    match is_number {
        true => u64::from_str_radix(text, 16).map_err(|_| BodyError::Chunk),
        false => Err(BodyError::Chunk),
    }
}
