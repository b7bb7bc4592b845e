//! The end of the program under load.

use crate::load::{Counted, NumbersBackend, begin, count};
use crate::support::{Proxy, manifest};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SESSIONS: usize = 2000;

/// Begun at once: more would overrun what waits to be accepted.
const BATCH: usize = 100;

const WINDOW: Duration = Duration::from_secs(4);

/// How late a Close frame may be noticed on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(2);

/// Between two messages of one session.
const INTERVAL: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_two_thousand_sessions_are_closed_in_their_window_and_no_message_is_lost() {
    let backend = NumbersBackend::start().await;
    let backends = format!(
        "  backends: [{{ name: app, port: {} }}]\n  timeouts: {{ drain: {}s, close: 20s }}",
        backend.port,
        WINDOW.as_secs()
    );
    let mut proxy = Proxy::start(|port| manifest("chat", port, &backends)).await;
    let mut sessions = JoinSet::new();
    let never = CancellationToken::new();
    for batch in 0..SESSIONS / BATCH {
        let begun = (0..BATCH).map(async |index| {
            let path = format!("/{}", batch * BATCH + index);
            let stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
            (begin(stream, &path).await, path)
        });
        for (session, path) in futures::future::join_all(begun).await {
            let never = never.clone();
            sessions.spawn(async move { (path, count(session, INTERVAL, never).await) });
        }
    }
    let name = "heddle_websocket_sessions_open{namespace=\"default\",route=\"chat\"}";
    proxy.until_metric(name, SESSIONS as f64).await;
    let began = Instant::now();
    proxy.terminate();
    let (mut sent, mut received, mut moments) = (0, 0, Vec::new());
    for (path, counted) in sessions.join_all().await {
        let Counted {
            sent: of_client,
            received: by_client,
            closed_at,
        } = counted;
        // All that was sent before the answer to the proxy's Close frame reaches the backend. What that then sends back may
        // come too late for the client: one message at most is on its way.
        assert_eq!(backend.received(&path), of_client, "{path}");
        assert!(by_client + 1 >= of_client, "{path}: {counted:?}");
        sent += of_client;
        received += by_client;
        moments.push(closed_at.unwrap() - began);
    }
    assert!(sent >= SESSIONS as u64 && sent - received <= SESSIONS as u64);
    moments.sort();
    assert!(
        moments[SESSIONS - 1] <= WINDOW + LATE,
        "{:?}",
        moments[SESSIONS - 1]
    );
    // Spread over the window, not all at once.
    let middle = moments[SESSIONS / 2];
    assert!(
        middle >= WINDOW / 4 && middle <= WINDOW * 3 / 4 + LATE,
        "{middle:?}"
    );
    assert_eq!(proxy.ended().await, Some(0));
    let log = proxy.log();
    let lines = log.lines().filter(|line| line.contains("\"session ended\""));
    let closed = lines.filter(|line| line.contains("\"code\":1001"));
    assert_eq!(closed.count(), SESSIONS, "each has its line in the access log");
}
