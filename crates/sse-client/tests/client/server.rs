//! Servers that say exactly what a test wants, byte by byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Far longer than anything takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What begins an event stream that ends with the connection.
pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A server on a port of its own.
pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// A client that has sent its request.
pub(crate) struct Peer {
    pub(crate) method: String,
    pub(crate) target: String,
    /// By lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) io: Box<dyn Io>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next connection, before it has said anything.
    pub(crate) async fn connection(&self) -> TcpStream {
        let accepted = timeout(DEADLINE, self.listener.accept()).await;
        accepted.expect("a client comes in time").unwrap().0
    }

    /// The next request.
    pub(crate) async fn accept(&self) -> Peer {
        Peer::read(self.connection().await).await
    }

    /// The next request, with an event stream as the answer.
    pub(crate) async fn accept_stream(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.send(STREAM).await;
        peer
    }

    /// The same, with the beginning of the stream.
    pub(crate) async fn accept_stream_with(&self, events: &str) -> Peer {
        let mut peer = self.accept_stream().await;
        peer.send(events).await;
        peer
    }

    /// Answers the next request with this and closes the connection.
    pub(crate) async fn answer(&self, response: impl AsRef<[u8]>) -> Peer {
        let mut peer = self.accept().await;
        peer.send(response).await;
        peer.io.shutdown().await.unwrap();
        peer
    }
}

impl Peer {
    /// Reads a request.
    pub(crate) async fn read(io: impl Io + 'static) -> Self {
        timeout(DEADLINE, Self::read_any_time(Box::new(io)))
            .await
            .expect("a request comes in time")
    }

    async fn read_any_time(mut io: Box<dyn Io>) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(io.read_u8().await.expect("the request has a head"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut words = lines.next().unwrap().split(' ').map(ToOwned::to_owned);
        let headers: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        io.read_exact(&mut body).await.unwrap();
        Self {
            method: words.next().unwrap(),
            target: words.next().unwrap(),
            headers,
            body,
            io,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(mut self) {
        let mut rest = [0; 64];
        let read = async { while matches!(self.io.read(&mut rest).await, Ok(1..)) {} };
        timeout(DEADLINE, read).await.expect("the client closes in time");
    }
}
