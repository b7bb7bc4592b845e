//! Over real connections.

use crate::pair::*;
use heddle_ws_session::{ClosedBy, EndReason, Endpoint, SessionContext, SessionEnd, SessionRules, run};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How soon it is noticed that a connection was reset.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A machine that has other things to do may be late, but not each time.
const TRIES: usize = 4;

/// A connection over loopback: the peer's end and the proxy's.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
    (theirs.expect("connected"), ours.expect("accepted").0)
}

struct TcpPair {
    client: Raw<TcpStream>,
    backend: Raw<TcpStream>,
    session: JoinSet<SessionEnd>,
}

async fn start(context: SessionContext) -> TcpPair {
    let (client, client_end) = connection().await;
    let (backend, backend_end) = connection().await;
    let mut session = JoinSet::new();
    session.spawn(run(
        Endpoint::new(client_end),
        Endpoint::new(backend_end),
        context,
    ));
    TcpPair {
        client: Raw::new(client, true),
        backend: Raw::new(backend, false),
        session,
    }
}

async fn end(mut session: JoinSet<SessionEnd>) -> SessionEnd {
    let end = timeout(Duration::from_secs(10), session.join_next());
    end.await
        .expect("it ends in time")
        .expect("one session")
        .expect("no panic")
}

#[tokio::test]
async fn a_reset_of_the_backend_closes_the_client_in_order() {
    let mut pair = start(context(rules())).await;
    pair.backend.send(TEXT, b"hello").await;
    pair.client.expect(TEXT, b"hello").await;
    pair.backend.stream.set_zero_linger().expect("a reset at the end");
    drop(pair.backend);
    pair.client.answer_close(1011).await;
    pair.client.expect_end().await;
    drop(pair.client);
    let end = end(pair.session).await;
    assert_eq!(
        (end.closed_by, end.reason),
        (ClosedBy::Backend, EndReason::Vanished)
    );
}

#[tokio::test]
async fn a_reset_of_the_client_closes_the_backend_in_order() {
    let mut pair = start(context(rules())).await;
    pair.client.send(TEXT, b"hello").await;
    pair.backend.expect(TEXT, b"hello").await;
    pair.client.stream.set_zero_linger().expect("a reset at the end");
    drop(pair.client);
    pair.backend.answer_close(1001).await;
    drop(pair.backend);
    let end = end(pair.session).await;
    assert_eq!(
        (end.closed_by, end.reason),
        (ClosedBy::Client, EndReason::Vanished)
    );
}

/// Sends until nothing is taken any more.
async fn flood(peer: &mut Raw<TcpStream>, masks: bool) {
    let message = encode(TEXT, &[b'x'; 60_000], masks);
    let (mut rest, mut waits) = (&message[..], 0);
    // A pause of the machine is no more than one of them.
    while waits < 5 {
        if rest.is_empty() {
            rest = &message;
        }
        let write = tokio::io::AsyncWriteExt::write(&mut peer.stream, rest);
        match timeout(Duration::from_millis(100), write).await {
            Ok(written) => {
                rest = &rest[written.expect("it is taken or waits")..];
                waits = 0;
            }
            Err(_) => waits += 1,
        }
    }
}

#[tokio::test]
async fn a_reset_of_a_client_whose_backend_does_not_read_frees_both_at_once() {
    for _ in 0..TRIES {
        let mut pair = start(context(rules())).await;
        flood(&mut pair.client, true).await;
        pair.client.stream.set_zero_linger().expect("a reset at the end");
        drop(pair.client);
        let reset = std::time::Instant::now();
        let end = end(pair.session).await;
        let took = reset.elapsed();
        assert_eq!(
            (end.closed_by, end.reason),
            (ClosedBy::Client, EndReason::Vanished)
        );
        assert!(took < CLOSE_TIMEOUT, "nobody waits for a Close frame");
        drop(pair.backend);
        if took < AT_ONCE {
            return;
        }
    }
    panic!("it takes more than {AT_ONCE:?} each time");
}

#[tokio::test]
async fn a_reset_of_a_backend_whose_client_does_not_read_frees_both_at_once() {
    for _ in 0..TRIES {
        let mut pair = start(context(rules())).await;
        flood(&mut pair.backend, false).await;
        pair.backend.stream.set_zero_linger().expect("a reset at the end");
        drop(pair.backend);
        let reset = std::time::Instant::now();
        let end = end(pair.session).await;
        let took = reset.elapsed();
        assert_eq!(
            (end.closed_by, end.reason),
            (ClosedBy::Backend, EndReason::Vanished)
        );
        assert!(took < CLOSE_TIMEOUT, "nobody waits for a Close frame");
        drop(pair.client);
        if took < AT_ONCE {
            return;
        }
    }
    panic!("it takes more than {AT_ONCE:?} each time");
}

#[tokio::test]
async fn a_close_frame_before_a_reset_is_delivered() {
    let mut pair = start(context(rules())).await;
    // What the backend has not read makes its end a reset.
    pair.client.send(TEXT, &[b'x'; 1000]).await;
    pair.backend.stream.readable().await.expect("it has arrived");
    pair.backend.send_close(1002).await;
    drop(pair.backend);
    pair.client.answer_close(1002).await;
    pair.client.expect_end().await;
    drop(pair.client);
    let end = end(pair.session).await;
    assert_eq!(
        (end.closed_by, end.reason, end.code()),
        (ClosedBy::Backend, EndReason::Closed, 1002)
    );
}

#[tokio::test]
async fn a_refused_flood_still_sees_why() {
    let rules = SessionRules {
        max_message_bytes: Some(1000),
        ..rules()
    };
    let mut pair = start(context(rules)).await;
    let (mut client_in, mut client_out) = pair.client.stream.into_split();
    let mut flood = JoinSet::new();
    flood.spawn(async move {
        let message = encode(TEXT, &[0; 4_000_000], true);
        tokio::io::AsyncWriteExt::write_all(&mut client_out, &message)
            .await
            .map(|()| client_out)
    });
    let mut bytes = [0; 4];
    tokio::io::AsyncReadExt::read_exact(&mut client_in, &mut bytes)
        .await
        .expect("no reset before");
    assert_eq!(
        (bytes[0], u16::from_be_bytes([bytes[2], bytes[3]])),
        (CLOSE, 1009)
    );
    pair.backend.answer_close(1001).await;
    let out = flood.join_next().await.expect("one").expect("no panic");
    drop((out.expect("all is taken"), client_in, pair.backend));
    assert_eq!(end(pair.session).await.reason, EndReason::MessageTooBig);
}

#[tokio::test]
async fn megabytes_go_both_ways_at_once() {
    let mut pair = start(context(rules())).await;
    let payload: Vec<u8> = (0..3_000_000_u32).map(|index| (index * 7) as u8).collect();
    let (client, backend) = (&mut pair.client, &mut pair.backend);
    for _ in 0..3 {
        let from_client = encode(TEXT, &payload, true);
        let from_backend = encode(TEXT, &payload, false);
        let (mut client_in, mut client_out) = client.stream.split();
        let (mut backend_in, mut backend_out) = backend.stream.split();
        let (mut at_client, mut at_backend) = (vec![0; from_backend.len()], vec![0; from_client.len()]);
        let done = tokio::try_join!(
            tokio::io::AsyncWriteExt::write_all(&mut client_out, &from_client),
            tokio::io::AsyncWriteExt::write_all(&mut backend_out, &from_backend),
            async {
                tokio::io::AsyncReadExt::read_exact(&mut client_in, &mut at_client)
                    .await
                    .map(drop)
            },
            async {
                tokio::io::AsyncReadExt::read_exact(&mut backend_in, &mut at_backend)
                    .await
                    .map(drop)
            },
        );
        done.expect("all goes through");
        assert!(at_client == from_backend && at_backend == from_client);
    }
}

#[test]
fn a_session_that_waits_is_small() {
    let future = |client: TcpStream, backend: TcpStream| {
        run(Endpoint::new(client), Endpoint::new(backend), context(rules()))
    };
    let bytes = size_of_return(&future);
    assert!(bytes <= 1_100, "{bytes} bytes");
}

fn size_of_return<F, R>(_: &F) -> usize
where
    F: Fn(TcpStream, TcpStream) -> R,
{
    size_of::<R>()
}
