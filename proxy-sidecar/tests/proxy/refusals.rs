//! Requests that get no session: what the proxy says, and what the backend says, as it says it.

use crate::support::{Backend, KEY, Proxy, free_port, manifest, request, to};

#[tokio::test]
async fn requests_that_are_no_handshake_are_refused_without_asking_a_backend() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let good = request("/", "");
    let cases = [
        (good.replace("GET", "POST"), 405),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (good.replace("Upgrade: websocket\r\n", ""), 426),
        (
            good.replace("Connection: Upgrade\r\n", "Connection: close\r\n"),
            426,
        ),
        (good.replace("Upgrade: websocket", "Upgrade: h2c"), 426),
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace("Sec-WebSocket-Version: 13\r\n", ""), 426),
        (good.replace(KEY, "c2hvcnQ="), 400),
        (good.replace(KEY, "not base64 at all !!!!=="), 400),
        (good.replace("Sec-WebSocket-Key", "X-Key"), 400),
        (good.replace("Host: chat.example.com\r\n", ""), 400),
        (good.replace("Host: chat.example.com", "Host: a\r\nHost: b"), 400),
        (good.replace("Host: chat.example.com", "Host: a@b"), 400),
        (good.replace("Host: chat.example.com", "Host: a/b"), 400),
        (request("/", "Content-Length: 5\r\n"), 400),
        (request("/", "Transfer-Encoding: chunked\r\n"), 400),
        (
            request("/", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
            400,
        ),
        (request("/", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400),
        (request("/", "X-Folded: a\r\n b\r\n"), 400),
        (request("/", "X-Space : a\r\n"), 400),
        (request("/a/../admin", ""), 400),
        (request("/a/%2e%2E/admin", ""), 400),
        (request("/a/..%2fadmin", ""), 400),
        (request("/a/..;/admin", ""), 400),
        (request("/a%00", ""), 400),
        (request("/a%2", ""), 400),
        (request("/a#b", ""), 400),
        (request("*", ""), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (request("/", &"X-Many: a\r\n".repeat(200)), 431),
        (request("/", &format!("X-Long: {}\r\n", "a".repeat(40_000))), 431),
    ];
    for (request, status) in cases {
        let mut client = proxy.client().await;
        client.send(&request).await;
        let head = client.head().await;
        assert_eq!(head.status(), status, "{request:.300}");
        assert!(head.all("connection")[0].contains("close"), "{}", head.0);
        let body = client.rest().await;
        assert_eq!(
            head.all("content-length"),
            [body.len().to_string()],
            "{request:.300}"
        );
    }
    assert!(backend.is_idle().await);
    let mut client = proxy.client().await;
    client.send(good.replace("Version: 13", "Version: 8")).await;
    assert_eq!(client.head().await.all("sec-websocket-version"), ["13"]);
}

#[tokio::test]
async fn hosts_and_paths_that_no_route_takes_are_not_found() {
    let backend = Backend::listen().await;
    let spec = "  hostnames: [\"*.example.com\"]\n  matches: [{ path: { value: /chat } }]";
    let proxy = Proxy::start(|port| to(port, &backend, spec)).await;
    assert_eq!(proxy.knock("/chatter", "").await.head().await.status(), 404);
    let mut client = proxy.client().await;
    client
        .send(request("/chat", "").replace("chat.example.com", "example.org"))
        .await;
    assert_eq!(client.head().await.status(), 404);
    let _client = proxy.knock("/chat/room", "").await;
    assert_eq!(
        backend.accept().await.head().await.first_line(),
        "GET /chat/room HTTP/1.1"
    );
}

#[tokio::test]
async fn no_spelling_of_a_path_passes_by_the_route_that_is_for_it() {
    let backend = Backend::listen().await;
    let spec = |path: &str, rest: &str| {
        format!(
            "  matches: [{{ path: {{ value: {path} }} }}]\n  backends: [{{ name: app, port: {} }}]\n{rest}",
            backend.port()
        )
    };
    let proxy = Proxy::start(|port| {
        let strict = manifest(
            "strict",
            port,
            &spec("/chat", "  allowedOrigins: [\"https://example.com\"]"),
        );
        format!("{strict}---\n{}", manifest("open", port, &spec("/", "")))
    })
    .await;
    let evil = "Origin: https://evil.example\r\n";
    for (path, status) in [
        ("/chat", 403),
        ("/%63hat", 403),
        ("/ch%61t/room", 403),
        ("/chat//room", 403),
        ("/chat/a%2fb", 403),
        ("//chat", 400),
        ("/chat%2froom", 400),
        ("/chat%5Croom", 400),
        ("/chat\\room", 400),
        ("/chat;v=1", 400),
        ("/%2Fchat", 400),
        ("/./chat", 400),
        ("/a/..;/chat", 400),
    ] {
        assert_eq!(
            proxy.knock(path, evil).await.head().await.status(),
            status,
            "{path}"
        );
    }
    assert!(backend.is_idle().await);
    for path in ["/other//room", "/a%2Fb", "/%6fther", "/chatter", "/a;b"] {
        let _client = proxy.knock(path, evil).await;
        let head = backend.accept().await.head().await;
        assert_eq!(head.first_line(), format!("GET {path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let backend = Backend::listen().await;
    let spec = "  allowedOrigins: [\"https://example.com\"]";
    let proxy = Proxy::start(|port| to(port, &backend, spec)).await;
    assert_eq!(
        proxy
            .knock("/", "Origin: https://evil.example\r\n")
            .await
            .head()
            .await
            .status(),
        403
    );
    assert_eq!(
        proxy.knock("/", "Origin: null\r\n").await.head().await.status(),
        403
    );
    for lines in ["Origin: https://example.com\r\n", ""] {
        let _client = proxy.knock("/", lines).await;
        backend.accept().await.head().await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_backend_reaches_the_client_whole() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let cases = [
        (
            "HTTP/1.1 401 Who are you\r\nWWW-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nabc",
            401,
            "abc",
            "3",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            302,
            "",
            "0",
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
            200,
            "until the end",
            "",
        ),
    ];
    for (answer, status, body, length) in cases {
        let mut client = proxy.knock("/", "").await;
        let mut server = backend.accept().await;
        server.head().await;
        server.send(answer).await;
        drop(server);
        let head = client.head().await;
        assert_eq!(head.status(), status);
        assert_eq!(head.first_line(), answer.lines().next().unwrap());
        assert_eq!(
            head.all("content-length").first().copied().unwrap_or_default(),
            length
        );
        assert_eq!(head.all("connection"), ["close"]);
        assert_eq!(client.rest().await, body.as_bytes());
    }
}

#[tokio::test]
async fn a_chunked_refusal_is_streamed_and_the_connection_need_not_end_with_it() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut client = proxy.knock("/", "").await;
    let mut server = backend.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.all("transfer-encoding"), ["chunked"]);
    assert_eq!(client.bytes(10).await, b"5\r\nhello\r\n");
    server.send("1\r\n!\r\n0\r\nTrailer: x\r\n\r\n").await;
    assert_eq!(client.rest().await, b"1\r\n!\r\n0\r\n\r\n");
}

#[tokio::test]
async fn answers_that_make_no_sense_are_bad_gateways_and_tell_nothing() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let cases = [
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 403 No\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
    ];
    for answer in cases {
        let mut client = proxy.knock("/", "").await;
        let mut server = backend.accept().await;
        server.head().await;
        server.send(answer).await;
        drop(server);
        assert_eq!(client.head().await.status(), 502, "{answer}");
        let body = String::from_utf8(client.rest().await).unwrap();
        assert_eq!(body, "no backend could be reached\n");
    }
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_a_bad_gateway_and_a_silent_one_a_gateway_timeout() {
    let port = free_port();
    let spec = format!("  backends: [{{ name: app, port: {port} }}]");
    let proxy = Proxy::start(|port| manifest("chat", port, &spec)).await;
    let mut client = proxy.knock("/", "").await;
    assert_eq!(client.head().await.status(), 502);
    let body = String::from_utf8(client.rest().await).unwrap();
    assert!(
        !body.contains(&port.to_string()) && !body.contains("127.0.0.1"),
        "{body}"
    );

    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { handshake: 200ms }")).await;
    let mut client = proxy.knock("/", "").await;
    let _server = backend.accept().await;
    assert_eq!(client.head().await.status(), 504);
}
