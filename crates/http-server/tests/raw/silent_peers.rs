//! What clients owe, and what becomes of those who do not do it.

use bytes::Bytes;
use heddle_http_server::{Limits, Protocol, serve};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// Within it, what should happen has happened.
const SOON: Duration = Duration::from_secs(20);

const SHORT: Duration = Duration::from_millis(300);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The end of a body in chunks (RFC 9112, section 7.1).
const END: &str = "\r\n0\r\n\r\n";

/// The client's connection preface and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What is answered when the test lets it be.
const GET_HELD: &[u8] = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n";

struct Server {
    address: SocketAddr,
    held: Arc<Held>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

/// An answer that is held back: a permit each for that the request has arrived, for the head, and for the body.
struct Held {
    arrived: Semaphore,
    head: Semaphore,
    body: Semaphore,
}

impl Held {
    fn new() -> Arc<Self> {
        let [arrived, head, body] = [(); 3].map(|()| Semaphore::new(0));
        Arc::new(Self { arrived, head, body })
    }

    async fn answer(self: Arc<Self>) -> Response<Body> {
        self.arrived.add_permits(1);
        self.head.acquire().await.unwrap().forget();
        let body = futures::stream::once(async move {
            self.body.acquire().await.unwrap().forget();
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        Response::new(StreamBody::new(body).boxed_unsync())
    }
}

impl Server {
    async fn start(limits: Limits, tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let held = Held::new();
        let of_service = Arc::clone(&held);
        let service = move |request: Request<_>| {
            let held = Arc::clone(&of_service);
            async move {
                match request.uri().path() {
                    "/held" => held.answer().await,
                    _ => Response::new(Full::new(Bytes::from_static(b"x")).boxed_unsync()),
                }
            }
        };
        let mut task = JoinSet::new();
        let protocol = Protocol::Either;
        task.spawn(serve(listener, tls, protocol, limits, service, stop.clone()));
        Self {
            address,
            held,
            stop,
            task,
        }
    }

    async fn plain(limits: Limits) -> Self {
        Self::start(limits, None).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection whose answer is held back.
    async fn ask_held(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(GET_HELD).await.unwrap();
        let arrived = tokio::time::timeout(SOON, self.held.arrived.acquire()).await;
        arrived.expect("the request arrives").unwrap().forget();
        stream
    }

    /// Waits for as long as it takes until a connection that begins now is closed.
    async fn outlast_another(&self) {
        let mut other = self.connect().await;
        answer(&mut other).await;
        assert_eq!(rest(&mut other).await, "");
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn limits() -> Limits {
    Limits {
        handshake: SOON * 2,
        first_request: SOON * 2,
        idle: SOON * 2,
        age: None,
        grace: SHORT,
        ..Limits::new(8, 8)
    }
}

/// Everything until the other side closes, which it has to do soon.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await;
    // A reset is an end, too.
    read.expect("the connection is closed").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(GET).await.unwrap();
    read_answer(stream).await
}

async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"x") {
        let byte = tokio::time::timeout(SOON, stream.read_u8()).await;
        bytes.push(byte.expect("there is an answer").unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn tls() -> (rustls::ServerConfig, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn a_peer_that_does_not_make_its_tls_handshake_is_closed() {
    let limits = Limits {
        handshake: SHORT,
        ..limits()
    };
    let server = Server::start(limits, Some(tls().0)).await;
    let mut silent = server.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    let mut halfway = server.connect().await;
    // The head of a handshake record (RFC 8446, section 5.1) whose rest never comes.
    halfway.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    rest(&mut halfway).await;
}

#[tokio::test]
async fn a_peer_that_sends_no_request_after_its_tls_handshake_is_closed() {
    let limits = Limits {
        first_request: SHORT,
        ..limits()
    };
    let (config, connector) = tls();
    let server = Server::start(limits, Some(config)).await;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, server.connect().await).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_peer_that_begins_and_does_not_go_on_is_closed() {
    let limits = Limits {
        first_request: SHORT,
        ..limits()
    };
    let server = Server::plain(limits).await;
    // Part of a preface, all of it, and part of a head.
    for beginning in [&PREFACE[..9], PREFACE, &GET[..20]] {
        let mut stream = server.connect().await;
        stream.write_all(beginning).await.unwrap();
        rest(&mut stream).await;
    }
}

#[tokio::test]
async fn a_peer_that_begins_a_later_request_and_does_not_go_on_is_closed() {
    let limits = Limits {
        idle: SHORT,
        ..limits()
    };
    let server = Server::plain(limits).await;
    let mut stream = server.connect().await;
    answer(&mut stream).await;
    stream.write_all(&GET[..20]).await.unwrap();
    rest(&mut stream).await;
}

#[tokio::test]
async fn silent_peers_leave_room_for_the_next_ones() {
    let limits = Limits {
        first_request: SHORT,
        ..limits()
    };
    let server = Server::plain(limits).await;
    let mut silent = Vec::new();
    for _ in 0..limits.connections {
        silent.push(server.connect().await);
    }
    answer(&mut server.connect().await).await;
}

#[tokio::test]
async fn one_peer_cannot_take_all_connections() {
    let limits = Limits {
        connections_per_peer: 3,
        ..limits()
    };
    let server = Server::plain(limits).await;
    let other = async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    let mut taken = Vec::new();
    for _ in 0..limits.connections_per_peer {
        let mut stream = other().await;
        answer(&mut stream).await;
        taken.push(stream);
    }
    assert_eq!(rest(&mut other().await).await, "", "one too many was let in");
    // Everybody else is served, and so is who has closed one.
    answer(&mut server.connect().await).await;
    drop(taken.pop());
    let deadline = Instant::now() + SOON;
    loop {
        let mut again = other().await;
        again.write_all(GET).await.unwrap();
        if again.read_u8().await.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "a closed connection still counts");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_an_open_request_is_not() {
    let limits = Limits {
        idle: SHORT,
        ..limits()
    };
    let server = Server::plain(limits).await;
    let mut stream = server.ask_held().await;
    server.outlast_another().await;
    server.held.head.add_permits(1);
    server.outlast_another().await;
    server.held.body.add_permits(1);
    let answer = read_answer(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"),
        "{answer}"
    );
    // The end of the answer's body, and of the connection.
    assert_eq!(rest(&mut stream).await, END);
}

#[tokio::test]
async fn an_old_connection_answers_what_is_open_and_is_closed() {
    let limits = Limits {
        age: Some(SHORT),
        grace: SOON,
        ..limits()
    };
    let server = Server::plain(limits).await;
    let mut stream = server.ask_held().await;
    server.outlast_another().await;
    server.held.head.add_permits(1);
    server.held.body.add_permits(1);
    let answer = read_answer(&mut stream).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(rest(&mut stream).await, END);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_open_and_ends() {
    let limits = Limits {
        grace: SOON,
        ..limits()
    };
    let mut server = Server::plain(limits).await;
    let (mut idle, mut asking) = (server.connect().await, server.ask_held().await);
    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    server.held.head.add_permits(1);
    server.held.body.add_permits(1);
    assert!(rest(&mut asking).await.starts_with("HTTP/1.1 200"));
    let ended = tokio::time::timeout(SOON, server.task.join_next()).await;
    ended.expect("the server ends").unwrap().unwrap();
}
