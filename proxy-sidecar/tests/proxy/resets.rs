//! Peers that break their connection off while what they have sent waits for somebody who takes nothing: nobody reads from
//! them then, and all the same both sides are free within a second.

use crate::certificates::Authority;
use crate::support::{Backend, Peer, Proxy, manifest, request, switching, to};
use crate::tls::{client_config, connect, listener_tls};
use crate::transcode::{ROUTE, publish};
use crate::wire::Wire;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long it may take until everything is free.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A machine that has other things to do may be late, but not each time.
const TRIES: usize = 4;

/// Nothing but the reset ends a session before this.
const PATIENT: &str = "  timeouts: { close: 1m }";

const OPEN: &str = "heddle_websocket_sessions_open{namespace=\"default\",route=\"chat\"}";

/// Bytes of a message: a frame has two for the length of one so long.
const MESSAGE: usize = 16_000;

/// Bytes that are not taken for so long are not going to be.
const STILL: Duration = Duration::from_millis(500);

/// A message of a server.
fn message(first: u8) -> Vec<u8> {
    let length = u16::try_from(MESSAGE).unwrap().to_be_bytes();
    [&[first, 126], &length[..], &[b'x'; MESSAGE]].concat()
}

/// A message of a client, with a mask of zeros.
fn masked_message(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0x81, 0x80 | 126], &length[..], &[0; 4], payload].concat()
}

/// Sends a message over and over, until nothing is taken any more.
async fn flood<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>, message: &[u8]) {
    let mut rest = message;
    while let Ok(count) = timeout(STILL, peer.stream.write(rest)).await {
        rest = &rest[count.unwrap()..];
        if rest.is_empty() {
            rest = message;
        }
    }
}

/// Breaks a connection off.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// A session from a stream to a backend that reads nothing but the handshake.
async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    backend: &Backend,
) -> (Peer<S>, Peer<TcpStream>) {
    let mut client = Peer::new(stream);
    client.send(request("/", "")).await;
    let mut server = backend.accept().await;
    server.head().await;
    server.send(switching("")).await;
    assert_eq!(client.head().await.status(), 101);
    (client, server)
}

/// Makes sessions that break off, until one was free at once. What `attempt` gives back stays as it is until then.
async fn is_free_at_once<H>(proxy: &Proxy, mut attempt: impl AsyncFnMut() -> H) {
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let held = attempt().await;
        let began = Instant::now();
        proxy.until_metric(OPEN, 0.0).await;
        took.push(began.elapsed());
        drop(held);
        if began.elapsed() < AT_ONCE {
            return;
        }
    }
    panic!("it took {took:?}");
}

#[tokio::test]
async fn a_client_that_resets_its_connection_while_the_backend_takes_nothing_is_noticed() {
    let backend = Backend::listen_narrow().await;
    let proxy = Proxy::start(|port| to(port, &backend, PATIENT)).await;
    is_free_at_once(&proxy, async || {
        let (mut client, server) = begin(proxy.client().await.stream, &backend).await;
        flood(&mut client, &masked_message(&[b'x'; MESSAGE])).await;
        reset(&client.stream);
        drop(client);
        server
    })
    .await;
}

#[tokio::test]
async fn a_client_that_resets_its_connection_beneath_tls_is_noticed() {
    let (backend, authority) = (Backend::listen_narrow().await, Authority::new());
    let prepare = |folder: &Path| authority.write_secret(folder, "own", "chat.example.com");
    let routes = |port| listener_tls(&to(port, &backend, PATIENT), false);
    let proxy = Proxy::start_with(routes, prepare).await;
    is_free_at_once(&proxy, async || {
        let config = client_config(&authority, None, b"http/1.1");
        let stream = connect(proxy.port, config).await.unwrap();
        let (mut client, server) = begin(stream, &backend).await;
        flood(&mut client, &masked_message(&[b'x'; MESSAGE])).await;
        reset(client.stream.get_ref().0);
        drop(client);
        server
    })
    .await;
}

#[tokio::test]
async fn a_client_of_a_route_that_transcodes_is_noticed() {
    let backend = Backend::listen_narrow().await;
    let prepare = |folder: &Path| publish(folder, "message Say { string text = 1; }");
    let arguments = |folder: &Path| {
        let file = folder.join("idl.binpb");
        vec!["--descriptors".into(), format!("idl={}", file.display())]
    };
    let route = format!("{ROUTE}\n{PATIENT}");
    let proxy = Proxy::start_as(|port| to(port, &backend, &route), prepare, arguments).await;
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(MESSAGE));
    is_free_at_once(&proxy, async || {
        let (mut client, server) = begin(proxy.client().await.stream, &backend).await;
        flood(&mut client, &masked_message(json.as_bytes())).await;
        reset(&client.stream);
        drop(client);
        server
    })
    .await;
}

/// A route to a backend in HTTP/2.
fn to_http2(port: u16, backend: &Backend) -> String {
    let backends = format!(
        "  backends: [{{ name: app, port: {}, protocol: HTTP/2 }}]\n{PATIENT}",
        backend.port()
    );
    manifest("chat", port, &backends)
}

/// A client that reads nothing but the handshake.
async fn silent_client(proxy: &Proxy) -> Peer<TcpStream> {
    let mut client = proxy.narrow_client().await;
    client.send(request("/", "")).await;
    client
}

#[tokio::test]
async fn a_stream_that_its_backend_cancels_is_noticed_while_the_client_takes_nothing() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to_http2(port, &backend)).await;
    let mut wire = None;
    is_free_at_once(&proxy, async || {
        let mut client = silent_client(&proxy).await;
        // The connection stays: streams of several sessions follow each other on it.
        if wire.is_none() {
            wire = Some(Wire::accept(&backend).await);
        }
        let wire = wire.as_mut().unwrap();
        let stream = wire.request().await;
        wire.switch(stream).await;
        assert_eq!(client.head().await.status(), 101);
        wire.flood(stream, &message(0x82)).await;
        wire.cancel(stream).await;
        client
    })
    .await;
}

#[tokio::test]
async fn a_backends_connection_in_http_2_that_is_reset_is_noticed_while_the_client_takes_nothing() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to_http2(port, &backend)).await;
    is_free_at_once(&proxy, async || {
        let (mut client, mut wire) = tokio::join!(silent_client(&proxy), Wire::accept(&backend));
        let stream = wire.request().await;
        wire.switch(stream).await;
        assert_eq!(client.head().await.status(), 101);
        wire.flood(stream, &message(0x82)).await;
        reset(&wire.0.stream);
        drop(wire);
        client
    })
    .await;
}
