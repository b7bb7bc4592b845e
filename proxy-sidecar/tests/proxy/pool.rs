//! Connections to backends that speak HTTP/2.

use crate::http2::serve;
use crate::support::{Backend, PATIENCE, Peer, Proxy, manifest};
use crate::wire::Wire;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const FAILURES: &str =
    "heddle_websocket_backend_failures_total{namespace=\"default\",route=\"chat\",backend=\"app\"}";

async fn proxy(backend: &Backend) -> Proxy {
    let spec = format!(
        "  backends: [{{ name: app, port: {}, protocol: HTTP/2 }}]",
        backend.port()
    );
    Proxy::start(|port| manifest("chat", port, &spec)).await
}

#[tokio::test]
async fn a_handshake_that_a_connection_ended_under_is_made_on_another() {
    let backend = Backend::listen().await;
    let proxy = proxy(&backend).await;
    let mut client = proxy.knock("/", "").await;
    let mut first = Wire::accept(backend.accept().await.stream).await;
    first.headers().await;
    first.go_away().await;
    let mut second = Wire::accept(backend.accept().await.stream).await;
    let stream = second.headers().await;
    second.switch(stream).await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(proxy.metric(FAILURES).await, 0.0);
}

#[tokio::test]
async fn a_handshake_that_was_refused_before_it_was_looked_at_is_made_on_another_connection() {
    let backend = Backend::listen().await;
    let proxy = proxy(&backend).await;
    let mut client = proxy.knock("/", "").await;
    let mut first = Wire::accept(backend.accept().await.stream).await;
    let stream = first.headers().await;
    first.refuse(stream).await;
    let mut second = Wire::accept(backend.accept().await.stream).await;
    let stream = second.headers().await;
    second.switch(stream).await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(proxy.metric(FAILURES).await, 0.0);
}

#[tokio::test]
async fn a_backend_that_refuses_every_stream_fails() {
    let backend = Backend::listen().await;
    let proxy = proxy(&backend).await;
    let mut client = proxy.knock("/", "").await;
    let refuse = async {
        let mut open = Vec::new();
        loop {
            let mut wire = Wire::accept(backend.accept().await.stream).await;
            let stream = wire.headers().await;
            wire.refuse(stream).await;
            open.push(wire);
        }
    };
    let head = tokio::select! {
        head = client.head() => head,
        () = refuse => unreachable!(),
    };
    assert_eq!(head.status(), 502);
    assert_eq!(proxy.metric(FAILURES).await, 1.0);
}

#[tokio::test]
async fn a_burst_of_handshakes_opens_one_connection_for_each_thread() {
    const BURST: usize = 60;
    let backend = Backend::listen().await;
    let proxy = proxy(&backend).await;
    let mut clients: Vec<Peer<TcpStream>> = Vec::new();
    for _ in 0..BURST {
        clients.push(proxy.knock("/", "").await);
    }
    let (mut tasks, mut streams, mut connections) = (JoinSet::new(), Vec::new(), 0);
    let answered = async {
        for client in &mut clients {
            assert_eq!(client.head().await.status(), 101);
        }
    };
    let accept = async {
        loop {
            let peer = backend.accept().await;
            connections += 1;
            streams.push(serve(peer.stream, &mut tasks));
        }
    };
    timeout(PATIENCE, async {
        tokio::select! {
            () = answered => {}
            () = accept => {}
        }
    })
    .await
    .unwrap();
    assert!((1..=2).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_path_that_http_2_cannot_carry_is_the_clients_fault() {
    let backend = Backend::listen().await;
    let proxy = proxy(&backend).await;
    assert_eq!(proxy.knock("/<>", "").await.head().await.status(), 400);
    assert!(backend.is_idle().await);
    assert_eq!(proxy.metric(FAILURES).await, 0.0);
}
