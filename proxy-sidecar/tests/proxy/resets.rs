//! Peers that break off without a word. Whatever carries their side of the session, and whatever is on its way meanwhile, the
//! other side is told, or given up if it takes nothing, within a second.

use crate::certificates::Authority;
use crate::http2;
use crate::stopwatch::{Stopwatch, unless_stuck};
use crate::support::{Backend, Peer, Proxy, manifest, request, switching, to};
use crate::tls::{self, backend_tls, client_config, listener_tls};
use crate::transcode::{ROUTE, publish};
use crate::wire::Wire;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long the proxy may wait until it has told the other side or given it up.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Nothing but the break ends a session before this.
const PATIENT: &str = "  timeouts: { close: 1m }";

const OPEN: &str = "heddle_websocket_sessions_open{namespace=\"default\",route=\"chat\"}";

/// Bytes of a message: a frame has two for the length of one so long.
const MESSAGE: usize = 16_000;

/// Who breaks off.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Client,
    Backend,
}

/// What carries its side of the session. The other side is HTTP/1.1 over TCP.
#[derive(Clone, Copy, PartialEq)]
enum Carrier {
    Tcp,
    Tls,
    Http2,
    Http2OverTls,
}

/// What it breaks off.
#[derive(Clone, Copy)]
enum Breaks {
    /// The TCP connection, beneath whatever is on it.
    Connection,
    /// The stream of HTTP/2.
    Stream,
}

/// What is on its way when it does.
#[derive(Clone, Copy, Debug)]
enum Traffic {
    Nothing,
    /// What it sent waits for the other side, who takes nothing: nobody reads from it then.
    FromIt,
    /// What was sent to it waits for itself.
    ToIt,
}

/// A connection whose socket is within reach.
trait Connection: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Connection for tokio_rustls::client::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Connection for tokio_rustls::server::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

type Stream = Box<dyn Connection>;

/// The side that breaks off.
enum End {
    Http1(Peer<Stream>),
    Http2(Wire<Stream>, u32),
}

impl End {
    async fn flood(&mut self, proxy: &Proxy, message: &[u8]) {
        match self {
            Self::Http1(peer) => flood(peer, proxy, message).await,
            Self::Http2(wire, stream) => wire.flood(*stream, proxy, message).await,
        }
    }

    /// Breaks off. What is left stays as it is.
    async fn break_off(self, what: Breaks) -> Option<Self> {
        match (self, what) {
            (Self::Http1(peer) | Self::Http2(Wire(peer), _), Breaks::Connection) => {
                peer.stream.socket().set_zero_linger().unwrap();
                None
            }
            (Self::Http2(mut wire, stream), Breaks::Stream) => {
                wire.cancel(stream).await;
                Some(Self::Http2(wire, stream))
            }
            (Self::Http1(_), Breaks::Stream) => unreachable!("HTTP/1.1 has no streams"),
        }
    }
}

/// Sends a message over and over, until nothing is taken any more.
async fn flood<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>, proxy: &Proxy, message: &[u8]) {
    let mut rest = message;
    while let Some(count) = unless_stuck(proxy, peer.stream.write(rest)).await {
        rest = &rest[count.unwrap()..];
        if rest.is_empty() {
            rest = message;
        }
    }
}

/// A message as `side` sends it, with a mask of zeros if it is the client.
fn message(side: Side, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let (mask_bit, mask): (u8, &[u8]) = match side {
        Side::Client => (0x80, &[0; 4]),
        Side::Backend => (0, &[]),
    };
    [&[0x81, mask_bit | 126], &length[..], mask, payload].concat()
}

/// A proxy between the two sides.
struct Scene {
    side: Side,
    carrier: Carrier,
    backend: Backend,
    authority: Authority,
    proxy: Proxy,
}

impl Scene {
    async fn new(side: Side, carrier: Carrier) -> Self {
        let (backend, authority) = (Backend::listen_narrow().await, Authority::new());
        let plain = |protocol| {
            let port = backend.port();
            format!("  backends: [{{ name: app, port: {port}, protocol: {protocol} }}]")
        };
        let backends = match (side, carrier) {
            (Side::Client, _) | (Side::Backend, Carrier::Tcp) => plain("HTTP/1.1"),
            (Side::Backend, Carrier::Http2) => plain("HTTP/2"),
            (Side::Backend, Carrier::Tls) => backend_tls(&backend, "HTTP/1.1"),
            (Side::Backend, Carrier::Http2OverTls) => backend_tls(&backend, "HTTP/2"),
        };
        let routes = |port| {
            let plain = manifest("chat", port, &format!("{backends}\n{PATIENT}"));
            match (side, carrier) {
                (Side::Client, Carrier::Tls | Carrier::Http2OverTls) => listener_tls(&plain, false),
                _ => plain,
            }
        };
        let prepare = |folder: &Path| authority.write_secret(folder, "own", "chat.example.com");
        let proxy = Proxy::start_with(routes, prepare).await;
        Self {
            side,
            carrier,
            backend,
            authority,
            proxy,
        }
    }

    /// One whose client is plain and whose messages are turned from JSON into protobuf.
    async fn that_transcodes() -> Self {
        let (backend, authority) = (Backend::listen_narrow().await, Authority::new());
        let prepare = |folder: &Path| publish(folder, "message Say { string text = 1; }");
        let arguments = |folder: &Path| {
            let file = folder.join("idl.binpb");
            vec!["--descriptors".into(), format!("idl={}", file.display())]
        };
        let route = format!("{ROUTE}\n{PATIENT}");
        let proxy = Proxy::start_as(|port| to(port, &backend, &route), prepare, arguments).await;
        Self {
            side: Side::Client,
            carrier: Carrier::Tcp,
            backend,
            authority,
            proxy,
        }
    }

    /// A session, as the side that breaks off and the other one, whose system keeps little of what it does not read.
    async fn session(&self) -> (End, Peer<TcpStream>) {
        match self.side {
            Side::Client => self.session_of_client().await,
            Side::Backend => self.session_of_backend().await,
        }
    }

    async fn session_of_client(&self) -> (End, Peer<TcpStream>) {
        let stream = self.connect().await;
        match self.carrier {
            Carrier::Tcp | Carrier::Tls => {
                let mut client = Peer::new(stream);
                client.send(request("/", "")).await;
                let (server, _) = http2::switch(&self.backend, "").await;
                assert_eq!(client.head().await.status(), 101);
                (End::Http1(client), server)
            }
            Carrier::Http2 | Carrier::Http2OverTls => {
                let mut wire = Wire::connect(stream).await;
                let stream = wire.ask().await;
                let (server, _) = http2::switch(&self.backend, "").await;
                assert_eq!(wire.headers().await, stream);
                (End::Http2(wire, stream), server)
            }
        }
    }

    async fn session_of_backend(&self) -> (End, Peer<TcpStream>) {
        let mut client = self.proxy.narrow_client().await;
        client.send(request("/", "")).await;
        let stream = self.accept().await;
        let end = match self.carrier {
            Carrier::Tcp | Carrier::Tls => {
                let mut server = Peer::new(stream);
                server.head().await;
                server.send(switching("")).await;
                End::Http1(server)
            }
            Carrier::Http2 | Carrier::Http2OverTls => {
                let mut wire = Wire::accept(stream).await;
                let stream = wire.headers().await;
                wire.switch(stream).await;
                End::Http2(wire, stream)
            }
        };
        assert_eq!(client.head().await.status(), 101);
        (end, client)
    }

    async fn connect(&self) -> Stream {
        let alpn: &[u8] = match self.carrier {
            Carrier::Tcp | Carrier::Http2 => return Box::new(self.proxy.client().await.stream),
            Carrier::Tls => b"http/1.1",
            Carrier::Http2OverTls => b"h2",
        };
        let config = client_config(&self.authority, None, alpn);
        Box::new(tls::connect(self.proxy.port, config).await.unwrap())
    }

    async fn accept(&self) -> Stream {
        let alpn: &[u8] = match self.carrier {
            Carrier::Tcp | Carrier::Http2 => return Box::new(self.backend.accept().await.stream),
            Carrier::Tls => b"http/1.1",
            Carrier::Http2OverTls => b"h2",
        };
        Box::new(tls::accept(&self.backend, &self.authority, alpn).await)
    }

    /// Has one side break off a session, with messages of `payload` on their way, and measures until that has come through.
    async fn breaks_off(self, what: Breaks, traffic: Traffic, payload: &[u8]) -> Duration {
        let (mut end, mut other) = self.session().await;
        let other_side = match self.side {
            Side::Client => Side::Backend,
            Side::Backend => Side::Client,
        };
        match traffic {
            Traffic::Nothing => {}
            Traffic::FromIt => end.flood(&self.proxy, &message(self.side, payload)).await,
            Traffic::ToIt => flood(&mut other, &self.proxy, &message(other_side, payload)).await,
        }
        self.proxy.until_metric(OPEN, 1.0).await;
        let stopwatch = Stopwatch::begin(&self.proxy);
        let _left = end.break_off(what).await;
        match traffic {
            Traffic::FromIt => self.proxy.until_metric(OPEN, 0.0).await,
            Traffic::Nothing | Traffic::ToIt => assert!(other.arrived().await && other.is_close()),
        }
        let waited = stopwatch.waited();
        drop(other);
        self.proxy.until_metric(OPEN, 0.0).await;
        waited
    }
}

/// Whatever is on its way, a break is noticed at once.
async fn is_noticed(side: Side, carrier: Carrier, what: Breaks) {
    for traffic in [Traffic::Nothing, Traffic::FromIt, Traffic::ToIt] {
        let scene = Scene::new(side, carrier).await;
        let waited = scene.breaks_off(what, traffic, &[b'x'; MESSAGE]).await;
        assert!(waited < AT_ONCE, "{traffic:?}: {waited:?}");
    }
}

#[tokio::test]
async fn a_client_that_resets_its_connection_is_noticed() {
    is_noticed(Side::Client, Carrier::Tcp, Breaks::Connection).await;
}

#[tokio::test]
async fn a_client_that_resets_its_connection_beneath_tls_is_noticed() {
    is_noticed(Side::Client, Carrier::Tls, Breaks::Connection).await;
}

#[tokio::test]
async fn a_client_in_http_2_that_cancels_its_stream_is_noticed() {
    is_noticed(Side::Client, Carrier::Http2, Breaks::Stream).await;
}

#[tokio::test]
async fn a_client_in_http_2_that_resets_its_connection_is_noticed() {
    is_noticed(Side::Client, Carrier::Http2, Breaks::Connection).await;
}

#[tokio::test]
async fn a_client_in_http_2_that_cancels_its_stream_over_tls_is_noticed() {
    is_noticed(Side::Client, Carrier::Http2OverTls, Breaks::Stream).await;
}

#[tokio::test]
async fn a_client_in_http_2_that_resets_its_connection_beneath_tls_is_noticed() {
    is_noticed(Side::Client, Carrier::Http2OverTls, Breaks::Connection).await;
}

#[tokio::test]
async fn a_client_of_a_route_that_transcodes_is_noticed() {
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(MESSAGE));
    for traffic in [Traffic::Nothing, Traffic::FromIt] {
        let scene = Scene::that_transcodes().await;
        let waited = scene
            .breaks_off(Breaks::Connection, traffic, json.as_bytes())
            .await;
        assert!(waited < AT_ONCE, "{traffic:?}: {waited:?}");
    }
}

#[tokio::test]
async fn a_backend_that_resets_its_connection_is_noticed() {
    is_noticed(Side::Backend, Carrier::Tcp, Breaks::Connection).await;
}

#[tokio::test]
async fn a_backend_that_resets_its_connection_beneath_tls_is_noticed() {
    is_noticed(Side::Backend, Carrier::Tls, Breaks::Connection).await;
}

#[tokio::test]
async fn a_backend_in_http_2_that_cancels_its_stream_is_noticed() {
    is_noticed(Side::Backend, Carrier::Http2, Breaks::Stream).await;
}

#[tokio::test]
async fn a_backend_in_http_2_that_resets_its_connection_is_noticed() {
    is_noticed(Side::Backend, Carrier::Http2, Breaks::Connection).await;
}

#[tokio::test]
async fn a_backend_in_http_2_that_resets_its_connection_beneath_tls_is_noticed() {
    is_noticed(Side::Backend, Carrier::Http2OverTls, Breaks::Connection).await;
}

#[tokio::test]
async fn a_backend_in_http_2_that_cancels_its_stream_over_tls_is_noticed() {
    is_noticed(Side::Backend, Carrier::Http2OverTls, Breaks::Stream).await;
}
