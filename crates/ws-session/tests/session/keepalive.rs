//! Pings to silent peers.

use crate::pair::*;
use heddle_ws_session::Keepalive;
use heddle_ws_session::{ClosedBy, EndReason, SessionRules};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

fn pinging() -> SessionRules {
    SessionRules {
        keepalive: Some(Keepalive {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
        }),
        ..rules()
    }
}

/// Answers Pings of the proxy until `time` is over.
async fn live_for(pair: &mut Pair, time: Duration) -> (usize, usize) {
    let (client, backend) = (&mut pair.client, &mut pair.backend);
    let mut pings = (0, 0);
    let client_lives = async {
        loop {
            let ping = client.frame().await;
            assert_eq!((ping.first, ping.payload.len(), ping.is_masked), (PING, 8, false));
            client.send(PONG, &ping.payload).await;
            pings.0 += 1;
        }
    };
    let backend_lives = async {
        loop {
            let ping = backend.frame().await;
            assert_eq!((ping.first, ping.payload.len(), ping.is_masked), (PING, 8, true));
            backend.send(PONG, &ping.payload).await;
            pings.1 += 1;
        }
    };
    let both = timeout(time, async { tokio::join!(client_lives, backend_lives) });
    both.await.map(|((), ())| ()).expect_err("lives go on");
    pings
}

#[tokio::test(start_paused = true)]
async fn silent_peers_are_pinged_and_their_pongs_go_no_further() {
    let mut pair = Pair::new(pinging());
    assert_eq!(live_for(&mut pair, Duration::from_secs(305)).await, (10, 10));
    pair.client.send(TEXT, b"hello").await;
    pair.backend.expect(TEXT, b"hello").await;
}

#[tokio::test(start_paused = true)]
async fn pongs_of_others_go_on() {
    let mut pair = Pair::new(pinging());
    pair.client.send(PONG, b"8 bytes.").await;
    pair.backend.expect(PONG, b"8 bytes.").await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_of_the_proxys_leaves_what_is_around_it() {
    let mut pair = Pair::new(pinging());
    let ping = pair.client.frame().await;
    let bytes = [
        encode(TEXT, b"before", true),
        encode(PONG, &ping.payload, true),
        encode(TEXT, b"behind", true),
    ];
    for piece in bytes.concat().chunks(5) {
        pair.client.stream.write_all(piece).await.expect("written");
        tokio::task::yield_now().await;
    }
    assert_eq!(pair.backend.frame().await.first, PING);
    pair.backend.expect(TEXT, b"before").await;
    pair.backend.expect(TEXT, b"behind").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_is_not_pinged() {
    let mut pair = Pair::new(pinging());
    for number in 0..10 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        pair.client.send(TEXT, &[number]).await;
        pair.backend.send(TEXT, &[number]).await;
    }
    for number in 0..10 {
        pair.client.expect(TEXT, &[number]).await;
        pair.backend.expect(TEXT, &[number]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_client_is_found() {
    let mut pair = Pair::new(pinging());
    let begin = Instant::now();
    assert_eq!(pair.backend.frame().await.first, PING);
    pair.backend.send(TEXT, b"alive").await;
    pair.backend.expect_close(1001).await;
    assert_eq!(begin.elapsed().as_secs(), 40);
    let Pair { client, .. } = &pair;
    let _held_open = client;
    let end = pair.end_without_peers().await;
    assert_eq!((end.closed_by, end.reason), (ClosedBy::Client, EndReason::Dead));
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_is_found() {
    let mut pair = Pair::new(pinging());
    assert_eq!(pair.client.frame().await.first, PING);
    pair.client.send(TEXT, b"alive").await;
    pair.client.answer_close(1011).await;
    let end = pair.end_without_peers().await;
    assert_eq!((end.closed_by, end.reason), (ClosedBy::Backend, EndReason::Dead));
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_the_other_side_serves_as_well() {
    let mut pair = Pair::new(pinging());
    tokio::time::sleep(Duration::from_secs(29)).await;
    pair.backend.send(PING, b"the backend's own").await;
    pair.client.expect(PING, b"the backend's own").await;
    let quiet = timeout(Duration::from_secs(5), pair.client.frame()).await;
    assert!(quiet.is_err(), "the client has a Ping to answer already");
    pair.client.send(PONG, b"the backend's own").await;
    pair.backend.expect(PONG, b"the backend's own").await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_goes_between_frames() {
    let mut pair = Pair::new(pinging());
    let frame = encode(TEXT, &[b'x'; 100], false);
    pair.backend
        .stream
        .write_all(&frame[..50])
        .await
        .expect("written");
    tokio::time::sleep(Duration::from_secs(35)).await;
    pair.backend
        .stream
        .write_all(&frame[50..])
        .await
        .expect("written");
    pair.client.expect(TEXT, &[b'x'; 100]).await;
    assert_eq!(pair.client.frame().await.first, PING);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_read_is_not_dead() {
    let mut pair = Pair::new(pinging());
    let big = encode(TEXT, &[1; 200_000], true);
    let stuck = timeout(Duration::from_secs(25), pair.client.stream.write_all(&big)).await;
    assert!(stuck.is_err(), "the backend takes nothing");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        pair.backend.send(TEXT, b"alive").await;
    }
    let mut texts = 0;
    while let Ok(frame) = timeout(Duration::from_secs(1), pair.client.frame()).await {
        assert_ne!(frame.first, CLOSE);
        texts += usize::from(frame.first == TEXT);
    }
    assert_eq!(texts, 20);
}
