//! How sessions end when nobody says so, or the proxy does.

use crate::pair::*;
use heddle_ws_session::Lifetime;
use heddle_ws_session::{ClosedBy, EndReason, SessionContext, SessionControl, SessionRules, run};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_is_going_away_to_the_backend() {
    let mut pair = Pair::new(rules());
    pair.client.send(TEXT, b"last words").await;
    let Pair {
        client, mut backend, ..
    } = pair;
    drop(client);
    backend.expect(TEXT, b"last words").await;
    backend.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_vanishes_is_an_error_to_the_client() {
    let mut pair = Pair::new(rules());
    pair.backend.send(TEXT, b"last words").await;
    pair.backend.stream.shutdown().await.expect("shut down");
    pair.client.expect(TEXT, b"last words").await;
    pair.client.answer_close(1011).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.closed_by, end.reason),
        (ClosedBy::Backend, EndReason::Vanished)
    );
    assert_eq!((end.code_to_client, end.code_from_backend), (Some(1011), None));
}

#[tokio::test(start_paused = true)]
async fn a_frame_whose_sender_vanishes_is_cut_without_a_close_frame() {
    let mut pair = Pair::new(rules());
    let frame = encode(TEXT, &[b'x'; 1000], false);
    pair.backend
        .stream
        .write_all(&frame[..500])
        .await
        .expect("written");
    pair.backend.stream.shutdown().await.expect("shut down");
    assert_eq!(pair.client.rest().await, frame[..500]);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_never_ends_is_not_passed_on() {
    let mut pair = Pair::new(rules());
    pair.client
        .stream
        .write_all(&encode(TEXT, b"whole", true))
        .await
        .expect("written");
    pair.client
        .stream
        .write_all(&[TEXT, 0xFE, 1])
        .await
        .expect("written");
    pair.client.stream.shutdown().await.expect("shut down");
    pair.backend.expect(TEXT, b"whole").await;
    pair.backend.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn codes_that_must_not_be_on_the_wire_do_not_reach_clients() {
    for code in [1005, 1006, 1015] {
        let mut pair = Pair::new(rules());
        pair.backend.send_close(code).await;
        pair.client.answer_close(1011).await;
        pair.backend.expect_close(1002).await;
        let end = pair.end_without_peers().await;
        assert_eq!(
            (end.reason, end.code_to_client, end.code_from_backend),
            (EndReason::InvalidMessage, Some(1011), Some(code))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn draining_closes_the_client_first_and_loses_nothing_that_it_sends_before_its_answer() {
    let mut pair = Pair::new(rules());
    pair.client.send(TEXT, b"before").await;
    pair.control.drain(Duration::ZERO);
    pair.backend.expect(TEXT, b"before").await;
    pair.client.expect_close(1001).await;
    pair.client.send(TEXT, b"on its way").await;
    pair.client.send_close(1001).await;
    pair.backend.expect(TEXT, b"on its way").await;
    pair.backend.answer_close(1001).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.closed_by, end.reason, end.code()),
        (ClosedBy::Proxy, EndReason::Drain, 1001)
    );
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_the_end_of_a_frame() {
    let mut pair = Pair::new(rules());
    let frame = encode(TEXT, &[b'x'; 100], false);
    pair.backend
        .stream
        .write_all(&frame[..50])
        .await
        .expect("written");
    pair.control.drain(Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.backend
        .stream
        .write_all(&frame[50..])
        .await
        .expect("written");
    pair.client.expect(TEXT, &[b'x'; 100]).await;
    pair.client.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_goes_between_two_frames_of_one_read() {
    let mut pair = Pair::new(rules());
    pair.backend
        .stream
        .write_all(&encode(TEXT, b"first", false)[..4])
        .await
        .expect("written");
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.control.drain(Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rest = [
        &encode(TEXT, b"first", false)[4..],
        &encode(TEXT, b"second", false),
    ]
    .concat();
    pair.backend.stream.write_all(&rest).await.expect("written");
    pair.client.expect(TEXT, b"first").await;
    pair.client.expect_close(1001).await;
    pair.client.send_close(1001).await;
    pair.backend.answer_close(1001).await;
    pair.client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn sessions_drain_spread_over_the_window() {
    let control = heddle_ws_session::SessionControl::new();
    let mut sessions = tokio::task::JoinSet::new();
    let begin = Instant::now();
    for _ in 0..200 {
        let (mut client, client_end) = tokio::io::duplex(1024);
        let (backend, backend_end) = tokio::io::duplex(1024);
        let mut context = context(rules());
        context.control = control.clone();
        sessions.spawn(async move {
            let session = heddle_ws_session::run(
                heddle_ws_session::Endpoint::new(client_end),
                heddle_ws_session::Endpoint::new(backend_end),
                context,
            );
            let watched = async {
                let mut byte = [0];
                tokio::io::AsyncReadExt::read_exact(&mut client, &mut byte)
                    .await
                    .expect("a Close frame");
                drop((client, backend));
                begin.elapsed()
            };
            tokio::join!(session, watched).1
        });
    }
    tokio::task::yield_now().await;
    control.drain(Duration::from_secs(20));
    let times = sessions.join_all().await;
    assert!(times.iter().all(|time| *time <= Duration::from_millis(20_002)));
    for quarter in 0..4 {
        let from = Duration::from_secs(5 * quarter);
        let count = times
            .iter()
            .filter(|time| **time >= from && **time < from + Duration::from_secs(5))
            .count();
        assert!(count > 20, "{count} sessions in quarter {quarter}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_drain_ends_sessions_sooner() {
    let mut pair = Pair::new(rules());
    pair.control.drain(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_millis(1)).await;
    pair.control.drain(Duration::ZERO);
    let begin = Instant::now();
    pair.client.expect_close(1001).await;
    assert!(begin.elapsed() < Duration::from_millis(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_drain_wakes_sessions_that_the_first_was_still_waking() {
    for round in 0..200 {
        let control = SessionControl::new();
        let mut pairs: Vec<_> = (0..16)
            .map(|_| {
                Pair::of(rules(), b"", b"", |client, backend, context, session| {
                    let control = control.clone();
                    session.spawn(run(client, backend, SessionContext { control, ..context }));
                })
            })
            .collect();
        for pair in &mut pairs {
            pair.backend.send(TEXT, b"it has begun").await;
            pair.client.expect(TEXT, b"it has begun").await;
        }
        control.drain(Duration::from_secs(3600));
        // Long enough for all to have fallen asleep again.
        tokio::time::sleep(Duration::from_millis(2)).await;
        control.drain(Duration::ZERO);
        for pair in &mut pairs {
            let closes = tokio::time::timeout(CLOSE_TIMEOUT, pair.client.expect_close(1001));
            assert!(closes.await.is_ok(), "in round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_age_less_its_jitter() {
    let lifetime = Some(Lifetime {
        max_age: Duration::from_secs(100),
        jitter: 0.5,
    });
    let mut ages = Vec::new();
    for _ in 0..20 {
        let mut pair = Pair::new(SessionRules {
            lifetime: lifetime.clone(),
            ..rules()
        });
        let begin = Instant::now();
        pair.client.answer_close(1001).await;
        ages.push(begin.elapsed());
        pair.backend.answer_close(1001).await;
        let end = pair.end_without_peers().await;
        assert_eq!((end.closed_by, end.reason), (ClosedBy::Proxy, EndReason::MaxAge));
    }
    assert!(
        ages.iter().all(|age| (50..=101).contains(&age.as_secs())),
        "{ages:?}"
    );
    assert!(
        ages.iter().max().expect("some").as_secs() - ages.iter().min().expect("some").as_secs() > 5,
        "{ages:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_of_both_ends_a_session_and_pings_are_silence() {
    let mut pair = Pair::new(SessionRules {
        idle: Some(Duration::from_secs(60)),
        ..rules()
    });
    let begin = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        pair.client.send(TEXT, b"still here").await;
        pair.backend.expect(TEXT, b"still here").await;
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    pair.client.send(PING, b"").await;
    pair.backend.expect(PING, b"").await;
    pair.client.answer_close(1001).await;
    assert_eq!(begin.elapsed().as_secs(), 210);
    pair.backend.answer_close(1001).await;
    assert_eq!(pair.end_without_peers().await.reason, EndReason::Idle);
}

#[tokio::test(start_paused = true)]
async fn peers_that_answer_no_close_frame_are_left_after_a_time_for_each() {
    let pair = Pair::new(rules());
    pair.control.drain(Duration::ZERO);
    let begin = Instant::now();
    let end = pair.end().await;
    assert_eq!(end.reason, EndReason::Drain);
    assert_eq!(
        (end.code_to_client, end.code_to_backend),
        (Some(1001), Some(1001))
    );
    assert_eq!(begin.elapsed().as_secs(), 2 * CLOSE_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_backend_does_not_answer_its_close_frame_gets_an_answer() {
    let mut pair = Pair::new(rules());
    let begin = Instant::now();
    pair.client.send_close(3500).await;
    pair.client.expect_close(3500).await;
    pair.client.expect_end().await;
    assert_eq!(begin.elapsed().as_secs(), CLOSE_TIMEOUT.as_secs());
    let end = pair.end_without_peers().await;
    assert_eq!((end.closed_by, end.code_from_backend), (ClosedBy::Client, None));
}

#[tokio::test(start_paused = true)]
async fn the_backend_closes_its_connection_before_the_proxy_does() {
    let mut pair = Pair::new(rules());
    pair.client.send_close(1000).await;
    pair.backend.answer_close(1000).await;
    pair.client.expect_close(1000).await;
    pair.client.expect_end().await;
    let waited = tokio::time::timeout(CLOSE_TIMEOUT / 2, pair.backend.next()).await;
    assert!(waited.is_err(), "the proxy waits for the backend");
    pair.backend.stream.shutdown().await.expect("shut down");
    pair.backend.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_nothing_does_not_keep_the_session() {
    let mut pair = Pair::new(rules());
    let big = vec![0; 100_000];
    let stuck = tokio::time::timeout(Duration::from_secs(1), pair.backend.send(TEXT, &big)).await;
    assert!(stuck.is_err(), "nobody reads at the client");
    pair.control.drain(Duration::ZERO);
    let begin = Instant::now();
    let end = pair.end().await;
    assert!(begin.elapsed() <= 3 * CLOSE_TIMEOUT, "{:?}", begin.elapsed());
    assert_eq!((end.reason, end.code_to_client), (EndReason::Drain, None));
}
