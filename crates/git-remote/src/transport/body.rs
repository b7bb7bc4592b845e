//! The body of an HTTP/1.1 response (RFC 9112, section 6), read as a stream.

use std::io::{self, BufRead, BufReader, Read};

use super::tls::TlsStream;

/// Bytes of a chunk-size line, extensions included, or of a trailer line.
const LINE_BYTES: u64 = 4096;
/// Lines of trailers; none means anything to us.
const TRAILER_LINES: usize = 64;

/// The rest of a response.
pub(super) struct Body<R = BufReader<TlsStream>> {
    reader: R,
    framing: Framing,
}

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `Content-Length`: bytes left.
    Length(u64),
    /// `Transfer-Encoding: chunked`: bytes left in the current chunk, and whether one has been read before.
    Chunked { left: u64, started: bool },
    /// Until the connection closes.
    Close,
    /// Nothing is left.
    Ended,
}

impl<R: BufRead> Body<R> {
    pub(super) fn new(reader: R, framing: Framing) -> Self {
        Self { reader, framing }
    }

    /// Reads the next chunk's size; the end of the body becomes [`Framing::Ended`].
    fn next_chunk(&mut self, started: bool) -> io::Result<()> {
        if started && !self.line()?.is_empty() {
            return Err(invalid("a chunk is longer than it said"));
        }
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let left = u64::from_str_radix(size, 16).map_err(|_| invalid("a chunk's size is not a number"))?;
        self.framing = Framing::Chunked { left, started: true };
        match left {
            0 => self.skip_trailers(),
            _ => Ok(()),
        }
    }

    fn skip_trailers(&mut self) -> io::Result<()> {
        for _ in 0..TRAILER_LINES {
            if self.line()?.is_empty() {
                self.framing = Framing::Ended;
                return Ok(());
            }
        }
        Err(invalid("there are too many trailers"))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.by_ref().take(LINE_BYTES).read_line(&mut line)?;
        let text = line
            .strip_suffix('\n')
            .ok_or_else(|| invalid("a line does not end"))?;
        Ok(text.trim_end_matches('\r').to_owned())
    }

    /// Reads at most `left` bytes, and fails when the connection ends before that.
    fn read_within(&mut self, buffer: &mut [u8], left: u64) -> io::Result<usize> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match self.reader.read(&mut buffer[..length])? {
            0 if length > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunked { left: 0, started } = self.framing {
            self.next_chunk(started)?;
        }
        match self.framing {
            Framing::Ended | Framing::Length(0) => Ok(0),
            Framing::Close => self.reader.read(buffer),
            Framing::Length(left) => {
                let count = self.read_within(buffer, left)?;
                self.framing = Framing::Length(left - count as u64);
                Ok(count)
            }
            Framing::Chunked { left, started } => {
                let count = self.read_within(buffer, left)?;
                self.framing = Framing::Chunked {
                    left: left - count as u64,
                    started,
                };
                Ok(count)
            }
        }
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

    const CHUNKED: Framing = Framing::Chunked {
        left: 0,
        started: false,
    };

    fn read(input: &str, framing: Framing) -> io::Result<String> {
        io::read_to_string(Body::new(input.as_bytes(), framing))
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        assert_eq!(read("abcdef", Framing::Length(4)).unwrap(), "abcd");
        assert_eq!(read("abcdef", Framing::Close).unwrap(), "abcdef");
        let chunks = "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest";
        assert_eq!(read(chunks, CHUNKED).unwrap(), "abc0123456789");
    }

    #[test]
    fn truncated_and_malformed_bodies_are_errors() {
        assert!(read("abc", Framing::Length(4)).is_err());
        for input in [
            "",
            "5\r\nabc",
            "x\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\r\n",
            "0\r\n",
            "-1\r\n",
        ] {
            assert!(read(input, CHUNKED).is_err(), "{input:?}");
        }
        assert!(read(&"1".repeat(10_000), CHUNKED).is_err());
    }
}
