//! Broken streams: reconnection, retry, last id, read timeout, restart, and the end that a server asks for.

use crate::harness::Harness;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_broken_stream_is_asked_for_again_with_the_last_id() {
    let (mut harness, mut peer) = Harness::open().await;
    peer.send("id: abc\ndata: Hello\n\ndata: World\n\n").await;
    harness
        .events(&[("message", "Hello", "abc"), ("message", "World", "abc")])
        .await;
    drop(peer);
    harness.error().await;
    let mut peer = harness.streams.accept_stream().await;
    assert_eq!(peer.header("last-event-id"), Some("abc"));
    peer.send("data: again\n\n").await;
    harness.events(&[("message", "again", "abc")]).await;
}

#[tokio::test]
async fn the_body_is_sent_again() {
    let parameters = json!({"initialDelayMs": 0, "method": "POST", "body": "{}"});
    let (mut harness, peer) = Harness::open_with(parameters).await;
    drop(peer);
    harness.error().await;
    let peer = harness.streams.accept_stream().await;
    assert_eq!(
        (peer.method.as_str(), peer.body.as_slice()),
        ("POST", b"{}".as_slice())
    );
}

#[tokio::test]
async fn a_failing_server_is_asked_again_until_it_answers() {
    let mut harness = Harness::start(json!({"initialDelayMs": 1})).await;
    for _ in 0..3 {
        harness
            .streams
            .answer("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert!(harness.error().await.contains("503"));
    }
    let mut peer = harness.streams.accept_stream().await;
    peer.send("data: a\n\n").await;
    harness.events(&[("message", "a", "")]).await;
}

#[tokio::test]
async fn retry_sets_the_time_until_the_next_connection() {
    let (mut harness, mut peer) = Harness::open_with(json!({"initialDelayMs": 3_600_000})).await;
    peer.send("retry: 500\ndata: a\n\n").await;
    harness.events(&[("message", "a", "")]).await;
    drop(peer);
    let broken = Instant::now();
    harness.error().await;
    harness.streams.accept_stream().await;
    assert!(
        broken.elapsed() >= Duration::from_millis(500),
        "{:?}",
        broken.elapsed()
    );
}

#[tokio::test]
async fn a_silent_stream_is_an_error_and_asked_for_again() {
    let (mut harness, mut peer) =
        Harness::open_with(json!({"initialDelayMs": 0, "readTimeoutMs": 500})).await;
    peer.send("data: Hello\n\n").await;
    harness.events(&[("message", "Hello", "")]).await;
    assert!(harness.error().await.contains("silent"));
    harness.streams.accept_stream().await;
    peer.closed().await;
}

#[tokio::test]
async fn a_restart_connects_at_once() {
    let (mut harness, mut peer) = Harness::open_with(json!({"initialDelayMs": 3_600_000})).await;
    peer.send("id: 1\ndata: Hello\n\n").await;
    harness.events(&[("message", "Hello", "1")]).await;
    harness.command(json!({"command": "restart"})).await;
    let mut second = harness.streams.accept_stream().await;
    assert_eq!(second.header("last-event-id"), Some("1"));
    second.send("data: Thanks\n\n").await;
    harness.events(&[("message", "Thanks", "1")]).await;
    peer.closed().await;
}

#[tokio::test]
async fn no_content_shuts_the_stream_down_until_a_restart() {
    let (mut harness, mut peer) = Harness::open().await;
    peer.send("data: a\n\n").await;
    harness.events(&[("message", "a", "")]).await;
    drop(peer);
    harness.error().await;
    harness.streams.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    harness.command(json!({"command": "restart"})).await;
    let mut peer = harness.streams.accept_stream().await;
    peer.send("data: b\n\n").await;
    harness.events(&[("message", "b", "")]).await;
}
