//! How clients come to a session.

use super::certificates::Authority;
use super::{PATIENCE, read_head};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2::Builder;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const HOST: &str = "chat.example.com";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The Secret with the listener's certificate.
const SECRET: &str = "own";

/// How clients reach a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transport {
    Http1,
    Http1OverTls,
    /// RFC 8441.
    Http2,
    Http2OverTls,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A client's end of a session.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    /// Moves the connection that the session is a stream of.
    _driver: JoinSet<()>,
}

impl Transport {
    pub(super) const ALL: [Self; 4] = [Self::Http1, Self::Http1OverTls, Self::Http2, Self::Http2OverTls];

    fn has_tls(self) -> bool {
        matches!(self, Self::Http1OverTls | Self::Http2OverTls)
    }

    /// The listener of a route that clients reach so; `folder` gets its Secret.
    pub(super) fn listener(self, port: u16, folder: &Path) -> Value {
        if !self.has_tls() {
            return json!({ "port": port });
        }
        Authority::new().write_secret(folder, SECRET, HOST);
        json!({ "port": port, "tls": { "secretRef": { "name": SECRET } } })
    }

    /// Asks for a session over `connection`.
    pub(super) async fn shake_hands(self, connection: TcpStream, folder: &Path) -> Client {
        let connection: Box<dyn Stream> = match self.has_tls() {
            true => Box::new(self.encrypt(connection, folder).await),
            false => Box::new(connection),
        };
        match self {
            Self::Http1 | Self::Http1OverTls => Client::upgrade(connection).await,
            Self::Http2 | Self::Http2OverTls => Client::open(connection).await,
        }
    }

    async fn encrypt(
        self,
        connection: TcpStream,
        folder: &Path,
    ) -> tokio_rustls::client::TlsStream<TcpStream> {
        let authority = std::fs::read(folder.join("secrets").join(SECRET).join("ca.crt")).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&authority).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![match self {
            Self::Http2OverTls => b"h2".to_vec(),
            _ => b"http/1.1".to_vec(),
        }];
        let name = ServerName::try_from(HOST).unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, connection);
        timeout(PATIENCE, connected).await.unwrap().unwrap()
    }
}

impl Client {
    async fn upgrade(mut stream: Box<dyn Stream>) -> Self {
        let request = format!(
            "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
        Self {
            stream,
            _driver: JoinSet::new(),
        }
    }

    async fn open(stream: Box<dyn Stream>) -> Self {
        let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
        let (mut requests, mut connection) = handshake.await.unwrap();
        // The server's settings say whether it takes extended CONNECT.
        while !connection.is_extended_connect_protocol_enabled() {
            futures::future::poll_immediate(&mut connection).await;
            tokio::task::yield_now().await;
        }
        let mut driver = JoinSet::new();
        driver.spawn(async move { connection.await.unwrap_or_default() });
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{HOST}/chat"))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-extensions", "permessage-deflate")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = requests.send_request(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let upgraded = hyper::upgrade::on(answer).await.unwrap();
        Self {
            stream: Box::new(TokioIo::new(upgraded)),
            _driver: driver,
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, sent).await.unwrap().unwrap();
    }

    pub(super) async fn expect(&mut self, bytes: &[u8]) {
        super::expect(&mut self.stream, bytes).await;
    }

    pub(super) async fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut read = [0; N];
        let result = timeout(PATIENCE, self.stream.read_exact(&mut read)).await;
        result.unwrap().unwrap();
        read
    }
}
