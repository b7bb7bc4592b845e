//! What is asked by HTTP, and how the service itself answers.

use crate::harness::Harness;
use serde_json::{Value, json};

#[tokio::test]
async fn the_service_lists_every_capability() {
    let harness = Harness::start(json!({})).await;
    let answer = harness.ask("GET", "/", "").await;
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let required = [
        "bom",
        "comments",
        "event-type-listeners",
        "headers",
        "last-event-id",
        "post",
        "read-timeout",
        "report",
        "restart",
        "server-directed-shutdown-request",
    ];
    for capability in required {
        assert!(
            body["capabilities"]
                .as_array()
                .unwrap()
                .contains(&capability.into()),
            "{capability}"
        );
    }
}

#[tokio::test]
async fn the_service_refuses_what_it_does_not_know_and_stops_when_told() {
    let harness = Harness::start(json!({})).await;
    let location = harness.location().to_owned();
    for (method, path, body, status) in [
        ("POST", "/", "{}", 400),
        (
            "POST",
            "/",
            r#"{"streamUrl": "ftp://x/", "callbackUrl": "http://x/"}"#,
            400,
        ),
        ("POST", location.as_str(), r#"{"command": "dance"}"#, 400),
        (
            "POST",
            location.as_str(),
            r#"{"command": "listen", "listen": {"type": "greeting"}}"#,
            202,
        ),
        ("POST", "/streams/99", r#"{"command": "restart"}"#, 404),
        ("DELETE", "/streams/99", "", 404),
        ("PUT", "/", "", 405),
        ("DELETE", location.as_str(), "", 204),
        ("DELETE", location.as_str(), "", 404),
        ("DELETE", "/", "", 204),
    ] {
        let answer = harness.ask(method, path, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path} {body}: {answer}"
        );
    }
    harness.stopped().await;
}

#[tokio::test]
async fn a_deleted_stream_is_closed() {
    let (harness, peer) = Harness::open().await;
    harness.ask("DELETE", harness.location(), "").await;
    peer.closed().await;
}

#[tokio::test]
async fn the_default_request_is_the_standards() {
    let (_harness, peer) = Harness::open().await;
    assert_eq!(peer.method, "GET");
    let headers = ["accept", "cache-control", "last-event-id"].map(|name| peer.header(name));
    assert_eq!(headers, [Some("text/event-stream"), Some("no-cache"), None]);
}

#[tokio::test]
async fn headers_and_the_last_id_are_sent() {
    let parameters =
        json!({"headers": {"header-name-1": "value-1", "header-name-2": "value-2"}, "lastEventId": "abc"});
    let (_harness, peer) = Harness::open_with(parameters).await;
    let headers = ["header-name-1", "header-name-2", "last-event-id"].map(|name| peer.header(name));
    assert_eq!(headers, [Some("value-1"), Some("value-2"), Some("abc")]);
}

#[tokio::test]
async fn post_and_report_carry_a_body() {
    for method in ["POST", "REPORT"] {
        let parameters = json!({
            "method": method,
            "body": r#"{"hello": "world"}"#,
            "headers": {"content-type": "application/json; charset=utf-8"},
        });
        let (_harness, peer) = Harness::open_with(parameters).await;
        assert_eq!(
            (peer.method.as_str(), peer.body.as_slice()),
            (method, br#"{"hello": "world"}"#.as_slice())
        );
        assert_eq!(
            peer.header("content-type"),
            Some("application/json; charset=utf-8")
        );
    }
}

#[tokio::test]
async fn redirects_301_and_307_are_followed() {
    for status in [301, 307] {
        let mut harness = Harness::start(json!({})).await;
        let elsewhere = harness.streams.url("/elsewhere");
        let response = format!("HTTP/1.1 {status} x\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
        harness.streams.answer(&response).await;
        let peer = harness.streams.accept_stream_with("data: a\n\n").await;
        assert_eq!(peer.target, "/elsewhere");
        harness.events(&[("message", "a", "")]).await;
    }
}
