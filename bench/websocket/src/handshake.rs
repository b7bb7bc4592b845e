//! The opening handshake of RFC 6455, section 4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Appended to a client's key; the number stands in section 1.3.
const NUMBER: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What the load sends; nothing here is remembered between sessions that a random one would keep apart.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The most header fields of a request.
const MAX_FIELDS: usize = 64;

/// A client's request.
pub(crate) fn request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// What a server found at the beginning of a connection.
pub(crate) enum Request {
    /// More has to come.
    Partial,
    /// How many bytes it took, and what to answer.
    Whole(usize, String),
    /// No handshake.
    Refused,
}

/// Reads a request.
pub(crate) fn accept(input: &[u8]) -> Request {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(input) {
        Ok(httparse::Status::Partial) => Request::Partial,
        Ok(httparse::Status::Complete(length)) => {
            let key = request
                .headers
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
            key.map_or(Request::Refused, |key| Request::Whole(length, answer(key.value)))
        }
        Err(_) => Request::Refused,
    }
}

fn answer(key: &[u8]) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, NUMBER.as_bytes()].concat());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        STANDARD.encode(digest)
    )
}

/// The length of a server's answer when it is whole and says that the session is open.
pub(crate) enum Answer {
    /// More has to come.
    Partial,
    /// How many bytes it took.
    Open(usize),
    /// Another status than 101, or no HTTP.
    Refused,
}

/// Reads an answer.
pub(crate) fn answered(input: &[u8]) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(input) {
        Ok(httparse::Status::Partial) => Answer::Partial,
        Ok(httparse::Status::Complete(length)) if response.code == Some(101) => Answer::Open(length),
        _ => Answer::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_accepted() {
        let request = request("localhost", "/chat");
        let Request::Whole(length, answer) = accept(request.as_bytes()) else {
            unreachable!("it is whole");
        };
        assert_eq!(length, request.len());
        assert!(
            answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{answer}"
        );
        assert!(matches!(answered(answer.as_bytes()), Answer::Open(length) if length == answer.len()));
    }
}
