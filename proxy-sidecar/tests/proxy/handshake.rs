//! What a backend gets of a handshake, and what a client gets of the answer.

use crate::support::{Backend, KEY, Proxy, masked, request, switching, text, to};

#[tokio::test]
async fn path_query_and_end_to_end_fields_arrive_as_they_were_sent() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let lines = "AuthoriZation: Bearer abc\r\nCookie: a=1; b=2\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: https://example.com\r\n\
                 X-Empty:\r\nX-Twice: 1\r\nX-Twice: 2\r\n";
    let _client = proxy.knock("/chat/%2Froom?a=%20b&c", lines).await;
    let head = backend.accept().await.head().await;
    assert_eq!(head.first_line(), "GET /chat/%2Froom?a=%20b&c HTTP/1.1");
    for line in lines.lines().filter(|line| *line != "X-Empty:") {
        assert!(head.has_line(line), "{line} in {}", head.0);
    }
    assert_eq!(head.all("x-twice"), ["1", "2"]);
    assert_eq!(head.all("host"), ["chat.example.com"]);
    assert_eq!(head.all("sec-websocket-key"), [KEY]);
    assert_eq!(head.all("sec-websocket-version"), ["13"]);
    assert_eq!(head.all("connection"), ["Upgrade"]);
    assert_eq!(head.all("upgrade"), ["websocket"]);
}

#[tokio::test]
async fn fields_of_this_hop_do_not_go_on() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = proxy.client().await;
    let lines = "Keep-Alive: 5\r\nProxy-Authorization: Basic x\r\nTE: trailers\r\nX-Private: 1\r\nX-Public: 1\r\nProxy-Connection: keep-alive\r\n";
    let request = request("/", lines).replace(
        "Connection: Upgrade",
        "Connection: keep-alive, Upgrade, X-Private, Sec-WebSocket-Version",
    );
    client.send(request).await;
    let head = backend.accept().await.head().await;
    for name in [
        "keep-alive",
        "proxy-authorization",
        "te",
        "x-private",
        "proxy-connection",
    ] {
        assert!(head.all(name).is_empty(), "{name} in {}", head.0);
    }
    assert_eq!(head.all("x-public"), ["1"]);
    assert_eq!(head.all("sec-websocket-version"), ["13"]);
}

#[tokio::test]
async fn subprotocol_extensions_and_cookies_of_the_backend_reach_the_client() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = proxy.knock("/", "Sec-WebSocket-Protocol: chat\r\n").await;
    let mut server = backend.accept().await;
    server.head().await;
    let lines = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                 Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nKeep-Alive: 5\r\n";
    server.switch(lines).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(head.all("sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    assert_eq!(head.all("sec-websocket-protocol"), ["chat"]);
    assert_eq!(head.all("sec-websocket-extensions"), ["permessage-deflate"]);
    assert_eq!(head.all("set-cookie"), ["a=1", "b=2; Path=/"]);
    assert!(head.all("keep-alive").is_empty());
}

#[tokio::test]
async fn frames_that_come_with_a_head_are_not_lost() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = proxy.client().await;
    client
        .send([request("/", "").as_bytes(), &masked(1, b"early")].concat())
        .await;
    let mut server = backend.accept().await;
    server.head().await;
    server
        .send([switching("").as_bytes(), &text("hello")].concat())
        .await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(client.bytes(7).await, text("hello"));
    assert_eq!(server.bytes(11).await, masked(1, b"early"));
}

#[tokio::test]
async fn interim_answers_are_passed_by() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = proxy.knock("/", "").await;
    let mut server = backend.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        .await;
    server.switch("").await;
    assert_eq!(client.head().await.status(), 101);
}

#[tokio::test]
async fn a_whole_url_as_the_target_counts_for_more_than_the_host() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  hostnames: [other.example.com]")).await;
    let _client = proxy.knock("http://other.example.com:8080/a?b", "").await;
    let head = backend.accept().await.head().await;
    assert_eq!(head.first_line(), "GET /a?b HTTP/1.1");
    assert_eq!(head.all("host"), ["other.example.com:8080"]);
}

#[tokio::test]
async fn a_client_that_sends_its_head_byte_by_byte_is_served() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = proxy.client().await;
    for byte in request("/slow", "").bytes() {
        client.send([byte]).await;
    }
    assert_eq!(
        backend.accept().await.head().await.first_line(),
        "GET /slow HTTP/1.1"
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_it_is_answered_frees_its_backend() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let client = proxy.knock("/", "").await;
    let mut server = backend.accept().await;
    server.head().await;
    drop(client);
    assert!(server.rest().await.is_empty());
    proxy.until_metric("heddle_proxy_connections", 0.0).await;
}
