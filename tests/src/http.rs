//! Just enough of HTTP to look at what a program on loopback serves.

use anyhow::{Context, Result};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The lines before the body.
    pub head: String,
    /// The body as text.
    pub body: String,
}

/// Sends one request to a port of loopback.
///
/// # Errors
/// Nobody listens, or what answers does not speak HTTP.
pub async fn request(method: &str, port: u16, path: &str, body: &str) -> Result<Answer> {
    tokio::time::timeout(LIMIT, converse(method, port, path, body))
        .await
        .context("no answer in time")?
}

async fn converse(method: &str, port: u16, path: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // Version 1.0, so that the answer is neither chunked nor followed by another.
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("an answer without a status")?
        .parse()?;
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
