//! What streams say: basic parsing, byte order mark, line ends, comments, large events.

use crate::harness::Harness;

/// What a stream says, as (type, data, id).
type Events<'a> = &'a [(&'a str, &'a str, &'a str)];

async fn check(pieces: &[&[u8]], expected: Events<'_>) {
    let (mut harness, mut peer) = Harness::open().await;
    for piece in pieces {
        peer.send(piece).await;
    }
    harness.events(expected).await;
}

#[tokio::test]
async fn basic_parsing_in_one_or_more_chunks() {
    check(&[b"data: Hello\n\n"], &[("message", "Hello", "")]).await;
    check(&[b"data: Hel", b"lo\n\n"], &[("message", "Hello", "")]).await;
    check(
        &[b"data: Hello\n\ndata: World\n\n"],
        &[("message", "Hello", ""), ("message", "World", "")],
    )
    .await;
    check(
        &[b"data: Hello\ndata:World\n\n"],
        &[("message", "Hello\nWorld", "")],
    )
    .await;
}

#[tokio::test]
async fn basic_parsing_of_every_field() {
    check(
        &[b"event: greeting\nid: abc\ndata: Hello\n\n"],
        &[("greeting", "Hello", "abc")],
    )
    .await;
    check(
        &[b"data:  Hello\nevent:  greeting\n\n"],
        &[(" greeting", " Hello", "")],
    )
    .await;
    check(
        &[b"event: greeting\ncolor: blue\ndata\n\n"],
        &[("greeting", "", "")],
    )
    .await;
    check(
        &[b"data\n\ndata\ndata\n\n"],
        &[("message", "", ""), ("message", "\n", "")],
    )
    .await;
}

#[tokio::test]
async fn ids_persist_are_reset_and_ignored_with_a_null() {
    let stream = b"id: a\0bc\ndata: 1\n\nid: abc\ndata: 2\n\ndata: 3\n\nid: \ndata: 4\n\n";
    let expected = [
        ("message", "1", ""),
        ("message", "2", "abc"),
        ("message", "3", "abc"),
        ("message", "4", ""),
    ];
    check(&[stream], &expected).await;
}

#[tokio::test]
async fn characters_of_several_bytes_even_byte_by_byte() {
    let stream = "data: €豆腐\n\n".as_bytes();
    check(&[stream], &[("message", "€豆腐", "")]).await;
    let pieces: Vec<&[u8]> = stream.chunks(1).collect();
    check(&pieces, &[("message", "€豆腐", "")]).await;
}

#[tokio::test]
async fn many_events_in_rapid_succession_keep_their_order() {
    let data: Vec<String> = (0..100).map(|number| format!("message {number}")).collect();
    let stream: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
    let expected: Vec<_> = data.iter().map(|data| ("message", data.as_str(), "")).collect();
    check(&[stream.as_bytes()], &expected).await;
}

#[tokio::test]
async fn one_byte_order_mark_is_stripped() {
    check(&[b"\xEF\xBB\xBFdata: Hello\n\n"], &[("message", "Hello", "")]).await;
    check(
        &[b"\xEF", b"\xBB", b"\xBFdata: Hello\n\n"],
        &[("message", "Hello", "")],
    )
    .await;
    check(
        &[b"\xEF\xBB\xBF\xEF\xBB\xBFdata: no\n\ndata: yes\n\n"],
        &[("message", "yes", "")],
    )
    .await;
}

#[tokio::test]
async fn line_ends_of_every_kind_and_across_chunks() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("event: e{end}id: i{end}data: a{end}data: b{end}{end}data: c{end}{end}");
        let expected = [("e", "a\nb", "i"), ("message", "c", "i")];
        check(&[stream.as_bytes()], &expected).await;
        let pieces: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        check(&pieces, &expected).await;
    }
}

#[tokio::test]
async fn comments_are_told_without_waiting_for_a_blank_line() {
    let (mut harness, mut peer) = Harness::open().await;
    peer.send(":Hello\n").await;
    assert_eq!(harness.comment().await, "Hello");
    peer.send(":\n: World\ndata: a\n\n").await;
    assert_eq!(harness.comment().await, "");
    assert_eq!(harness.comment().await, " World");
    harness.events(&[("message", "a", "")]).await;
}

#[tokio::test]
async fn large_events_arrive_whole() {
    let (mut harness, mut peer) = Harness::open().await;
    for bytes in [1, 1023, 1024, 4094, 4096, 8192, 8195, 65_536, 1 << 20, 3 << 20] {
        let data = "x".repeat(bytes);
        let send = async { peer.send(format!("data: {data}\n\n")).await };
        let (event, ()) = tokio::join!(harness.event(), send);
        assert!(event.1 == data, "{bytes} bytes became {}", event.1.len());
    }
}
