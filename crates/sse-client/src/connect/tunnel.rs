//! Tunnels through proxies: CONNECT (RFC 9110, section 9.3.6).

use super::{Io, ProxyError};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the head of a proxy's answer may be.
const MAX_ANSWER_BYTES: usize = 8 * 1024;
const MAX_ANSWER_HEADERS: usize = 64;

/// Has the proxy at the other end of `io` connect to `authority`.
pub(super) async fn open(
    mut io: Box<dyn Io>,
    authority: &str,
    authorization: Option<&HeaderValue>,
) -> Result<Box<dyn Io>, ProxyError> {
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(value) = authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    io.write_all(&request).await.map_err(ProxyError::Talk)?;
    let status = answer(&mut io).await?;
    match status.is_success() {
        true => Ok(io),
        false => Err(ProxyError::Refused { status }),
    }
}

/// Reads the head of the answer. It reads no byte behind it: a server speaks TLS only after we have.
async fn answer(io: &mut Box<dyn Io>) -> Result<StatusCode, ProxyError> {
    let mut head = Vec::new();
    while head.len() < MAX_ANSWER_BYTES {
        let byte = io.read_u8().await.map_err(ProxyError::Talk)?;
        head.push(byte);
        if byte == b'\n'
            && let Some(status) = parse(&head)?
        {
            return Ok(status);
        }
    }
    Err(ProxyError::Answer)
}

fn parse(head: &[u8]) -> Result<Option<StatusCode>, ProxyError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_ANSWER_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(_)) => {
            let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
            status.ok_or(ProxyError::Answer).map(Some)
        }
        Err(_) => Err(ProxyError::Answer),
    }
}
