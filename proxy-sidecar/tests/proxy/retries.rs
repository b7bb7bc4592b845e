//! Several backends: shares, another try, and those that are passed over.

use crate::support::{Backend, Proxy, free_port, manifest, until};
use std::time::{Duration, Instant};

fn two(port: u16, first: u16, second: u16, spec: &str) -> String {
    let backends =
        format!("  backends: [{{ name: a, port: {first} }}, {{ name: b, port: {second} }}]\n{spec}");
    manifest("chat", port, &backends)
}

#[tokio::test]
async fn another_backend_is_tried_when_one_is_not_there() {
    let (gone, backend) = (free_port(), Backend::listen().await);
    let proxy = Proxy::start(|port| two(port, gone, backend.port(), "")).await;
    for _ in 0..8 {
        let mut client = proxy.knock("/", "").await;
        let mut server = backend.accept().await;
        server.head().await;
        server.switch("").await;
        assert_eq!(client.head().await.status(), 101);
    }
}

#[tokio::test]
async fn another_backend_is_tried_when_one_is_unavailable_and_the_last_answer_counts() {
    let backends = [Backend::listen().await, Backend::listen().await];
    let proxy = Proxy::start(|port| two(port, backends[0].port(), backends[1].port(), "")).await;
    let mut client = proxy.knock("/", "").await;
    for _ in 0..2 {
        let mut server = tokio::select! {
            server = backends[0].accept() => server,
            server = backends[1].accept() => server,
        };
        server.head().await;
        server
            .send("HTTP/1.1 503 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
            .await;
    }
    let head = client.head().await;
    assert_eq!((head.status(), head.all("retry-after")), (503, vec!["7"]));
}

#[tokio::test]
async fn no_other_backend_is_tried_without_retries_or_after_a_refusal() {
    let (gone, backend) = (free_port(), Backend::listen().await);
    let spec = format!(
        "  retries: 0\n  backends: [{{ name: a, port: {gone} }}, {{ name: b, port: {}, weight: 0 }}]",
        backend.port()
    );
    let proxy = Proxy::start(|port| manifest("chat", port, &spec)).await;
    assert_eq!(proxy.knock("/", "").await.head().await.status(), 502);

    let backends = [Backend::listen().await, Backend::listen().await];
    let proxy = Proxy::start(|port| two(port, backends[0].port(), backends[1].port(), "")).await;
    let mut client = proxy.knock("/", "").await;
    let mut server = tokio::select! {
        server = backends[0].accept() => server,
        server = backends[1].accept() => server,
    };
    server.head().await;
    server.send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 403);
    assert!(backends[0].is_idle().await && backends[1].is_idle().await);
}

#[tokio::test]
async fn a_backend_that_fails_too_often_is_passed_over() {
    let (gone, backend) = (free_port(), Backend::listen().await);
    let spec = "  passiveHealth: { consecutiveFailures: 2, ejectionTime: 1h }";
    let proxy = Proxy::start(|port| two(port, gone, backend.port(), spec)).await;
    for _ in 0..20 {
        let mut client = proxy.knock("/", "").await;
        let mut server = backend.accept().await;
        server.head().await;
        server.switch("").await;
        assert_eq!(client.head().await.status(), 101);
    }
    let failures =
        "heddle_websocket_backend_failures_total{namespace=\"default\",route=\"chat\",backend=\"a\"}";
    assert_eq!(proxy.metric(failures).await, 2.0);
    assert!(
        proxy
            .log()
            .contains("backend failed too often and is passed over")
    );
}

#[tokio::test]
async fn a_backend_that_had_no_time_left_is_not_to_blame() {
    let backends = [Backend::listen().await, Backend::listen().await];
    let spec = "  timeouts: { handshake: 8s }\n  passiveHealth: { consecutiveFailures: 1, ejectionTime: 1h }";
    let proxy = Proxy::start(|port| two(port, backends[0].port(), backends[1].port(), spec)).await;
    let began = Instant::now();
    let mut client = proxy.knock("/", "").await;
    let accept = async || {
        tokio::select! {
            server = backends[0].accept() => server,
            server = backends[1].accept() => server,
        }
    };
    let first = accept().await;
    until("most of the time is over", async || {
        (began.elapsed() > Duration::from_secs(6)).then_some(())
    })
    .await;
    drop(first);
    let _second = accept().await;
    assert_eq!(client.head().await.status(), 504);
    let mut failures = 0.0;
    for name in ["a", "b"] {
        failures += proxy
            .metric(&format!(
                "heddle_websocket_backend_failures_total{{namespace=\"default\",route=\"chat\",backend=\"{name}\"}}"
            ))
            .await;
    }
    assert_eq!(failures, 1.0);
}

#[tokio::test]
async fn a_backend_is_found_by_name() {
    let backend = Backend::listen().await;
    let spec = format!(
        "  backends: [{{ name: a, host: localhost, port: {} }}]",
        backend.port()
    );
    let proxy = Proxy::start(|port| manifest("chat", port, &spec)).await;
    proxy.session(&backend).await;
}
