//! Sessions that transcode, between raw peers.

#[expect(
    dead_code,
    reason = "the raw peers are those of the tests of untouched sessions, which need more of them"
)]
#[path = "../../../crates/ws-session/tests/session/pair.rs"]
mod pair;

use super::*;
use heddle_crds::transcoding::UnknownFields;
use heddle_crds::ws_route::{Encoding, InvalidMessagePolicy};
use heddle_dynamic_protobuf::{Schema, SchemaCell};
use heddle_route_config::Transcoding;
use heddle_ws_session::{ClosedBy, EndReason, Keepalive, MessageRate, OnExceed, SessionRules, Volume};
use pair::*;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

const BINARY: u8 = 0x82;

const CHAT: &str = r#"syntax = "proto3"; package chat;
    message Say { string text = 1; int32 room = 2; }
    message Said { string text = 1; string by = 2; }"#;

fn schema(source: &str) -> Schema {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("chat.proto"), source).expect("written");
    let mut compiler = protox::Compiler::new([folder.path()]).expect("a compiler");
    let set = compiler
        .open_file("chat.proto")
        .expect("valid IDL")
        .encode_file_descriptor_set();
    Schema::from_descriptor_set(&set).expect("a valid schema")
}

fn transcoding() -> Transcoding {
    Transcoding {
        idl_repo: "chat".into(),
        client_encoding: Encoding::Json,
        client_message: "chat.Say".into(),
        backend_message: "chat.Said".into(),
        on_invalid_message: InvalidMessagePolicy::Close,
        unknown_fields: UnknownFields::Ignore,
    }
}

fn transcoder(transcoding: Transcoding) -> Arc<Transcoder> {
    let cell = Arc::new(SchemaCell::new(schema(CHAT)));
    Arc::new(Transcoder::new(transcoding, cell).expect("the types are there"))
}

fn transcoding_pair(rules: SessionRules, transcoder: Arc<Transcoder>) -> Pair {
    Pair::of(rules, b"", b"", |client, backend, context, session| {
        session.spawn(run(client, backend, context, transcoder));
    })
}

fn pair() -> Pair {
    transcoding_pair(limited(), transcoder(transcoding()))
}

fn limited() -> SessionRules {
    SessionRules {
        max_message_bytes: Some(1000),
        ..rules()
    }
}

const SAY_HI: &[u8] = b"\x0a\x02hi\x10\x07";
const SAID_HI: &[u8] = b"\x0a\x02hi\x12\x03bob";

#[tokio::test(start_paused = true)]
async fn json_of_the_client_is_protobuf_at_the_backend_and_back() {
    let mut pair = pair();
    pair.client.send(TEXT, br#"{"text": "hi", "room": 7}"#).await;
    let frame = pair.backend.frame().await;
    assert_eq!(
        (frame.first, frame.payload.as_slice(), frame.is_masked),
        (BINARY, SAY_HI, true)
    );
    pair.backend.send(BINARY, SAID_HI).await;
    let frame = pair.client.frame().await;
    assert_eq!((frame.first, frame.is_masked), (TEXT, false));
    assert_eq!(frame.payload, br#"{"text":"hi","by":"bob"}"#);
    assert_eq!(pair.traffic.from_client.messages.get(), 1);
    assert_eq!(pair.traffic.from_client.bytes.get(), 6 + 25);
    assert_eq!(pair.traffic.from_backend.bytes.get(), 2 + SAID_HI.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn protobuf_of_the_client_is_json_at_the_backend_and_back() {
    let transcoding = Transcoding {
        client_encoding: Encoding::Protobuf,
        ..transcoding()
    };
    let mut pair = transcoding_pair(limited(), transcoder(transcoding));
    pair.client.send(BINARY, SAY_HI).await;
    assert_eq!(pair.backend.frame().await.payload, br#"{"text":"hi","room":7}"#);
    pair.backend.send(TEXT, br#"{"text":"hi","by":"bob"}"#).await;
    assert_eq!(pair.client.frame().await.payload, SAID_HI);
}

#[tokio::test(start_paused = true)]
async fn fragments_are_one_message() {
    let mut pair = pair();
    pair.client.send(TEXT_BEGINS, br#"{"text": "#).await;
    pair.client.send(CONTINUATION_ENDS, br#""hi", "room": 7}"#).await;
    assert_eq!(pair.backend.frame().await.payload, SAY_HI);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_turned_ends_the_session_with_the_place() {
    let mut pair = pair();
    pair.client.send(TEXT, br#"{"room": "secret"}"#).await;
    let close = pair.client.frame().await;
    assert_eq!(close.code(), 1007);
    let reason = String::from_utf8(close.payload[2..].to_vec()).expect("text");
    assert!(reason.contains("room") && !reason.contains("secret"), "{reason}");
    pair.client.send_close(1007).await;
    pair.backend.answer_close(1001).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.closed_by, end.reason),
        (ClosedBy::Proxy, EndReason::InvalidMessage)
    );
}

#[tokio::test(start_paused = true)]
async fn the_sender_is_told_of_a_message_that_cannot_be_turned_if_the_route_says_so() {
    let transcoding = Transcoding {
        on_invalid_message: InvalidMessagePolicy::Reply,
        ..transcoding()
    };
    let mut pair = transcoding_pair(limited(), transcoder(transcoding));
    for bad in [&br#"{"room": "secret"}"#[..], b"[", br#"{"text": 1}"#] {
        pair.client.send(TEXT, bad).await;
        let reply = pair.client.frame().await;
        let reply: serde_json::Value = serde_json::from_slice(&reply.payload).expect("JSON");
        assert_eq!(reply["error"]["code"], "INVALID_MESSAGE");
        assert!(!reply["error"]["message"].to_string().contains("secret"));
    }
    pair.client.send(BINARY, SAY_HI).await;
    assert!(String::from_utf8_lossy(&pair.client.frame().await.payload).contains("expected a text message"));
    pair.client.send(TEXT, br#"{"text": "hi", "room": 7}"#).await;
    assert_eq!(pair.backend.frame().await.payload, SAY_HI);
}

#[tokio::test(start_paused = true)]
async fn members_that_the_type_lacks_are_left_out_or_refused() {
    let mut lenient = pair();
    lenient
        .client
        .send(TEXT, br#"{"text":"hi","more":[{}],"room":7}"#)
        .await;
    assert_eq!(lenient.backend.frame().await.payload, SAY_HI);
    let strict = Transcoding {
        unknown_fields: UnknownFields::Refuse,
        ..transcoding()
    };
    let mut strict = transcoding_pair(limited(), transcoder(strict));
    strict.client.send(TEXT, br#"{"text":"hi","more":[{}]}"#).await;
    strict.client.expect_close(1007).await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_sends_what_cannot_be_turned_is_an_error_to_the_client() {
    let mut pair = pair();
    pair.backend.send(BINARY, b"\x0a\xff").await;
    pair.backend.expect_close(1007).await;
    pair.client.expect_close(1011).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_schema_counts_in_sessions_that_are_open() {
    let cell = Arc::new(SchemaCell::new(schema(CHAT)));
    let transcoder = Transcoder::new(transcoding(), Arc::clone(&cell)).expect("the types are there");
    let mut pair = transcoding_pair(limited(), Arc::new(transcoder));
    pair.backend.send(BINARY, b"\x0a\x02hi\x1a\x01x").await;
    assert_eq!(pair.client.frame().await.payload, br#"{"text":"hi"}"#);
    cell.swap(schema(
        &CHAT.replace("string by = 2;", "string by = 2; string mood = 3;"),
    ));
    pair.backend.send(BINARY, b"\x0a\x02hi\x1a\x01x").await;
    assert_eq!(pair.client.frame().await.payload, br#"{"text":"hi","mood":"x"}"#);
    cell.swap(schema(&CHAT.replace("Said", "Told")));
    pair.backend.send(BINARY, b"\x0a\x02hi").await;
    pair.client.expect_close(1011).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_grows_too_much_ends_the_session() {
    let idl = CHAT.replace(
        "string by = 2;",
        "string by = 2; repeated Mood moods = 3; enum Mood { A_MOOD_WITH_A_NAME_OF_FORTY_CHARACTERS_OR_SO = 0; }",
    );
    let cell = Arc::new(SchemaCell::new(schema(&idl)));
    let transcoder = Transcoder::new(transcoding(), cell).expect("the types are there");
    let mut pair = transcoding_pair(limited(), Arc::new(transcoder));
    let moods = [&[0x1a, 0x64][..], &[0; 100]].concat();
    pair.backend.send(BINARY, &moods).await;
    assert!(pair.client.frame().await.payload.len() > 4000);
    pair.backend.send(BINARY, &moods.repeat(9)).await;
    pair.backend.expect_close(1009).await;
    pair.client.expect_close(1011).await;
}

#[tokio::test(start_paused = true)]
async fn pongs_that_nobody_reads_do_not_pile_up() {
    let mut pair = pair();
    let ping = encode(PING, &[b'p'; 125], true);
    for _ in 0..10_000 {
        pair.client.stream.write_all(&ping).await.expect("pings are read");
    }
    let mut pongs = 0;
    // The last of them says that all are there.
    pair.client.send(TEXT, br#"{"text":"hi"}"#).await;
    pair.backend.frame().await;
    pair.backend.send_close(1000).await;
    loop {
        let frame = pair.client.frame().await;
        match frame.first {
            PONG => pongs += frame.payload.len(),
            _ => break,
        }
    }
    let most = 1000 * GROWTH + CONTROL_BYTES;
    assert!(pongs <= most + 3 * 8 * 1024, "{pongs} bytes of Pongs were kept");
}

#[test]
fn a_transcoder_without_its_types_is_refused() {
    let transcoding = Transcoding {
        backend_message: "chat.Nothing".into(),
        ..transcoding()
    };
    let cell = Arc::new(SchemaCell::new(schema(CHAT)));
    let error = Transcoder::new(transcoding, cell).expect_err("there is no such type");
    assert_eq!(error.name, "chat.Nothing");
}

#[tokio::test(start_paused = true)]
async fn too_long_a_message_ends_the_session() {
    let mut pair = pair();
    pair.client.send(TEXT_BEGINS, &[b' '; 600]).await;
    pair.client.send(CONTINUATION_ENDS, &[b' '; 600]).await;
    pair.client.expect_close(1009).await;
    pair.backend.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn frames_against_the_protocol_end_the_session() {
    for first in [0xC1, 0x83, CONTINUATION_ENDS] {
        let mut pair = pair();
        pair.client.send(first, b"{}").await;
        pair.client.expect_close(1002).await;
        pair.backend.answer_close(1001).await;
        assert_eq!(pair.end_without_peers().await.reason, EndReason::InvalidMessage);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_handshakes_go_through_with_their_reasons() {
    let mut pair = pair();
    pair.client.send(CLOSE, b"\x0f\xa1done here").await;
    pair.client.expect_close(4001).await;
    let frame = pair.backend.frame().await;
    assert_eq!((frame.code(), &frame.payload[2..]), (4001, &b"done here"[..]));
    pair.backend.send_close(4001).await;
    pair.client.expect_end().await;
    let end = pair.end_without_peers().await;
    assert_eq!(
        (end.closed_by, end.reason, end.code()),
        (ClosedBy::Client, EndReason::Closed, 4001)
    );
    assert_eq!(
        end.from_client,
        Volume {
            messages: 0,
            bytes: 6 + 11
        }
    );
}

#[tokio::test(start_paused = true)]
async fn draining_closes_the_client_first() {
    let mut pair = pair();
    pair.control.drain(Duration::ZERO);
    pair.client.expect_close(1001).await;
    pair.client.send(TEXT, br#"{"text":"hi","room":7}"#).await;
    pair.client.send_close(1001).await;
    assert_eq!(pair.backend.frame().await.payload, SAY_HI);
    pair.backend.answer_close(1001).await;
    pair.client.expect_end().await;
    assert_eq!(pair.end_without_peers().await.reason, EndReason::Drain);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_ends_the_session() {
    let mut backend_gone = pair();
    drop(backend_gone.backend);
    backend_gone.client.expect_close(1011).await;
    let mut client_gone = pair();
    drop(client_gone.client);
    client_gone.backend.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn messages_beyond_the_rate_wait() {
    let rate = MessageRate {
        per_second: 10,
        burst: 1,
        on_exceed: OnExceed::Wait,
    };
    let rules = SessionRules {
        message_rate: Some(rate),
        ..limited()
    };
    let mut pair = transcoding_pair(rules, transcoder(transcoding()));
    let begin = Instant::now();
    for _ in 0..11 {
        pair.client.send(TEXT, b"{}").await;
    }
    for _ in 0..11 {
        pair.backend.expect(BINARY, b"").await;
    }
    let taken = begin.elapsed().as_millis();
    assert!((995..=1030).contains(&taken), "{taken} ms");
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_sent_on_each_side() {
    let rules = SessionRules {
        keepalive: Some(Keepalive {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
        }),
        ..limited()
    };
    let mut pair = transcoding_pair(rules, transcoder(transcoding()));
    pair.client.send(PING, b"anybody").await;
    pair.client.expect(PONG, b"anybody").await;
    let ping = pair.client.frame().await;
    assert_eq!(ping.first, PING);
    pair.client.send(PONG, &ping.payload).await;
    assert_eq!(pair.backend.frame().await.first, PING);
    pair.client.expect_close(1011).await;
    let end = pair.end_without_peers().await;
    assert_eq!((end.closed_by, end.reason), (ClosedBy::Backend, EndReason::Dead));
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_at_once() {
    let mut pair = pair();
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(900));
    let (client, backend) = (&mut pair.client, &mut pair.backend);
    let wire = [&b"\x0a\x84\x07"[..], &[b'y'; 900]].concat();
    for _ in 0..20 {
        tokio::join!(
            async {
                for _ in 0..5 {
                    client.send(TEXT, text.as_bytes()).await;
                }
                for _ in 0..5 {
                    assert_eq!(client.frame().await.payload.len(), 911);
                }
            },
            async {
                for _ in 0..5 {
                    backend.send(BINARY, &wire).await;
                }
                for _ in 0..5 {
                    assert_eq!(backend.frame().await.payload.len(), 903);
                }
            },
        );
    }
}
