//! One connection after the other: what is asked again, when, and from where.

use crate::server::{Peer, STREAM, Server};
use crate::subscription::{at_once, client, data, next, subscribe, waiting};
use heddle_sse_client::{Error, EventStream, Item, Limits, ParseError, Request, Settings};
use http::{HeaderName, HeaderValue, Method};
use std::time::Duration;

/// Answers the next request with this much of a stream.
async fn serve(server: &Server, events: &str) -> Peer {
    server.answer(format!("{STREAM}{events}")).await
}

async fn round(stream: &mut EventStream, server: &Server, events: &str) -> (Error, Peer) {
    let (waiting, peer) = tokio::join!(waiting(stream), serve(server, events));
    (waiting.why, peer)
}

#[tokio::test]
async fn the_states_come_in_order() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, at_once());
    let (items, _) = tokio::join!(
        async {
            let mut items = Vec::new();
            while items.len() < 7 {
                items.push(stream.next().await.expect("the stream goes on"));
            }
            items
        },
        async {
            serve(&server, ": skipped\nid: 1\n\ndata: a\n\n").await;
            drop(server.connection().await);
        }
    );
    let [
        Item::Connecting { attempt: 1 },
        Item::Open(opened),
        Item::LastEventId(id),
        Item::Event(event),
        Item::Waiting(waiting),
        Item::Connecting { attempt: 2 },
        Item::Waiting(second),
    ] = &items[..]
    else {
        panic!("{items:?}")
    };
    assert_eq!((opened.address, opened.url.path()), (server.address, "/events"));
    assert_eq!(
        (id.as_str(), event.data().as_str(), event.last_event_id().as_str()),
        ("1", "a", "1")
    );
    assert!(matches!(waiting.why, Error::EndOfStream { .. }));
    assert_eq!((waiting.failures, second.failures), (0, 1), "{}", second.why);
}

#[tokio::test]
async fn the_first_request_has_the_standards_headers_and_no_id() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, at_once());
    let (_, peer) = round(&mut stream, &server, "").await;
    assert_eq!((peer.method.as_str(), peer.target.as_str()), ("GET", "/events"));
    assert_eq!(peer.header("accept"), Some("text/event-stream"));
    assert_eq!(peer.header("cache-control"), Some("no-cache"));
    assert_eq!(peer.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(peer.header("last-event-id"), None);
}

#[tokio::test]
async fn the_last_id_is_sent_until_an_empty_one_resets_it() {
    let server = Server::start().await;
    let settings = Settings {
        last_event_id: "first".into(),
        ..at_once()
    };
    let mut stream = subscribe(&server, settings);
    let rounds = [
        ("", Some("first")),
        (
            "id: é7\ndata: a\n\ndata: b\n\nid: unfinished\ndata: c\n",
            Some("first"),
        ),
        ("", Some("é7")),
        ("id: 8\n\n", Some("é7")),
        ("id\n\n", Some("8")),
        ("", None),
    ];
    for (events, expected) in rounds {
        let (_, peer) = round(&mut stream, &server, events).await;
        assert_eq!(peer.header("last-event-id"), expected);
    }
}

#[tokio::test]
async fn an_id_that_no_header_can_carry_is_an_error_and_not_a_lost_place() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, at_once());
    round(&mut stream, &server, "id: \u{1}\n\n").await;
    let error = crate::subscription::failed(&mut stream).await;
    assert!(matches!(error, Error::LastEventId { .. }), "{error}");
}

#[tokio::test]
async fn the_servers_retry_is_the_wait() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (waiting, _) = tokio::join!(waiting(&mut stream), serve(&server, "retry: 5000\ndata: a\n\n"));
    assert!(
        (5.0..=7.5).contains(&waiting.delay.as_secs_f64()),
        "{:?}",
        waiting.delay
    );
}

#[tokio::test]
async fn waits_grow_while_nothing_comes_and_start_again_after_an_event() {
    let server = Server::start().await;
    let mut settings = at_once();
    settings.backoff.initial = Duration::from_millis(1);
    let mut stream = subscribe(&server, settings);
    for (events, failures) in [("", 1), ("", 2), ("", 3), ("data: a\n\n", 0), ("", 1)] {
        let (waiting, _) = tokio::join!(waiting(&mut stream), serve(&server, events));
        assert_eq!(waiting.failures, failures);
        let doubled = 1 << failures.saturating_sub(1);
        assert!(
            waiting.delay >= Duration::from_millis(doubled),
            "{:?}",
            waiting.delay
        );
    }
}

#[tokio::test]
async fn method_headers_and_body_are_sent_again_each_time() {
    let server = Server::start().await;
    let request = Request::new(Method::from_bytes(b"REPORT").unwrap(), &server.url("/query?x=1")).unwrap();
    let accept = HeaderValue::from_static("text/event-stream, */*");
    let request = request
        .header(HeaderName::from_static("accept"), accept)
        .unwrap()
        .body(r#"{"hello": "world"}"#);
    let mut stream = client().subscribe(request, at_once());
    for _ in 0..3 {
        let (_, peer) = round(&mut stream, &server, "data: a\n\n").await;
        assert_eq!(
            (peer.method.as_str(), peer.target.as_str()),
            ("REPORT", "/query?x=1")
        );
        assert_eq!(peer.header("accept"), Some("text/event-stream, */*"));
        assert_eq!(peer.body, br#"{"hello": "world"}"#);
    }
}

#[tokio::test]
async fn headers_that_frame_messages_are_the_clients_own() {
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "last-event-id",
    ] {
        let request = Request::get("http://localhost/").unwrap();
        let result = request.header(HeaderName::from_static(name), HeaderValue::from_static("1"));
        assert!(result.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_restart_closes_the_connection_and_goes_on_from_the_last_item() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (found, mut peer) = tokio::join!(
        data(&mut stream),
        server.accept_stream_with("id: 1\ndata: a\n\nid: 2\ndata: b\n\n")
    );
    assert_eq!(found, "a");
    peer.send(": more\n").await;
    stream.restart();
    assert_eq!(
        stream.last_event_id(),
        "1",
        "the second event has not been given out"
    );
    let (found, second) = tokio::join!(data(&mut stream), server.accept_stream_with("data: c\n\n"));
    assert_eq!((found.as_str(), second.header("last-event-id")), ("c", Some("1")));
    peer.closed().await;
}

#[tokio::test]
async fn a_restart_ends_a_wait_and_begins_an_ended_stream_again() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let response = "HTTP/1.1 503 x\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    tokio::join!(waiting(&mut stream), server.answer(response));
    stream.restart();
    tokio::join!(
        next(&mut stream),
        server.answer("HTTP/1.1 204 No Content\r\n\r\n")
    );
    assert!(stream.next().await.is_none());
    stream.restart();
    let (found, _peer) = tokio::join!(data(&mut stream), server.accept_stream_with("data: again\n\n"));
    assert_eq!(found, "again");
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (_, peer) = tokio::join!(data(&mut stream), server.accept_stream_with("data: a\n\n"));
    drop(stream);
    peer.closed().await;
}

#[tokio::test]
async fn a_dropped_wait_for_the_next_item_loses_nothing() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let serving = async {
        let mut peer = server.accept_stream().await;
        for byte in "id: 1\ndata: a\n\ndata: b\n\n".bytes() {
            peer.send([byte]).await;
            tokio::task::yield_now().await;
        }
        peer
    };
    let collecting = async {
        let mut found = Vec::new();
        while found.len() < 2 {
            // Each turn of this loop that loses drops the future of `next`.
            tokio::select! {
                biased;
                Some(item) = stream.next() => if let Item::Event(event) = item { found.push(event.data().to_string()) },
                () = tokio::task::yield_now() => {}
            }
        }
        found
    };
    let (found, _peer) = tokio::join!(collecting, serving);
    assert_eq!(found, ["a", "b"]);
}

#[tokio::test]
async fn an_event_over_the_limit_closes_the_connection_and_is_told() {
    let server = Server::start().await;
    let limits = Limits {
        line_bytes: 100,
        event_bytes: 150,
    };
    let mut stream = subscribe(&server, Settings { limits, ..at_once() });
    let line = "x".repeat(80);
    let event = format!("id: 1\ndata: ok\n\ndata: {line}\ndata: {line}\n\n");
    let endless = "y".repeat(1000);
    for (failures, (bytes, expected)) in (1..).zip([
        (event.as_str(), ParseError::EventTooLarge { limit: 150 }),
        (endless.as_str(), ParseError::LineTooLong { limit: 100 }),
    ]) {
        let (waiting, peer) = tokio::join!(waiting(&mut stream), server.accept_stream_with(bytes));
        let Error::Parse { source, .. } = waiting.why else {
            panic!("{}", waiting.why)
        };
        assert_eq!((source, waiting.failures), (expected, failures), "the waits grow");
        peer.closed().await;
    }
    assert_eq!(stream.last_event_id(), "1");
}

#[tokio::test]
async fn nobody_listening_is_waited_out() {
    let address = Server::start().await.address;
    let request = Request::get(&format!("http://{address}/")).unwrap();
    let mut stream = client().subscribe(request, at_once());
    let waiting = waiting(&mut stream).await;
    assert!(
        matches!(waiting.why, Error::Connect { address: found, .. } if found == address),
        "{}",
        waiting.why
    );
}

#[test]
fn only_http_urls_are_taken() {
    for url in ["", "/events", "ftp://localhost/", "file:///etc/passwd", "http://"] {
        assert!(Request::get(url).is_err(), "{url:?}");
    }
}
