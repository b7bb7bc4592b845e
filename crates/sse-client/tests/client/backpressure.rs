//! A consumer that stops polling stops the server.

use crate::server::Server;
use crate::subscription::{data, subscribe};
use heddle_sse_client::Settings;
use tokio::io::AsyncWriteExt;

/// More than sockets of both ends buffer together.
const ENDLESS_BYTES: usize = 64 << 20;

#[tokio::test]
async fn a_consumer_that_does_not_poll_stops_the_server_and_loses_nothing() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, Settings::default());
    let (first, mut peer) = tokio::join!(data(&mut stream), server.accept_stream_with("data: first\n\n"));
    assert_eq!(first, "first");
    let event = format!("data: {}\n\n", "x".repeat(1000));
    let mut sent = 0;
    // Nobody polls: the server gets stuck long before it has sent all.
    while sent < ENDLESS_BYTES {
        let write = peer.io.write_all(event.as_bytes());
        let Ok(written) = tokio::time::timeout(std::time::Duration::from_secs(2), write).await else {
            break;
        };
        written.unwrap();
        sent += event.len();
    }
    assert!(sent < ENDLESS_BYTES, "the server could send {sent} bytes");
    for _ in 0..sent / event.len() {
        assert_eq!(data(&mut stream).await.len(), 1000);
    }
}
