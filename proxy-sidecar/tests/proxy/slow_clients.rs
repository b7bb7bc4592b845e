//! Clients that connect and do not go on: at whatever stage they stop, they are given up.

use crate::certificates::Authority;
use crate::support::{Backend, Peer, Proxy, to};
use crate::tls::{client_config, connect, listener_tls};
use crate::wire::{SETTINGS, frame};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::timeout;

/// What a client has for the head of its request, the time to say goodbye, and some more for a slow machine.
const LIMIT: Duration = Duration::from_secs(25);

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits until the other side has closed, whatever it says before.
async fn until_closed<S: AsyncRead + AsyncWrite + Unpin>(stage: &str, mut peer: Peer<S>) {
    let mut piece = [0; 1024];
    let closed = async { while !matches!(peer.stream.read(&mut piece).await, Ok(0) | Err(_)) {} };
    timeout(LIMIT, closed).await.expect(stage);
}

#[tokio::test]
async fn slow_clients_are_given_up_at_every_stage() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let settings = String::from_utf8(frame(SETTINGS, 0, 0, &[])).unwrap();
    // Headers of stream 1 that say that more are to come.
    let half = String::from_utf8(frame(1, 0, 1, b"")).unwrap();
    let stages = [
        ("nothing", String::new()),
        ("half a head", "GET / HTTP/1.1\r\nHost: a\r\n".to_owned()),
        ("half a preface", PREFACE[..20].to_owned()),
        ("a preface", PREFACE.to_owned()),
        ("settings", format!("{PREFACE}{settings}")),
        ("half a head of HTTP/2", format!("{PREFACE}{settings}{half}")),
    ];
    let mut waiting = Vec::new();
    for (stage, bytes) in stages {
        let mut client = proxy.client().await;
        client.send(bytes).await;
        waiting.push(until_closed(stage, client));
    }
    futures::future::join_all(waiting).await;
    proxy.until_metric("heddle_proxy_connections", 0.0).await;
}

#[tokio::test]
async fn slow_clients_of_tls_are_given_up_at_every_stage() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(|port| listener_tls(&to(port, &backend, ""), false), prepare).await;
    let silent = proxy.client().await;
    let mut half = proxy.client().await;
    // The head of a record, and the beginning of a ClientHello.
    half.send([22, 3, 1, 2, 0, 1]).await;
    let agree = |alpn| connect(proxy.port, client_config(&authority, None, alpn));
    let (http1, http2) = (agree(b"http/1.1").await.unwrap(), agree(b"h2").await.unwrap());
    tokio::join!(
        until_closed("nothing", silent),
        until_closed("half a handshake", half),
        until_closed("no head", Peer::new(http1)),
        until_closed("no preface", Peer::new(http2)),
    );
    proxy.until_metric("heddle_proxy_connections", 0.0).await;
}
