//! Which answers open a stream, which are waited out and which are final.

use crate::server::Server;
use crate::subscription::{at_once, data, failed, next, subscribe, waiting};
use heddle_sse_client::{End, Error, Item, Settings};
use http::StatusCode;
use std::time::{Duration, SystemTime};

async fn final_error(response: &str) -> Error {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (error, _) = tokio::join!(failed(&mut stream), server.answer(response));
    assert!(stream.next().await.is_none(), "nothing comes behind the end");
    error
}

#[tokio::test]
async fn a_stream_that_is_not_an_event_stream_is_final() {
    for head in [
        "Content-Type: text/html\r\n",
        "Content-Type: text/plain; x=text/event-stream\r\n",
        "",
    ] {
        let error = final_error(&format!("HTTP/1.1 200 OK\r\n{head}\r\ndata: x\n\n")).await;
        assert!(matches!(error, Error::ContentType { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_is_final() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n";
    assert!(matches!(final_error(head).await, Error::ContentEncoding { .. }));
}

#[tokio::test]
async fn statuses_that_say_no_are_final() {
    for status in [400, 401, 403, 404, 410, 501, 206, 201] {
        let error = final_error(&format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")).await;
        let Error::Status { status: found, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(found.as_u16(), status);
    }
}

#[tokio::test]
async fn no_content_ends_the_stream_for_good() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (item, _) = tokio::join!(
        next(&mut stream),
        server.answer("HTTP/1.1 204 No Content\r\n\r\n")
    );
    assert!(matches!(item, Item::Ended(End::NoContent)));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn statuses_that_pass_are_waited_out() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, at_once());
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let response = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        let (waiting, _) = tokio::join!(waiting(&mut stream), server.answer(&response));
        let Error::Status { status: found, .. } = waiting.why else {
            panic!("{}", waiting.why)
        };
        assert_eq!(found.as_u16(), status);
    }
    let (data, _peer) = tokio::join!(data(&mut stream), async {
        let mut peer = server.accept_stream().await;
        peer.send("data: at last\n\n").await;
        peer
    });
    assert_eq!(data, "at last");
}

#[tokio::test]
async fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    for (value, seconds) in [("120".to_owned(), 119..=180), (in_an_hour, 590..=900)] {
        let server = Server::start().await;
        let mut stream = subscribe(&server, at_once());
        let response = format!("HTTP/1.1 429 x\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let (waiting, _) = tokio::join!(waiting(&mut stream), server.answer(&response));
        assert!(seconds.contains(&waiting.delay.as_secs()), "{:?}", waiting.delay);
        assert_eq!(waiting.failures, 1);
    }
}

#[tokio::test]
async fn what_is_retryable_is_the_callers_to_say() {
    let server = Server::start().await;
    let settings = Settings {
        is_retryable: |error| {
            matches!(
                error,
                Error::Status {
                    status: StatusCode::UNAUTHORIZED,
                    ..
                }
            )
        },
        ..at_once()
    };
    let mut stream = subscribe(&server, settings);
    let (waiting, _) = tokio::join!(
        waiting(&mut stream),
        server.answer("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n")
    );
    assert!(matches!(waiting.why, Error::Status { .. }));
    let (error, _) = tokio::join!(
        failed(&mut stream),
        server.answer("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")
    );
    assert!(matches!(error, Error::Status { .. }));
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_waited_out() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (waiting, _) = tokio::join!(waiting(&mut stream), server.answer("SSH-2.0-OpenSSH\r\n"));
    assert!(matches!(waiting.why, Error::Exchange { .. }), "{}", waiting.why);
}

#[tokio::test]
async fn bodies_come_in_chunks_or_with_a_length_too() {
    let chunked =
        "Transfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n6\r\n a\n\nid\r\n5\r\n: 1\n\n\r\n0\r\n\r\n";
    let sized = "Content-Length: 9\r\n\r\ndata: a\n\nmore that is not read";
    for body in [chunked, sized] {
        let server = Server::start().await;
        let mut stream = subscribe(&server, Settings::default());
        let response = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{body}");
        let (found, _) = tokio::join!(data(&mut stream), server.answer(&response));
        assert_eq!(found, "a");
        assert!(matches!(
            waiting(&mut stream).await.why,
            Error::EndOfStream { .. }
        ));
    }
}

#[tokio::test]
async fn errors_tell_no_secrets() {
    let server = Server::start().await;
    let url = format!("http://user:canary@{}/events?token=canary", server.address);
    let mut header = http::HeaderValue::from_static("canary");
    header.set_sensitive(true);
    let request = heddle_sse_client::Request::get(&url).unwrap();
    let request = request
        .header(http::HeaderName::from_static("x-key"), header)
        .unwrap()
        .body("canary");
    assert!(!format!("{request:?}").contains("canary"));
    let mut stream = crate::subscription::client().subscribe(request, Settings::default());
    assert!(!format!("{stream:?}").contains("canary"));
    let response = "HTTP/1.1 404 canary\r\nX-Reason: canary\r\nContent-Length: 6\r\n\r\ncanary";
    let (error, peer) = tokio::join!(failed(&mut stream), server.answer(response));
    assert_eq!(peer.header("authorization"), Some("Basic dXNlcjpjYW5hcnk="));
    assert_eq!(peer.target, "/events?token=canary");
    let texts = format!("{error} {error:?}");
    assert!(
        texts.contains("/events") && texts.contains("404") && !texts.contains("canary"),
        "{texts}"
    );
}
