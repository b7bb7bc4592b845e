//! Sessions under load, in which every message has its number and is sent back: none may be lost, doubled or overtaken.

use crate::support::{KEY, PATIENCE, Peer, masked, switching};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

/// Bytes of a number, which is the payload of a message.
const NUMBER_BYTES: usize = 8;

/// A Close frame with 1001 as clients send it.
fn going_away() -> Vec<u8> {
    masked(8, &1001_u16.to_be_bytes())
}

/// A backend that sends numbers back, and remembers for each path how many it has got.
pub(crate) struct NumbersBackend {
    pub(crate) port: u16,
    received: Arc<Mutex<BTreeMap<String, u64>>>,
    /// Aborted when dropped.
    _tasks: JoinSet<()>,
}

impl NumbersBackend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<BTreeMap<String, u64>>>::default();
        let mut tasks = JoinSet::new();
        let of_tasks = Arc::clone(&received);
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let received = Arc::clone(&of_tasks);
                sessions.spawn(async move { send_back(Peer::new(stream), &received).await });
            }
        });
        Self {
            port,
            received,
            _tasks: tasks,
        }
    }

    /// How many messages have come to a path.
    pub(crate) fn received(&self, path: &str) -> u64 {
        self.received
            .lock()
            .unwrap()
            .get(path)
            .copied()
            .unwrap_or_default()
    }
}

async fn send_back(mut client: Peer<TcpStream>, received: &Mutex<BTreeMap<String, u64>>) {
    let head = client.head().await;
    let path = head.first_line().split(' ').nth(1).unwrap().to_owned();
    client.switch("").await;
    loop {
        let head = client.bytes(6).await;
        let payload = client.bytes(usize::from(head[1] & 0x7f)).await;
        if head[0] == 0x88 {
            client
                .send([&[0x88, payload.len() as u8], &*payload].concat())
                .await;
            return;
        }
        expect_next(&path, &payload, received);
        client
            .send([&[0x82, NUMBER_BYTES as u8], &*payload].concat())
            .await;
    }
}

fn expect_next(path: &str, payload: &[u8], received: &Mutex<BTreeMap<String, u64>>) {
    let mut received = received.lock().unwrap();
    let count = received.entry(path.to_owned()).or_default();
    assert_eq!(payload, count.to_be_bytes(), "the next one of {path}");
    *count += 1;
}

/// What a client has to tell at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// When the proxy's Close frame came, if it was the proxy that ended the session.
    pub(crate) closed_at: Option<Instant>,
}

/// A session of a client that sends the next number when it has the last one back, not faster than `interval`, until the
/// proxy closes it with 1001 or `stop` is cancelled.
pub(crate) async fn count<S: AsyncRead + AsyncWrite + Unpin>(
    mut proxy: Peer<S>,
    interval: Duration,
    stop: CancellationToken,
) -> Counted {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted = Counted {
        sent: 0,
        received: 0,
        closed_at: None,
    };
    loop {
        tokio::select! {
            _ = ticks.tick(), if counted.sent == counted.received && !stop.is_cancelled() => {
                proxy.send(masked(2, &counted.sent.to_be_bytes())).await;
                counted.sent += 1;
            }
            () = stop.cancelled(), if counted.sent == counted.received => {
                proxy.send(going_away()).await;
                proxy.expect_close(1001).await;
                return counted;
            }
            arrived = proxy.arrived() => {
                assert!(arrived, "the session was dropped after {counted:?}");
                if !proxy.is_close() {
                    let message = proxy.bytes(2 + NUMBER_BYTES).await;
                    assert_eq!(message[..2], [0x82, NUMBER_BYTES as u8]);
                    assert_eq!(message[2..], counted.received.to_be_bytes());
                    counted.received += 1;
                    continue;
                }
                proxy.expect_close(1001).await;
                counted.closed_at = Some(Instant::now());
                proxy.send(going_away()).await;
                proxy.rest().await;
                return counted;
            }
        }
    }
}

/// Begins a session at `path`.
pub(crate) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(stream: S, path: &str) -> Peer<S> {
    let mut proxy = Peer::new(stream);
    proxy.send(crate::support::request(path, "")).await;
    let head = timeout(PATIENCE, proxy.head()).await.unwrap();
    assert!(switching("").starts_with(head.first_line()), "{head:?} for {KEY}");
    proxy
}
