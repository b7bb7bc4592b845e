use super::*;

fn request(target: &'static str, pairs: &[(&'static str, &'static str)]) -> Result<SessionRequest, Refusal> {
    let mut fields = Fields::default();
    for (name, value) in [
        ("Host", "example.com"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        if !pairs.iter().any(|(other, _)| name.eq_ignore_ascii_case(other)) {
            fields.push(name, value);
        }
    }
    for (name, value) in pairs {
        fields.push(*name, *value);
    }
    SessionRequest::from_http1(RequestHead {
        method: Bytes::from_static(b"GET"),
        target: Bytes::from_static(target.as_bytes()),
        version: 1,
        fields,
    })
}

#[test]
fn the_path_is_what_is_before_the_query() {
    let request = request("/a%20b/%63?d/../e", &[]).unwrap();
    assert_eq!(
        (request.path.normal(), request.target.as_ref()),
        ("/a%20b/c", &b"/a%20b/%63?d/../e"[..])
    );
}

#[test]
fn paths_that_readers_resolve_differently_are_refused() {
    for target in ["/..", "/a/..%2fb", "", "a", "/%", "/a%00", "/é", "/a#b", "/a?b c"] {
        assert!(
            matches!(request(target, &[]), Err(Refusal::Malformed(_))),
            "{target}"
        );
    }
    for target in ["/...", "/.well-known/a", "/a..b", "/%2f", "/?..", "/a//b"] {
        assert!(request(target, &[]).is_ok(), "{target}");
    }
}

#[test]
fn upgrades_are_found_in_lists() {
    assert!(
        request(
            "/",
            &[
                ("Connection", "keep-alive, uPGRADE"),
                ("Upgrade", "h2c, WebSocket")
            ]
        )
        .is_ok()
    );
    let refused = request("/", &[("Upgrade", "websockets")]);
    assert!(matches!(refused, Err(Refusal::NotAnUpgrade)));
}

#[test]
fn what_a_connection_names_is_dropped_but_for_what_the_handshake_needs() {
    let pairs = [
        ("Connection", "Upgrade, X-A, Sec-WebSocket-Protocol"),
        ("X-A", "1"),
        ("X-B", "2"),
        ("Sec-WebSocket-Protocol", "chat"),
    ];
    let fields = request("/", &pairs).unwrap().fields;
    assert!(!fields.has("x-a") && !fields.has("connection") && !fields.has("host"));
    assert!(fields.has("x-b") && fields.has("sec-websocket-protocol"));
}

#[test]
fn extended_connect_is_a_handshake_without_a_key() {
    let request = |method: &str, protocol: &'static str| {
        let request = http::Request::builder()
            .method(method)
            .uri("https://example.com:8443/chat?a")
            .header("sec-websocket-version", "13")
            .extension(hyper::ext::Protocol::from_static(protocol))
            .body(())
            .unwrap();
        SessionRequest::from_http2(&request)
    };
    let good = request("CONNECT", "websocket").unwrap();
    assert_eq!(
        (good.host.as_str(), good.path.normal(), &good.key),
        ("example.com:8443", "/chat", &None)
    );
    for (method, protocol) in [("GET", "websocket"), ("CONNECT", "connect-udp")] {
        assert!(
            matches!(request(method, protocol), Err(Refusal::NotAnUpgrade)),
            "{method} {protocol}"
        );
    }
}

#[test]
fn crumbs_of_cookies_are_put_together_and_another_host_is_refused() {
    let request = |host: &str| {
        let request = http::Request::builder()
            .method("CONNECT")
            .uri("https://example.com/chat")
            .header("sec-websocket-version", "13")
            .header("host", host)
            .header("cookie", "a=1")
            .header("cookie", "b=2; c=3")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .body(())
            .unwrap();
        SessionRequest::from_http2(&request)
    };
    let good = request("EXAMPLE.com").unwrap();
    assert_eq!(good.fields.one("cookie").unwrap().unwrap(), "a=1; b=2; c=3");
    assert!(matches!(request("other.example"), Err(Refusal::Malformed(_))));
}
