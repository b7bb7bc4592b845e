//! Messages for all sessions of a control, between those of the backend.

use crate::pair::*;
use heddle_ws_session::broadcast::{BACKLOG_BYTES, BACKLOG_MESSAGES, Broadcast, BroadcastVolume};
use heddle_ws_session::run;
use heddle_ws_session::{EndReason, SessionRules};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const BINARY_BEGINS_COMPRESSED: u8 = 0x42;

fn broadcast(pair: &Pair, texts: &[&str]) {
    let reach = pair
        .control
        .broadcast(texts.iter().map(|text| Broadcast::text(text)).collect());
    assert_eq!(reach.sessions, 1);
}

async fn broadcast_and_expect(pair: &mut Pair, text: &str) {
    broadcast(pair, &[text]);
    pair.client.expect(TEXT, text.as_bytes()).await;
}

/// Waits until the session has taken a message up or has come to where it cannot.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_all_is_an_unmasked_text_frame_for_the_client_alone() {
    let mut pair = Pair::new(rules());
    settle().await;
    let long = "x".repeat(70_000);
    for text in ["hello", &"y".repeat(300), &long] {
        broadcast_and_expect(&mut pair, text).await;
    }
    pair.client.send(TEXT, b"to the backend").await;
    pair.backend.expect(TEXT, b"to the backend").await;
    assert_eq!(pair.traffic.broadcast.messages.get(), 3);
    assert_eq!(pair.traffic.from_backend.messages.get(), 0);
    pair.client.send_close(1000).await;
    pair.backend.answer_close(1000).await;
    pair.client.expect_close(1000).await;
    let end = pair.end_without_peers().await;
    let bytes = (2 + 5) + (4 + 300) + (10 + 70_000);
    let expected = BroadcastVolume {
        messages: 3,
        bytes,
        missed: 0,
    };
    assert_eq!((end.broadcast, end.from_backend.messages), (expected, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_queued_together_all_go_out_though_nothing_else_happens() {
    let mut pair = Pair::new(rules());
    settle().await;
    broadcast(&pair, &["a", "b", "c"]);
    for text in ["a", "b", "c"] {
        pair.client.expect(TEXT, text.as_bytes()).await;
    }
    let many: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    broadcast(&pair, &many.iter().map(String::as_str).collect::<Vec<_>>());
    for text in many {
        pair.client.expect(TEXT, text.as_bytes()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_all_waits_for_the_end_of_a_fragmented_one_and_control_frames_do_not() {
    let mut pair = Pair::new(rules());
    pair.backend.send(TEXT_BEGINS, b"be").await;
    pair.client.expect(TEXT_BEGINS, b"be").await;
    broadcast(&pair, &["for all"]);
    settle().await;
    // Between the frames of a message there is a boundary, but not for another message.
    pair.backend.send(PING, b"are you there").await;
    pair.client.expect(PING, b"are you there").await;
    pair.backend.send(CONTINUES, b"gi").await;
    pair.client.expect(CONTINUES, b"gi").await;
    let waits = timeout(Duration::from_secs(1), pair.client.frame()).await;
    assert!(waits.is_err(), "{waits:?}");
    // In one read with what follows.
    let bytes = [
        encode(CONTINUATION_ENDS, b"n", false),
        encode(TEXT, b"next", false),
    ];
    let written = pair.backend.stream.write_all(&bytes.concat()).await;
    written.expect("the session reads");
    pair.client.expect(CONTINUATION_ENDS, b"n").await;
    pair.client.expect(TEXT, b"for all").await;
    pair.client.expect(TEXT, b"next").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_for_all_waits_for_the_end_of_a_frame() {
    let mut pair = Pair::new(rules());
    let frame = encode(TEXT, &[b'x'; 100], false);
    for cut in [1, 2, 50, 101] {
        let (begin, end) = frame.split_at(cut);
        pair.backend.stream.write_all(begin).await.expect("written");
        settle().await;
        broadcast(&pair, &["for all"]);
        settle().await;
        pair.backend.stream.write_all(end).await.expect("written");
        // Of a frame whose head is not all there nothing has gone on.
        if cut == 1 {
            pair.client.expect(TEXT, b"for all").await;
            pair.client.expect(TEXT, &[b'x'; 100]).await;
        } else {
            pair.client.expect(TEXT, &[b'x'; 100]).await;
            pair.client.expect(TEXT, b"for all").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_for_all_do_not_go_between_the_pieces_of_a_frame_that_is_longer_than_a_read() {
    const PIECES: usize = 10;
    let mut pair = Pair::new(rules());
    let payload = vec![b'x'; 1 << 20];
    let frame = encode(TEXT, &payload, false);
    for piece in frame.chunks(frame.len().div_ceil(PIECES)) {
        let read = async {
            let mut bytes = vec![0; piece.len()];
            pair.client.stream.read_exact(&mut bytes).await.expect("bytes");
            bytes
        };
        let (written, passed) = tokio::join!(pair.backend.stream.write_all(piece), read);
        written.expect("the session reads");
        assert_eq!(passed, piece);
        broadcast(&pair, &["for all"]);
        settle().await;
    }
    for _ in 0..PIECES {
        pair.client.expect(TEXT, b"for all").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_all_is_not_compressed_where_the_backends_are() {
    let mut pair = Pair::new(rules());
    pair.backend.send(BINARY_BEGINS_COMPRESSED, b"deflated").await;
    pair.client.expect(BINARY_BEGINS_COMPRESSED, b"deflated").await;
    broadcast(&pair, &["plain"]);
    settle().await;
    pair.backend.send(CONTINUATION_ENDS, b"too").await;
    pair.client.expect(CONTINUATION_ENDS, b"too").await;
    pair.client.expect(TEXT, b"plain").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_misses_the_oldest_and_its_session_goes_on() {
    let mut pair = Pair::new(rules());
    settle().await;
    let large = "x".repeat(64 * 1024);
    let most = BACKLOG_BYTES / large.len();
    for number in 0..most * 2 {
        broadcast(&pair, &[&format!("{number:03}{large}")]);
        settle().await;
    }
    let mut numbers = Vec::new();
    while let Ok(frame) = timeout(Duration::from_secs(1), pair.client.frame()).await {
        numbers.push(
            String::from_utf8_lossy(&frame.payload[..3])
                .parse::<usize>()
                .expect("a number"),
        );
    }
    let missed = most * 2 - numbers.len();
    assert!((1..=most).contains(&missed), "{numbers:?}");
    assert_eq!(numbers[0], 0, "what had begun is not cut");
    assert!(
        numbers[1..].iter().copied().eq(missed + 1..most * 2),
        "{numbers:?}"
    );
    assert_eq!(pair.traffic.broadcast.missed.get(), missed as u64);
    pair.backend.send(TEXT, b"goes on").await;
    pair.client.expect(TEXT, b"goes on").await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_until_all_have_looked_makes_nobody_who_reads_miss_anything() {
    let pair = Pair::new(rules());
    settle().await;
    let Pair {
        mut client, control, ..
    } = pair;
    let count = BACKLOG_MESSAGES * 3;
    let reads = async {
        for number in 0..count {
            client.expect(TEXT, number.to_string().as_bytes()).await;
        }
    };
    let sends = async {
        for number in 0..count {
            let mut reach = control.broadcast(vec![Broadcast::text(&number.to_string())]);
            reach.looked().await;
        }
    };
    tokio::join!(reads, sends);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_takes_nothing_is_not_waited_for() {
    let mut pair = Pair::new(rules());
    let stuck = encode(TEXT, &[1; 200_000], false);
    let stuck = timeout(Duration::from_secs(5), pair.backend.stream.write_all(&stuck)).await;
    assert!(stuck.is_err(), "the client takes nothing");
    let mut reach = pair.control.broadcast(vec![Broadcast::text("for all")]);
    let looked = timeout(Duration::from_secs(1), reach.looked()).await;
    looked.expect("it has looked");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_closes_gets_no_message_for_all() {
    let mut pair = Pair::new(rules());
    pair.backend.send_close(1000).await;
    pair.client.expect_close(1000).await;
    broadcast(&pair, &["too late"]);
    settle().await;
    pair.client.send_close(1000).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!((end.reason, end.broadcast.missed), (EndReason::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_a_session_ends_is_missed() {
    let mut pair = Pair::new(rules());
    broadcast_and_expect(&mut pair, "in time").await;
    pair.backend.send(TEXT_BEGINS, b"an end that").await;
    pair.client.expect(TEXT_BEGINS, b"an end that").await;
    broadcast(&pair, &["waits", "too"]);
    settle().await;
    let traffic = Arc::clone(&pair.traffic);
    assert_eq!(traffic.broadcast.missed.get(), 0, "the message may still end");
    pair.client.send_close(1000).await;
    pair.backend.answer_close(1000).await;
    pair.client.expect_close(1000).await;
    let end = pair.end_without_peers().await;
    let got = (end.reason, end.broadcast.messages, end.broadcast.missed);
    assert_eq!(got, (EndReason::Closed, 1, 2));
    assert_eq!(traffic.broadcast.missed.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_a_session_is_broken_off_is_counted() {
    let mut pair = Pair::new(rules());
    pair.backend.send(TEXT_BEGINS, b"an end that").await;
    pair.client.expect(TEXT_BEGINS, b"an end that").await;
    broadcast(&pair, &["waits", "too"]);
    let traffic = Arc::clone(&pair.traffic);
    drop(pair);
    // The session is dropped by the runtime, in a turn of its own.
    settle().await;
    assert_eq!(traffic.broadcast.missed.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn messages_for_all_keep_a_session_from_being_idle_and_drains_still_end_it() {
    let mut pair = Pair::new(SessionRules {
        idle: Some(Duration::from_secs(10)),
        ..rules()
    });
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        broadcast_and_expect(&mut pair, "tick").await;
    }
    pair.control.drain(Duration::from_secs(3));
    broadcast_and_expect(&mut pair, "last").await;
    pair.client.answer_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn the_moment_of_a_drain_is_not_drawn_anew_for_each_message() {
    // The earliest of a thousand moments of this window would nearly always be in its first hundredth.
    let window = Duration::from_secs(1_000_000);
    let mut early = 0;
    for _ in 0..8 {
        let mut pair = Pair::new(rules());
        pair.control.drain(window);
        for _ in 0..1000 {
            broadcast_and_expect(&mut pair, "tick").await;
        }
        early += usize::from(timeout(window / 100, pair.client.frame()).await.is_ok());
    }
    assert!(early < 4, "{early} of 8 sessions end too early");
}

#[tokio::test(start_paused = true)]
async fn sessions_of_one_control_all_get_it_and_nothing_is_left_of_those_that_have_ended() {
    let first = Pair::new(rules());
    let context = heddle_ws_session::SessionContext {
        control: first.control.clone(),
        ..context(rules())
    };
    let (second_side, second_end) = tokio::io::duplex(8192);
    let (_backend_side, backend_end) = tokio::io::duplex(8192);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(run(
        heddle_ws_session::Endpoint::new(second_end),
        heddle_ws_session::Endpoint::new(backend_end),
        context,
    ));
    let mut second = Raw::new(second_side, true);
    let control = first.control.clone();
    let mut client = first.client;
    let reach = control.broadcast(vec![Broadcast::text("for both")]);
    assert_eq!(reach.sessions, 2);
    client.expect(TEXT, b"for both").await;
    second.expect(TEXT, b"for both").await;
    tasks.shutdown().await;
    assert_eq!(control.broadcast(vec![Broadcast::text("for one")]).sessions, 1);
}
