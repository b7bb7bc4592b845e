//! What backends are told about the client, and the trace that goes on.

use crate::support::{Backend, Proxy, to};

const SPOOFED: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n";

#[tokio::test]
async fn what_an_untrusted_peer_says_about_itself_is_dropped() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  forwarding: { headers: Both }")).await;
    let _client = proxy.knock("/", SPOOFED).await;
    let head = backend.accept().await.head().await;
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-host"), ["chat.example.com"]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(
        head.all("forwarded"),
        ["for=127.0.0.1;host=\"chat.example.com\";proto=http"]
    );
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept_and_this_hop_added() {
    let backend = Backend::listen().await;
    let spec = "  forwarding: { headers: Both, trustedProxies: [127.0.0.0/8] }";
    let proxy = Proxy::start(|port| to(port, &backend, spec)).await;
    let _client = proxy.knock("/", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nForwarded: for=\"[2001:db8::1]\"\r\n").await;
    let head = backend.accept().await.head().await;
    assert_eq!(head.all("x-forwarded-for"), ["1.2.3.4, 5.6.7.8, 127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["https"]);
    assert_eq!(
        head.all("forwarded"),
        ["for=\"[2001:db8::1]\", for=127.0.0.1;host=\"chat.example.com\";proto=http"]
    );
}

#[tokio::test]
async fn spellings_that_programs_take_for_the_same_are_dropped_too() {
    let backend = Backend::listen().await;
    let trusting = "  forwarding: { trustedProxies: [127.0.0.0/8] }";
    for spec in ["", trusting] {
        let proxy = Proxy::start(|port| to(port, &backend, spec)).await;
        let lines =
            "X_Forwarded_For: 6.6.6.6\r\nx-forwarded_host: evil\r\nX_Forwarded-Prefix: /\r\nX_Other: 1\r\n";
        let _client = proxy.knock("/", lines).await;
        let head = backend.accept().await.head().await;
        for name in ["x_forwarded_for", "x-forwarded_host", "x_forwarded-prefix"] {
            assert!(head.all(name).is_empty(), "{name} in {}", head.0);
        }
        assert_eq!(head.all("x_other"), ["1"]);
    }
}

#[tokio::test]
async fn a_route_that_tells_nothing_drops_what_arrives() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  forwarding: { headers: None }")).await;
    let _client = proxy.knock("/", SPOOFED).await;
    let head = backend.accept().await.head().await;
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
    ] {
        assert!(head.all(name).is_empty(), "{name} in {}", head.0);
    }
}

#[tokio::test]
async fn the_trace_of_the_client_goes_on_with_a_span_of_the_proxy() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let lines = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n";
    let _client = proxy.knock("/", lines).await;
    let head = backend.accept().await.head().await;
    let parents = head.all("traceparent");
    assert_eq!(parents.len(), 1);
    assert!(
        parents[0].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{parents:?}"
    );
    assert!(!parents[0].contains("00f067aa0ba902b7"), "{parents:?}");
    assert!(parents[0].ends_with("-01"), "{parents:?}");
    assert_eq!(head.all("tracestate"), ["a=1,b=2"]);
}

#[tokio::test]
async fn a_trace_begins_where_the_client_has_none() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let _client = proxy.knock("/", "traceparent: nonsense\r\n").await;
    let head = backend.accept().await.head().await;
    let parents = head.all("traceparent");
    assert_eq!((parents.len(), parents[0].len()), (1, 55), "{parents:?}");
}
