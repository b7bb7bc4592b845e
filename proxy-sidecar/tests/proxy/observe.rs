//! What is seen from outside: metrics while sessions are open, and a line at their end.

use crate::support::{Backend, Proxy, masked, text, to};

const ROUTE: &str = "namespace=\"default\",route=\"chat\"";

#[tokio::test]
async fn metrics_move_while_a_session_is_open() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let (mut client, mut server) = proxy.session(&backend).await;
    client.send(masked(1, b"hello")).await;
    server.bytes(11).await;
    server.send(text("hi")).await;
    client.bytes(4).await;
    for (name, value) in [
        ("sessions_open", 1.0),
        ("sessions_total", 1.0),
        ("handshake_seconds_count", 1.0),
    ] {
        proxy
            .until_metric(&format!("heddle_websocket_{name}{{{ROUTE}}}"), value)
            .await;
    }
    for (name, from, value) in [
        ("messages", "client", 1.0),
        ("messages", "backend", 1.0),
        ("bytes", "client", 11.0),
        ("bytes", "backend", 4.0),
    ] {
        let name = format!("heddle_websocket_{name}_total{{{ROUTE},from=\"{from}\"}}");
        proxy.until_metric(&name, value).await;
    }
}

#[tokio::test]
async fn a_session_leaves_one_line_with_the_trace_of_its_handshake() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let lines = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let mut client = proxy.knock("/", lines).await;
    let mut server = backend.accept().await;
    server.head().await;
    server.switch("Sec-WebSocket-Protocol: chat\r\n").await;
    client.head().await;
    client.send(masked(1, b"secret")).await;
    server.bytes(12).await;
    client.send(masked(8, &4001_u16.to_be_bytes())).await;
    server.bytes(8).await;
    server.send([0x88, 2, 0x0f, 0xa1]).await;
    drop(server);
    assert_eq!(client.rest().await, [0x88, 2, 0x0f, 0xa1]);
    drop(client);
    let line = proxy.logged("session ended").await;
    let expected = serde_json::json!({
        "namespace": "default", "route": "chat", "backend": "app", "client": "127.0.0.1", "subprotocol": "chat",
        "messages_from_client": 1, "bytes_from_client": 20, "messages_from_backend": 0, "bytes_from_backend": 4,
        "code": 4001, "closed_by": "client", "reason": "closed", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(line.get(name), Some(value), "{name} in {line}");
    }
    assert!(line["seconds"].as_f64().is_some());
    assert!(!proxy.log().contains("secret"));
    let closed = format!(
        "heddle_websocket_sessions_closed_total{{{ROUTE},code=\"4xxx\",by=\"client\",reason=\"closed\"}}"
    );
    proxy.until_metric(&closed, 1.0).await;
}

#[tokio::test]
async fn a_session_that_the_process_could_not_wait_for_leaves_a_line_that_says_so() {
    let backend = Backend::listen().await;
    let route = |port, close| {
        to(
            port,
            &backend,
            &format!("  timeouts: {{ drain: 0s, close: {close} }}"),
        )
    };
    let mut proxy = Proxy::start(|port| route(port, "1m")).await;
    let lines = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let mut client = proxy.knock("/", lines).await;
    let mut server = backend.accept().await;
    server.head().await;
    server.switch("").await;
    client.head().await;
    // The session keeps its minute; the program goes by what the route says at its end.
    proxy.rewrite(&route(proxy.port, "10ms"));
    let applied = "heddle_proxy_configurations_total{outcome=\"applied\"}";
    proxy.until_metric(applied, 2.0).await;
    proxy.terminate();
    client.expect_close(1001).await;
    // Nobody answers.
    assert_eq!(proxy.ended().await, Some(1));
    drop((client, server));
    let line = proxy.logged("session ended").await;
    let expected = serde_json::json!({
        "namespace": "default", "route": "chat", "backend": "app", "client": "127.0.0.1",
        "code": 1006, "closed_by": "proxy", "reason": "aborted", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(line.get(name), Some(value), "{name} in {line}");
    }
    assert!(line["seconds"].as_f64().is_some());
    for figure in [
        "messages_from_client",
        "bytes_from_client",
        "messages_from_backend",
        "bytes_from_backend",
    ] {
        assert_eq!(line.get(figure), None, "nobody knows {figure}");
    }
    assert_eq!(proxy.log().matches("\"session ended\"").count(), 1);
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  allowedOrigins: [\"https://example.com\"]")).await;
    assert_eq!(
        proxy
            .knock("/", "Origin: https://evil.example\r\n")
            .await
            .head()
            .await
            .status(),
        403
    );
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 426);
    let by_route = format!("heddle_websocket_handshakes_refused_total{{{ROUTE},reason=\"origin\"}}");
    assert_eq!(proxy.metric(&by_route).await, 1.0);
    let before = "heddle_proxy_requests_refused_total{reason=\"not_an_upgrade\"}";
    assert_eq!(proxy.metric(before).await, 1.0);
}
