//! Limits of sessions.

use crate::support::{Backend, Proxy, to, until};

#[tokio::test]
async fn a_route_that_is_full_refuses_and_has_room_again_when_a_session_ends() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  limits: { maxConnections: 1 }")).await;
    let (client, server) = proxy.session(&backend).await;
    let head = proxy.knock("/", "").await.head().await;
    assert_eq!((head.status(), head.all("retry-after").len()), (503, 1));
    drop((client, server));
    proxy
        .until_metric(
            "heddle_websocket_sessions_open{namespace=\"default\",route=\"chat\"}",
            0.0,
        )
        .await;
    proxy.session(&backend).await;
}

#[tokio::test]
async fn an_answer_of_the_backend_counts_as_a_session_until_it_has_been_relayed() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  limits: { maxConnections: 1 }")).await;
    let mut client = proxy.knock("/", "").await;
    let mut server = backend.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\na").await;
    assert_eq!(client.head().await.status(), 403);
    assert_eq!(proxy.knock("/", "").await.head().await.status(), 503);
    server.send("b").await;
    assert_eq!(client.rest().await, b"ab");
    drop(client);
    until("there is room again", async || {
        let mut client = proxy.knock("/", "").await;
        tokio::select! {
            head = client.head() => { assert_eq!(head.status(), 503); None }
            _ = backend.accept() => Some(()),
        }
    })
    .await;
}

#[tokio::test]
async fn clients_are_counted_by_the_address_that_trusted_proxies_name() {
    let backend = Backend::listen().await;
    let spec = "  limits: { maxConnectionsPerClient: 1 }\n  forwarding: { trustedProxies: [127.0.0.1] }";
    let proxy = Proxy::start(|port| to(port, &backend, spec)).await;
    let mut open = Vec::new();
    for address in ["1.2.3.4", "5.6.7.8"] {
        let mut client = proxy.knock("/", &format!("X-Forwarded-For: {address}\r\n")).await;
        let mut server = backend.accept().await;
        server.head().await;
        server.switch("").await;
        assert_eq!(client.head().await.status(), 101);
        open.push((client, server));
    }
    let head = proxy
        .knock("/", "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n")
        .await
        .head()
        .await;
    assert_eq!((head.status(), head.all("retry-after").len()), (429, 1));
}
