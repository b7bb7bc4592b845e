//! Sessions that change their thread, again and again, whatever they are in the middle of.

use crate::pair::*;
use heddle_ws_session::broadcast::Broadcast;
use heddle_ws_session::{
    ClosedBy, EndReason, Endpoint, MessageRate, OnExceed, Parked, SessionContext, SessionEnd, SessionRules,
    TcpSession,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, join, sink};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A session leaves after so many turns: the first in a runtime finds nothing, as nobody has told yet what there is.
const TURNS: usize = 2;

/// A session between two threads, and both of its ends.
struct Moving {
    client: Raw<TcpStream>,
    backend: Raw<TcpStream>,
    context: SessionContext,
    /// How often it has moved.
    moves: Arc<AtomicUsize>,
    session: JoinSet<SessionEnd>,
    _threads: Threads,
}

/// Two runtimes with a thread each.
struct Threads(Option<[Runtime; 2]>);

impl Drop for Threads {
    fn drop(&mut self) {
        for runtime in self.0.take().into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

async fn connection() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
    (theirs.unwrap(), ours.unwrap().0.into_std().unwrap())
}

/// Runs the session for some turns on one thread, then on the other, and so on.
async fn to_and_fro(
    runtimes: [tokio::runtime::Handle; 2],
    ends: [std::net::TcpStream; 2],
    context: SessionContext,
    moves: Arc<AtomicUsize>,
) -> SessionEnd {
    let [first, _] = &runtimes;
    let begin = first.spawn(async move {
        let [client, backend] = ends.map(|end| Endpoint::new(TcpStream::from_std(end).unwrap()));
        turn(TcpSession::new(client, backend, context)).await
    });
    let mut turned = begin.await.unwrap();
    loop {
        match turned {
            Turned::Ended(end) => return end,
            Turned::Parked(parked) => {
                let count = moves.fetch_add(1, Ordering::Relaxed) + 1;
                let next = runtimes[count % 2].spawn(async move { turn(parked.unpark().unwrap()).await });
                turned = next.await.unwrap();
            }
        }
    }
}

/// What the session has come to after its turns.
enum Turned {
    Ended(SessionEnd),
    Parked(Box<Parked>),
}

async fn turn(mut session: TcpSession) -> Turned {
    let mut turns = 0;
    let leaves = || {
        turns += 1;
        turns == TURNS
    };
    match session.turns(leaves).await {
        true => Turned::Ended(session.end()),
        false => Turned::Parked(Box::new(session.park().unwrap())),
    }
}

impl Moving {
    async fn start(rules: SessionRules) -> Self {
        let runtime = || {
            Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap()
        };
        let runtimes = [runtime(), runtime()];
        let handles = [runtimes[0].handle().clone(), runtimes[1].handle().clone()];
        let (client, client_end) = connection().await;
        let (backend, backend_end) = connection().await;
        let (context, moves) = (context(rules), Arc::<AtomicUsize>::default());
        let ends = [client_end, backend_end];
        let session = to_and_fro(handles, ends, context.clone(), Arc::clone(&moves));
        Self {
            client: Raw::new(client, true),
            backend: Raw::new(backend, false),
            context,
            moves,
            session: JoinSet::from_iter([session]),
            _threads: Threads(Some(runtimes)),
        }
    }

    fn has_moved(&self) -> usize {
        self.moves.load(Ordering::Relaxed)
    }
}

async fn end(mut session: JoinSet<SessionEnd>) -> SessionEnd {
    let end = timeout(PATIENCE, session.join_next()).await;
    end.expect("it ends in time").expect("one session").unwrap()
}

/// A message in three frames that begins with its number, and is longer than what one read takes, at times.
fn numbered(number: u32, masks: bool) -> Vec<u8> {
    let fill = vec![b'x'; (number as usize * 7919) % 40_000];
    let parts = [
        (TEXT_BEGINS, &number.to_be_bytes()[..]),
        (CONTINUES, &fill),
        (CONTINUATION_ENDS, b"end"),
    ];
    let frames = parts.map(|(first, payload)| encode(first, payload, masks));
    frames.concat()
}

/// Writes in pieces that end anywhere.
async fn send_all(mut stream: OwnedWriteHalf, count: u32, masks: bool) -> OwnedWriteHalf {
    let mut piece = 1;
    for number in 0..count {
        let bytes = numbered(number, masks);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(piece));
            stream.write_all(now).await.unwrap();
            tokio::task::yield_now().await;
            rest = later;
            piece = piece * 31 % 16_381 + 1;
        }
    }
    stream
}

/// Reads them: each as it was sent, and after the one before.
async fn expect_all(stream: OwnedReadHalf, count: u32, masks: bool) -> OwnedReadHalf {
    let mut peer = Raw::new(join(stream, sink()), masks);
    for number in 0..count {
        let fill = (number as usize * 7919) % 40_000;
        peer.expect(TEXT_BEGINS, &number.to_be_bytes()).await;
        peer.expect(CONTINUES, &vec![b'x'; fill]).await;
        peer.expect(CONTINUATION_ENDS, b"end").await;
    }
    peer.stream.into_inner().0
}

#[tokio::test]
async fn a_session_that_moves_all_the_time_loses_and_reorders_nothing() {
    const COUNT: u32 = 300;
    let moving = Moving::start(rules()).await;
    let (from_client, to_client) = moving.client.stream.into_split();
    let (from_backend, to_backend) = moving.backend.stream.into_split();
    let all = async {
        tokio::join!(
            send_all(to_client, COUNT, true),
            send_all(to_backend, COUNT, false),
            expect_all(from_client, COUNT, true),
            expect_all(from_backend, COUNT, false),
        )
    };
    let (to_client, to_backend, from_client, from_backend) = timeout(PATIENCE, all).await.unwrap();
    let moves = moving.moves.load(Ordering::Relaxed);
    // On a busy machine a turn moves many messages.
    assert!(moves > COUNT as usize / 10, "{moves}");
    let mut client = Raw::new(join(from_client, to_client), true);
    let mut backend = Raw::new(join(from_backend, to_backend), false);
    client.send_close(1000).await;
    backend.answer_close(1000).await;
    client.expect_close(1000).await;
    client.expect_end().await;
    drop((client, backend));
    let end = end(moving.session).await;
    assert_eq!((end.closed_by, end.reason), (ClosedBy::Client, EndReason::Closed));
    assert_eq!(end.from_client.messages, u64::from(COUNT));
    assert_eq!(end.from_backend.messages, u64::from(COUNT));
    let traffic = &moving.context.traffic;
    assert_eq!(traffic.from_client.messages.get(), u64::from(COUNT));
    assert_eq!(traffic.from_backend.messages.get(), u64::from(COUNT));
}

#[tokio::test]
async fn a_session_that_has_moved_is_drained_and_closed_in_order() {
    let mut moving = Moving::start(rules()).await;
    while moving.has_moved() < 5 {
        moving.client.send(TEXT, b"hello").await;
        moving.backend.expect(TEXT, b"hello").await;
    }
    moving.context.control.drain(Duration::from_millis(50));
    moving.client.answer_close(1001).await;
    moving.backend.answer_close(1001).await;
    moving.client.expect_end().await;
    drop((moving.client, moving.backend));
    let end = end(moving.session).await;
    assert_eq!((end.closed_by, end.reason), (ClosedBy::Proxy, EndReason::Drain));
}

#[tokio::test]
async fn limits_hold_across_moves() {
    let mut moving = Moving::start(SessionRules {
        max_message_bytes: Some(100),
        ..rules()
    })
    .await;
    let before = moving.has_moved();
    // The parts of one message, which is counted wherever they are read.
    for first in [TEXT_BEGINS, CONTINUES, CONTINUES, CONTINUES] {
        moving.client.send(first, &[b'x'; 25]).await;
        moving.backend.expect(first, &[b'x'; 25]).await;
    }
    assert!(moving.has_moved() > before, "in the middle of the message");
    moving.client.send(CONTINUATION_ENDS, b"x").await;
    moving.backend.answer_close(1001).await;
    moving.client.answer_close(1009).await;
    drop((moving.client, moving.backend));
    assert_eq!(end(moving.session).await.reason, EndReason::MessageTooBig);
}

#[tokio::test]
async fn who_waits_for_the_rate_limit_goes_on_where_the_session_went() {
    let mut moving = Moving::start(SessionRules {
        message_rate: Some(MessageRate {
            per_second: 50,
            burst: 1,
            on_exceed: OnExceed::Wait,
        }),
        ..rules()
    })
    .await;
    let began = std::time::Instant::now();
    for number in 0..20_u32 {
        moving.client.send(TEXT, &number.to_be_bytes()).await;
    }
    for number in 0..20_u32 {
        let number = number.to_be_bytes();
        let expect = moving.backend.expect(TEXT, &number);
        timeout(PATIENCE, expect).await.unwrap();
    }
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
    assert!(moving.has_moved() > 2, "{}", moving.has_moved());
    drop((moving.client, moving.backend));
    end(moving.session).await;
}

#[tokio::test]
async fn a_session_that_is_dropped_between_two_threads_closes_both_connections() {
    let mut moving = Moving::start(rules()).await;
    moving.client.send(TEXT, b"hello").await;
    moving.backend.expect(TEXT, b"hello").await;
    moving.session.shutdown().await;
    drop(moving._threads);
    for peer in [&mut moving.client, &mut moving.backend] {
        assert!(peer.rest().await.is_empty());
    }
}

#[tokio::test]
async fn messages_for_all_find_a_session_wherever_it_has_moved() {
    const COUNT: u32 = 200;
    let moving = Moving::start(rules()).await;
    let moves = Arc::clone(&moving.moves);
    let Moving {
        mut client,
        backend,
        context,
        session: _session,
        _threads,
        ..
    } = moving;
    let (_from_backend, to_backend) = backend.stream.into_split();
    let broadcasts = async {
        // The session begins on its own thread.
        while context.control.broadcast(Vec::new()).sessions == 0 {
            tokio::task::yield_now().await;
        }
        for number in 0..COUNT {
            let text = Broadcast::text(&number.to_string());
            let mut reach = context.control.broadcast(vec![text]);
            assert_eq!(reach.sessions, 1);
            reach.looked().await;
        }
    };
    let reads = async {
        let (mut messages, mut for_all) = (0, 0);
        while messages < COUNT || for_all < COUNT {
            let frame = client.frame().await;
            if frame.first == TEXT {
                assert_eq!(frame.payload, for_all.to_string().into_bytes());
                for_all += 1;
                continue;
            }
            assert_eq!(
                (frame.first, frame.payload),
                (TEXT_BEGINS, messages.to_be_bytes().to_vec())
            );
            client
                .expect(CONTINUES, &vec![b'x'; (messages as usize * 7919) % 40_000])
                .await;
            client.expect(CONTINUATION_ENDS, b"end").await;
            messages += 1;
        }
    };
    let all = async { tokio::join!(send_all(to_backend, COUNT, false), broadcasts, reads) };
    timeout(PATIENCE, all).await.expect("all arrive in time");
    let moves = moves.load(Ordering::Relaxed);
    // On a busy machine a turn does much at once.
    assert!(moves > COUNT as usize / 10, "{moves}");
}

#[tokio::test]
async fn messages_for_all_wake_sessions_that_wait_on_another_thread_each_time() {
    let mut moving = Moving::start(rules()).await;
    moving.backend.send(TEXT, b"it has begun").await;
    moving.client.expect(TEXT, b"it has begun").await;
    for number in 0..20 {
        let text = number.to_string();
        moving.context.control.broadcast(vec![Broadcast::text(&text)]);
        let arrives = timeout(PATIENCE, moving.client.expect(TEXT, text.as_bytes()));
        arrives.await.expect("it is woken");
    }
}
