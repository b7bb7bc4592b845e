use super::*;

async fn read_all(pieces: &[&[u8]]) -> Result<(Bytes, BytesMut), HeadError> {
    let mut mock = tokio_test_stream(pieces);
    let mut buffer = BytesMut::new();
    read(&mut mock, &mut buffer).await.map(|head| (head, buffer))
}

/// A reader that gives one piece a call.
fn tokio_test_stream(pieces: &[&[u8]]) -> impl AsyncRead + Unpin + use<> {
    struct Pieces(std::collections::VecDeque<Vec<u8>>);
    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop_front() {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            std::task::Poll::Ready(Ok(()))
        }
    }
    Pieces(pieces.iter().map(|piece| piece.to_vec()).collect())
}

const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: example.com\r\nEmpty:\r\n\r\n";

#[tokio::test]
async fn a_head_is_found_wherever_it_is_cut() {
    for cut in 0..REQUEST.len() {
        let (left, right) = REQUEST.split_at(cut);
        let pieces = [left, &[right, b"rest"].concat()];
        let pieces: Vec<&[u8]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let (head, rest) = read_all(&pieces).await.unwrap();
        assert_eq!((&head[..], &rest[..]), (REQUEST, &b"rest"[..]), "{cut}");
        let head = RequestHead::parse(&head).unwrap();
        assert_eq!(head.target, "/a?b");
        assert_eq!(head.fields.one("empty"), Ok(Some(&Bytes::new())));
    }
}

#[tokio::test]
async fn heads_without_an_end_are_cut_off() {
    let long = vec![b'a'; HEAD_LIMIT];
    assert!(matches!(read_all(&[&long]).await, Err(HeadError::TooLong)));
    assert!(matches!(read_all(&[]).await, Err(HeadError::Closed)));
    assert!(matches!(
        read_all(&[b"GET / HTTP/1.1\r\n"]).await,
        Err(HeadError::Truncated)
    ));
}

fn parse(text: &str) -> Result<RequestHead, HeadError> {
    RequestHead::parse(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn heads_that_readers_understand_differently_are_refused() {
    let cases = [
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "\r\n\r\n",
    ];
    for case in cases {
        assert!(matches!(parse(case), Err(HeadError::Malformed(_))), "{case:?}");
    }
}

#[test]
fn more_fields_than_allowed_are_refused() {
    let fields = "A: b\r\n".repeat(FIELD_LIMIT + 1);
    let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
    assert!(matches!(parse(&head), Err(HeadError::TooManyFields)));
}

#[test]
fn a_response_may_have_no_reason() {
    let head = ResponseHead::parse(&Bytes::from_static(b"HTTP/1.1 101\r\nA: b\r\n\r\n")).unwrap();
    assert_eq!((head.status, head.reason.as_ref()), (101, &b""[..]));
    let head = ResponseHead::parse(&Bytes::from_static(b"HTTP/1.1 403 Not today\r\n\r\n")).unwrap();
    assert_eq!((head.status, head.reason.as_ref()), (403, &b"Not today"[..]));
}

#[test]
fn lengths_that_contradict_each_other_are_none() {
    let cases: [(&[(&'static str, &'static str)], _); 9] = [
        (&[], Ok(BodyLength::Unsaid)),
        (&[("Content-Length", "12")], Ok(BodyLength::Known(12))),
        (&[("Transfer-Encoding", "Chunked")], Ok(BodyLength::Chunked)),
        (&[("Content-Length", "+1")], Err(AmbiguousLength)),
        (&[("Content-Length", "1, 1")], Err(AmbiguousLength)),
        (
            &[("Content-Length", "1"), ("Content-Length", "1")],
            Err(AmbiguousLength),
        ),
        (&[("Transfer-Encoding", "gzip, chunked")], Err(AmbiguousLength)),
        (&[("Transfer-Encoding", "identity")], Err(AmbiguousLength)),
        (
            &[("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
            Err(AmbiguousLength),
        ),
    ];
    for (pairs, expected) in cases {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(*name, *value);
        }
        assert_eq!(body_length(&fields), expected, "{pairs:?}");
    }
}
