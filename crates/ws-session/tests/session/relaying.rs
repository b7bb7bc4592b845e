//! What goes on as it is.

use crate::pair::*;
use heddle_ws_session::broadcast::BroadcastVolume;
use heddle_ws_session::{ClosedBy, EndReason, SessionEnd, Volume};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn frames_go_both_ways_as_they_are() {
    let mut pair = Pair::new(rules());
    pair.client.send(TEXT, b"from the client").await;
    pair.backend.expect(TEXT, b"from the client").await;
    pair.backend.send(PING, b"are you there").await;
    pair.client.expect(PING, b"are you there").await;
    pair.client.send(PONG, b"are you there").await;
    pair.backend.expect(PONG, b"are you there").await;
    let Pair { client, backend, .. } = &mut pair;
    let long = [b'x'; 70_000];
    tokio::join!(backend.send(TEXT, &long), client.expect(TEXT, &long));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_with_the_handshake_comes_first() {
    let client = [encode(TEXT, b"early", true), vec![TEXT]].concat();
    let backend = encode(TEXT, b"greeting", false);
    let mut pair = Pair::with_leftovers(rules(), &client, &backend);
    let (early, greeting) = (client.len() as u64, backend.len() as u64);
    assert_eq!(pair.traffic.from_client.bytes.get(), early);
    assert_eq!(pair.traffic.from_backend.bytes.get(), greeting);
    pair.client.expect(TEXT, b"greeting").await;
    pair.backend.expect(TEXT, b"early").await;
    pair.client
        .stream
        .write_all(&encode(TEXT, b"late", true)[1..])
        .await
        .expect("written");
    pair.backend.expect(TEXT, b"late").await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_handshake_of_the_client_is_the_backends_to_answer() {
    let mut pair = Pair::new(rules());
    pair.client.send(TEXT, b"hello").await;
    pair.backend.expect(TEXT, b"hello").await;
    pair.client.send_close(1000).await;
    pair.backend.answer_close(1000).await;
    pair.client.expect_close(1000).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    let expected = SessionEnd {
        closed_by: ClosedBy::Client,
        reason: EndReason::Closed,
        code_from_client: Some(1000),
        code_from_backend: Some(1000),
        code_to_client: Some(1000),
        code_to_backend: Some(1000),
        from_client: Volume {
            messages: 1,
            bytes: 11 + 8,
        },
        from_backend: Volume {
            messages: 0,
            bytes: 4,
        },
        broadcast: BroadcastVolume::default(),
    };
    assert_eq!(end, expected);
}

#[tokio::test(start_paused = true)]
async fn a_closing_handshake_of_the_backend_is_the_clients_to_answer() {
    let mut pair = Pair::new(rules());
    pair.backend.send_close(4321).await;
    pair.client.answer_close(4321).await;
    pair.backend.expect_close(4321).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.closed_by, end.reason, end.code()),
        (ClosedBy::Backend, EndReason::Closed, 4321)
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_without_a_code_stays_without_one() {
    let mut pair = Pair::new(rules());
    pair.client.send(CLOSE, b"").await;
    pair.backend.expect(CLOSE, b"").await;
    pair.backend.send(CLOSE, b"").await;
    pair.client.expect(CLOSE, b"").await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.code_from_client, end.code_to_client),
        (Some(1005), Some(1005))
    );
}

#[tokio::test(start_paused = true)]
async fn what_clients_must_not_send_reaches_the_backend_as_it_is() {
    for (first, payload) in [
        (0xF1, &b"reserved bits"[..]),
        (0x8B, b"reserved"),
        (0x09, b"part"),
        (CLOSE, &[3, 0xEE]),
    ] {
        let mut pair = Pair::new(rules());
        pair.client.send(first, payload).await;
        pair.backend.expect(first, payload).await;
        pair.backend.send_close(1002).await;
        pair.client.expect_close(1002).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_close_frame_goes_nowhere() {
    let mut pair = Pair::new(rules());
    let bytes = [encode(CLOSE, &[3, 0xE8], true), encode(TEXT, b"too late", true)].concat();
    pair.client.stream.write_all(&bytes).await.expect("written");
    pair.backend.answer_close(1000).await;
    drop(pair.backend.stream.shutdown().await);
    pair.backend.expect_end().await;
    pair.client.expect_close(1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_makes_the_sender_wait() {
    let mut pair = Pair::new(rules());
    let message = encode(TEXT, &[7; 1_000_000], true);
    let mut sent = 0;
    let mut sleep = std::pin::pin!(tokio::time::sleep(std::time::Duration::from_secs(1)));
    while let Some(count) = tokio::select! {
        biased;
        count = pair.client.stream.write(&message[sent..]) => Some(count.expect("written")),
        () = &mut sleep => None,
    } {
        sent += count;
    }
    assert!(
        sent <= heddle_ws_session::READ_BYTES + 3 * 8 * 1024,
        "{sent} bytes were taken"
    );
    let (client, backend) = (&mut pair.client, &mut pair.backend);
    let (rest, frame) = tokio::join!(client.stream.write_all(&message[sent..]), backend.frame());
    rest.expect("written");
    assert_eq!(frame.payload.len(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn counters_move_while_the_session_is_open() {
    let mut pair = Pair::new(rules());
    pair.client.send(TEXT_BEGINS, b"one ").await;
    pair.client.send(CONTINUATION_ENDS, b"message").await;
    pair.client.send(PING, b"").await;
    for _ in 0..3 {
        pair.backend.frame().await;
    }
    let counted = &pair.traffic.from_client;
    assert_eq!((counted.messages.get(), counted.bytes.get()), (1, 10 + 13 + 6));
    assert_eq!(pair.traffic.from_backend.bytes.get(), 0);
}

fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let first = prop_oneof![
        Just(TEXT),
        Just(TEXT_BEGINS),
        Just(CONTINUES),
        Just(CONTINUATION_ENDS),
        Just(PING),
        Just(PONG)
    ];
    let payload = prop_oneof![0..12_usize, 120..130_usize, 65_530..65_540_usize]
        .prop_flat_map(|length| prop::collection::vec(any::<u8>(), length));
    prop::collection::vec((first, payload), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn streams_arrive_byte_by_byte_however_they_are_cut(up in frames(), down in frames(), pieces in prop::collection::vec(1..9_000_usize, 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let Pair { client, backend, .. } = &mut Pair::new(rules());
            let encode_all = |frames: &[(u8, Vec<u8>)], masks| -> Vec<u8> {
                frames.iter().flat_map(|(first, payload)| encode(*first, payload, masks)).collect()
            };
            let (up, down) = (encode_all(&up, true), encode_all(&down, false));
            let (mut client_in, mut client_out) = tokio::io::split(&mut client.stream);
            let (mut backend_in, mut backend_out) = tokio::io::split(&mut backend.stream);
            let (mut up_seen, mut down_seen) = (vec![0; up.len()], vec![0; down.len()]);
            tokio::join!(
                send_in_pieces(&mut client_out, &up, &pieces),
                send_in_pieces(&mut backend_out, &down, &pieces),
                async { backend_in.read_exact(&mut up_seen).await.expect("all arrives") },
                async { client_in.read_exact(&mut down_seen).await.expect("all arrives") },
            );
            assert!(up == up_seen && down == down_seen);
        });
    }
}

async fn send_in_pieces(to: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8], pieces: &[usize]) {
    let mut rest = bytes;
    for length in pieces.iter().cycle() {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        to.write_all(piece).await.expect("written");
        tokio::task::yield_now().await;
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
}
