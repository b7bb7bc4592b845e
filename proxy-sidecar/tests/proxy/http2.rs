//! Sessions as streams of HTTP/2 (RFC 8441), on either side.

use crate::certificates::Authority;
use crate::support::{Backend, Head, PATIENCE, Peer, Proxy, manifest, masked, text, to, until, until_in};
use crate::tls::{accept, backend_tls, client_config, connect, listener_tls};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

struct Client {
    sender: SendRequest<Empty<Bytes>>,
    _driver: JoinSet<()>,
}

impl Client {
    async fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, mut driver) = Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let enabled = until("extended CONNECT is taken", async || {
            let polled = timeout(Duration::from_millis(1), &mut driver).await;
            assert!(polled.is_err(), "{polled:?}");
            driver.is_extended_connect_protocol_enabled().then_some(())
        });
        enabled.await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { driver.await.unwrap_or_default() });
        Self {
            sender,
            _driver: tasks,
        }
    }

    async fn plain(port: u16) -> Self {
        Self::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await
    }

    async fn ask(&mut self, target: &str) -> Response<Incoming> {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://chat.example.com{target}"))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "chat")
            .header("authorization", "Bearer abc")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Empty::new())
            .unwrap();
        self.sender.send_request(request).await.unwrap()
    }
}

/// Answers a handshake, also that of a client in HTTP/2, whose key the proxy has made up.
pub(crate) async fn switch(backend: &Backend, lines: &str) -> (Peer<TcpStream>, Head) {
    let mut server = backend.accept().await;
    let head = server.head().await;
    let accept = derive_accept_key(head.all("sec-websocket-key")[0].as_bytes());
    let answer = crate::support::switching(lines);
    server
        .send(answer.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accept))
        .await;
    (server, head)
}

async fn peer(response: Response<Incoming>) -> Peer<TokioIo<Upgraded>> {
    Peer::new(TokioIo::new(hyper::upgrade::on(response).await.unwrap()))
}

#[tokio::test]
async fn sessions_of_one_client_connection_are_streams_and_their_backend_speaks_http_1() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = Client::plain(proxy.port).await;
    let mut sessions = Vec::new();
    for round in 0..3 {
        let target = format!("/chat?{round}");
        let (response, server) = tokio::join!(client.ask(&target), async {
            let lines = "Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\n";
            let (server, head) = switch(&backend, lines).await;
            assert_eq!(head.first_line(), format!("GET /chat?{round} HTTP/1.1"));
            assert_eq!(head.all("host"), ["chat.example.com"]);
            assert_eq!(head.all("authorization"), ["Bearer abc"]);
            assert_eq!(head.all("cookie"), ["a=1; b=2"]);
            server
        });
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        assert_eq!(response.headers()["set-cookie"], "a=1");
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        sessions.push((peer(response).await, server));
    }
    for (client, server) in &mut sessions {
        client.send(masked(1, b"hello")).await;
        assert_eq!(server.bytes(11).await, masked(1, b"hello"));
        server.send(text("hi")).await;
        assert_eq!(client.bytes(4).await, text("hi"));
    }
    assert_eq!(proxy.metric("heddle_proxy_connections").await, 1.0);
}

#[tokio::test]
async fn refusals_are_answers_of_streams() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  matches: [{ path: { value: /chat } }]")).await;
    let mut client = Client::plain(proxy.port).await;
    assert_eq!(client.ask("/other").await.status(), StatusCode::NOT_FOUND);
    let get = Request::builder()
        .uri("http://chat.example.com/chat")
        .body(Empty::new())
        .unwrap();
    assert_eq!(
        client.sender.send_request(get).await.unwrap().status(),
        StatusCode::UPGRADE_REQUIRED
    );
    let (response, ()) = tokio::join!(client.ask("/chat"), async {
        let mut server = backend.accept().await;
        server.head().await;
        server.send("HTTP/1.1 403 No\r\nX-Why: because\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    });
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()["x-why"], "because");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abc");
    let (response, ()) = tokio::join!(client.ask("/chat"), async {
        let mut server = backend.accept().await;
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .await;
    });
    // 200 would mean that there is a session.
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

/// Serves one connection as a backend that switches every stream, and gives what was asked and the streams.
pub(crate) fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    tasks: &mut JoinSet<()>,
) -> mpsc::Receiver<Opened> {
    let (sender, receiver) = mpsc::channel(8);
    let streams = Arc::new(Mutex::new(JoinSet::new()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (sender, streams) = (sender.clone(), Arc::clone(&streams));
        async move {
            let (parts, body) = request.into_parts();
            if parts.uri.path() == "/refused" {
                let mut response = Response::new(Full::new(Bytes::from_static(b"not here")));
                *response.status_mut() = StatusCode::FORBIDDEN;
                return Ok::<_, Infallible>(response);
            }
            let mut request = Request::from_parts(parts.clone(), body);
            let upgrade = hyper::upgrade::on(&mut request);
            let switched = async move { sender.send((parts, upgrade.await.unwrap())).await.unwrap() };
            streams.lock().unwrap().spawn(switched);
            let response = Response::builder().header("sec-websocket-protocol", "chat");
            Ok(response.body(Full::default()).unwrap())
        }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), service);
    tasks.spawn(async move { connection.await.unwrap_or_default() });
    receiver
}

#[tokio::test]
async fn backends_that_speak_http_2_share_connections_and_clients_may_speak_http_1() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let routes = |port| manifest("chat", port, &backend_tls(&backend, "HTTP/2"));
    let proxy = Proxy::start_with(routes, prepare).await;
    let mut tasks = JoinSet::new();
    let mut client = proxy.knock("/chat?a", "Authorization: Bearer abc\r\n").await;
    let mut streams = serve(accept(&backend, &authority, b"h2").await, &mut tasks);
    let (parts, upgraded) = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
    assert_eq!(parts.uri.to_string(), "https://chat.example.com/chat?a");
    assert_eq!(parts.headers["authorization"], "Bearer abc");
    assert!(!parts.headers.contains_key("sec-websocket-key"));
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.all("sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    assert_eq!(head.all("sec-websocket-protocol"), ["chat"]);
    let mut server = Peer::new(TokioIo::new(upgraded));
    client.send(masked(1, b"hello")).await;
    assert_eq!(server.bytes(11).await, masked(1, b"hello"));
    server.send(text("hi")).await;
    assert_eq!(client.bytes(4).await, text("hi"));

    let mut refused = proxy.knock("/refused", "").await;
    // Another thread of the proxy has a connection of its own.
    let head = tokio::select! {
        head = refused.head() => head,
        stream = accept(&backend, &authority, b"h2") => {
            serve(stream, &mut tasks);
            refused.head().await
        }
    };
    assert_eq!(head.status(), 403);
    assert_eq!(refused.rest().await, b"not here");
}

#[tokio::test]
async fn a_client_chooses_http_2_by_alpn_and_is_told_when_the_proxy_ends() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let routes = |port| listener_tls(&to(port, &backend, "  timeouts: { drain: 0s }"), false);
    let mut proxy = Proxy::start_with(routes, prepare).await;
    let stream = connect(proxy.port, client_config(&authority, None, b"h2"))
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Client::new(stream).await;
    let (response, (server, _)) = tokio::join!(client.ask("/"), switch(&backend, ""));
    let mut session = peer(response).await;
    proxy.terminate();
    session.expect_close(1001).await;
    drop((session, server, client));
    assert_eq!(proxy.ended().await, Some(0));
}

/// Sessions whose readers read nothing: more than a window of 1 MiB has room for.
const SLOW: usize = 64;

/// A binary frame of a client with all that could ever be sent, as far as its head.
fn endless() -> Vec<u8> {
    [&[0x82, 0xff][..], &u64::from(u32::MAX).to_be_bytes(), &[0; 4]].concat()
}

/// Sends on and on, and counts.
async fn flood<S: AsyncRead + AsyncWrite + Unpin>(mut peer: Peer<S>, head: Vec<u8>, sent: Arc<AtomicU64>) {
    peer.send(head).await;
    loop {
        peer.send([0; 4096]).await;
        sent.fetch_add(4096, Ordering::Relaxed);
    }
}

/// A hundred megabytes may go into sockets first.
const FLOOD_PATIENCE: Duration = Duration::from_secs(90);

/// Waits until nothing is sent any more.
async fn until_stuck(sent: &AtomicU64) {
    let (mut last, mut since) = (0, Instant::now());
    until_in(FLOOD_PATIENCE, "all floods are stuck", async || {
        let now = sent.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (now > 0 && since.elapsed() > Duration::from_millis(500)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn backends_that_read_slowly_do_not_hold_up_other_sessions_of_their_client() {
    let backend = Backend::listen_narrow().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = Client::plain(proxy.port).await;
    let (mut floods, mut unread, sent) = (JoinSet::new(), Vec::new(), Arc::new(AtomicU64::new(0)));
    for _ in 0..SLOW {
        let (response, (server, _)) = tokio::join!(client.ask("/"), switch(&backend, ""));
        unread.push(server);
        floods.spawn(flood(peer(response).await, endless(), Arc::clone(&sent)));
    }
    until_stuck(&sent).await;
    let (response, (mut server, _)) = tokio::join!(client.ask("/"), switch(&backend, ""));
    let mut session = peer(response).await;
    for _ in 0..100 {
        session.send(masked(1, b"hello")).await;
        assert_eq!(server.bytes(11).await, masked(1, b"hello"));
    }
}

#[tokio::test]
async fn clients_that_read_slowly_do_not_hold_up_other_sessions_of_their_backend() {
    let backend = Backend::listen().await;
    let spec = format!(
        "  backends: [{{ name: app, port: {}, protocol: HTTP/2 }}]",
        backend.port()
    );
    let proxy = Proxy::start(|port| manifest("chat", port, &spec)).await;
    let (mut floods, mut unread, sent) = (JoinSet::new(), Vec::new(), Arc::new(AtomicU64::new(0)));
    let (mut tasks, mut streams) = (JoinSet::new(), mpsc::channel(8));
    for index in 0..=SLOW {
        let mut client = proxy.narrow_client().await;
        client.send(crate::support::request("/", "")).await;
        let (_, upgraded) = next_stream(&backend, &mut streams, &mut tasks).await;
        let mut server = Peer::new(TokioIo::new(upgraded));
        assert_eq!(client.head().await.status(), 101);
        if index < SLOW {
            let head = [&[0x82, 0x7f][..], &u64::from(u32::MAX).to_be_bytes()].concat();
            floods.spawn(flood(server, head, Arc::clone(&sent)));
            unread.push(client);
            continue;
        }
        until_stuck(&sent).await;
        for _ in 0..100 {
            server.send(text("hi")).await;
            assert_eq!(client.bytes(4).await, text("hi"));
        }
    }
}

/// A stream that the proxy has opened.
type Opened = (http::request::Parts, Upgraded);

/// The next stream that the proxy opens, on a connection that it has or on a new one.
async fn next_stream(
    backend: &Backend,
    (sender, streams): &mut (mpsc::Sender<Opened>, mpsc::Receiver<Opened>),
    tasks: &mut JoinSet<()>,
) -> Opened {
    loop {
        tokio::select! {
            stream = streams.recv() => return stream.unwrap(),
            peer = backend.accept() => {
                let (mut opened, sender) = (serve(peer.stream, tasks), sender.clone());
                tasks.spawn(async move {
                    while let Some(stream) = opened.recv().await {
                        sender.send(stream).await.unwrap();
                    }
                });
            }
        }
    }
}
