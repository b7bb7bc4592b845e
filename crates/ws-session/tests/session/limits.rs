//! What clients and backends may use up.

use crate::pair::*;
use heddle_ws_session::MessageRate;
use heddle_ws_session::OnExceed;
use heddle_ws_session::{ClosedBy, EndReason, SessionRules};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

fn at_most(bytes: u64) -> SessionRules {
    SessionRules {
        max_message_bytes: Some(bytes),
        ..rules()
    }
}

fn at_rate(per_second: u32, burst: u32, on_exceed: OnExceed) -> SessionRules {
    SessionRules {
        message_rate: Some(MessageRate {
            per_second,
            burst,
            on_exceed,
        }),
        ..rules()
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_as_long_as_the_limit_passes_and_a_longer_one_ends_the_session() {
    let mut pair = Pair::new(at_most(100));
    pair.client.send(TEXT, &[b'x'; 100]).await;
    pair.backend.expect(TEXT, &[b'x'; 100]).await;
    pair.client.send(TEXT, &[b'x'; 101]).await;
    pair.backend.answer_close(1001).await;
    pair.client.answer_close(1009).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.closed_by, end.reason),
        (ClosedBy::Proxy, EndReason::MessageTooBig)
    );
    assert_eq!(
        (end.code_to_client, end.code_to_backend),
        (Some(1009), Some(1001))
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_over_all_frames_of_a_message_and_the_first_ones_arrive() {
    let mut pair = Pair::new(at_most(100));
    pair.client.send(TEXT_BEGINS, &[b'x'; 60]).await;
    pair.client.send(PING, &[b'x'; 60]).await;
    pair.client.send(CONTINUES, &[b'x'; 40]).await;
    pair.client.send(CONTINUATION_ENDS, b"x").await;
    pair.backend.expect(TEXT_BEGINS, &[b'x'; 60]).await;
    pair.backend.expect(PING, &[b'x'; 60]).await;
    pair.backend.expect(CONTINUES, &[b'x'; 40]).await;
    pair.backend.expect_close(1001).await;
    pair.client.expect_close(1009).await;
}

#[tokio::test(start_paused = true)]
async fn the_header_alone_is_enough_to_refuse_a_message() {
    let mut pair = Pair::new(at_most(100));
    let header = &encode(TEXT, &[0; 100_000], true)[..14];
    pair.client.stream.write_all(header).await.expect("written");
    pair.client.expect_close(1009).await;
    pair.backend.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_sends_too_long_a_message_learns_it_too() {
    let mut pair = Pair::new(at_most(100));
    pair.backend.send(TEXT, &[b'x'; 101]).await;
    pair.client.answer_close(1011).await;
    pair.backend.answer_close(1009).await;
    assert_eq!(pair.end_without_peers().await.reason, EndReason::MessageTooBig);
}

#[tokio::test(start_paused = true)]
async fn what_exceeds_the_rate_waits_and_arrives() {
    let mut pair = Pair::new(at_rate(10, 5, OnExceed::Wait));
    let begin = Instant::now();
    let all: Vec<u8> = (0..25).flat_map(|number| encode(TEXT, &[number], true)).collect();
    pair.client.stream.write_all(&all).await.expect("written");
    for number in 0..25 {
        pair.backend.expect(TEXT, &[number]).await;
    }
    let taken = begin.elapsed().as_millis();
    assert!((1_995..=2_050).contains(&taken), "{taken} ms");
}

#[tokio::test(start_paused = true)]
async fn a_fast_rate_is_reached_although_the_clock_is_coarse() {
    let mut pair = Pair::new(at_rate(10_000, 1, OnExceed::Wait));
    let begin = Instant::now();
    let all: Vec<u8> = (0..1_000).flat_map(|_| encode(TEXT, b"x", true)).collect();
    pair.client.stream.write_all(&all).await.expect("written");
    for _ in 0..1_000 {
        pair.backend.frame().await;
    }
    let taken = begin.elapsed().as_millis();
    assert!((90..=110).contains(&taken), "{taken} ms");
}

#[tokio::test(start_paused = true)]
async fn fragments_and_control_frames_count_for_no_message() {
    let mut pair = Pair::new(at_rate(1, 1, OnExceed::Close));
    pair.client.send(TEXT_BEGINS, b"a").await;
    pair.client.send(CONTINUES, b"b").await;
    pair.client.send(PING, b"c").await;
    pair.client.send(CONTINUATION_ENDS, b"d").await;
    for _ in 0..4 {
        pair.backend.frame().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.client.send(TEXT, b"next").await;
    pair.backend.expect(TEXT, b"next").await;
}

#[tokio::test(start_paused = true)]
async fn what_exceeds_the_rate_ends_the_session_if_the_route_says_so() {
    let mut pair = Pair::new(at_rate(1, 2, OnExceed::Close));
    for number in 0..3 {
        pair.client.send(TEXT, &[number]).await;
    }
    pair.backend.expect(TEXT, &[0]).await;
    pair.backend.expect(TEXT, &[1]).await;
    pair.backend.answer_close(1001).await;
    pair.client.answer_close(1008).await;
    assert_eq!(pair.end_without_peers().await.reason, EndReason::MessageRate);
}

#[tokio::test(start_paused = true)]
async fn the_backend_may_send_as_much_as_it_wants() {
    let mut pair = Pair::new(at_rate(1, 1, OnExceed::Close));
    for number in 0..20 {
        pair.backend.send(TEXT, &[number]).await;
        pair.client.expect(TEXT, &[number]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waited_goes_on_waiting_for_a_backend_that_takes_nothing() {
    let mut pair = Pair::new(at_rate(10, 1, OnExceed::Wait));
    let big = encode(TEXT, &[7; 7_000], true);
    pair.client
        .stream
        .write_all(&[big.clone(), big].concat())
        .await
        .expect("written");
    tokio::time::sleep(Duration::from_secs(10)).await;
    pair.client.send(TEXT, b"third").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..2 {
        assert_eq!(pair.backend.frame().await.payload.len(), 7_000);
    }
    pair.backend.expect(TEXT, b"third").await;
}
