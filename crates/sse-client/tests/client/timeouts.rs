//! Silence and drips, in time that does not pass by itself.

use crate::server::{Peer, Server};
use crate::subscription::{at_once, subscribe, waiting};
use heddle_sse_client::{Error, Item, Settings, Waiting};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LIMIT: Duration = Duration::from_secs(10);

fn settings() -> Settings {
    Settings {
        read_timeout: Some(LIMIT),
        line_timeout: Duration::from_secs(30),
        connect_timeout: LIMIT,
        response_timeout: LIMIT,
        ..at_once()
    }
}

/// Waits for the end of a stream that `serve` keeps going.
async fn run<F: Future<Output = ()>>(serve: impl FnOnce(Peer) -> F) -> (Waiting, Duration) {
    let server = Server::start().await;
    let mut stream = subscribe(&server, settings());
    let serving = async { serve(server.accept_stream().await).await };
    let waiting = async {
        loop {
            match stream.next().await {
                Some(Item::Waiting(waiting)) => return *waiting,
                Some(_) => {}
                None => panic!("the stream goes on"),
            }
        }
    };
    let start = Instant::now();
    tokio::select! {
        waiting = waiting => (waiting, start.elapsed()),
        () = async { serving.await; std::future::pending().await } => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_given_up_after_the_read_timeout() {
    let (waiting, time) = run(|mut peer| async move {
        peer.send("data: a\n\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    assert!(
        matches!(waiting.why, Error::ReadTimeout { limit: LIMIT, .. }),
        "{}",
        waiting.why
    );
    assert!((LIMIT..LIMIT * 2).contains(&time), "{time:?}");
    assert_eq!(waiting.failures, 0, "the stream was good");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_stream_alive() {
    let (waiting, time) = run(|mut peer| async move {
        for _ in 0..20 {
            peer.send(":\n").await;
            sleep(LIMIT * 9 / 10).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    assert!(
        matches!(waiting.why, Error::ReadTimeout { .. }),
        "{}",
        waiting.why
    );
    assert!((LIMIT * 18..LIMIT * 20).contains(&time), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_drips_is_given_up_however_many_bytes_come() {
    let (waiting, time) = run(|mut peer| async move {
        peer.send("data: a\n\nda").await;
        loop {
            sleep(LIMIT / 2).await;
            peer.send("x").await;
        }
    })
    .await;
    assert!(
        matches!(waiting.why, Error::LineTimeout { .. }),
        "{}",
        waiting.why
    );
    assert!((LIMIT * 3..LIMIT * 4).contains(&time), "{time:?}");
    assert_eq!(
        waiting.failures, 1,
        "or it would be asked for again and again at once"
    );
}

#[tokio::test(start_paused = true)]
async fn lines_that_end_late_but_in_time_are_no_drip() {
    let (waiting, time) = run(|mut peer| async move {
        for _ in 0..40 {
            peer.send("\ndata: x").await;
            sleep(LIMIT / 2).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    assert!(
        matches!(waiting.why, Error::ReadTimeout { .. }),
        "{}",
        waiting.why
    );
    assert!(time >= LIMIT * 20, "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start().await;
    let mut stream = subscribe(&server, settings());
    let (waiting, _peer) = tokio::join!(waiting(&mut stream), async {
        let mut peer = server.accept().await;
        peer.send("HTTP/1.1 200 OK\r\nX: ").await;
        peer
    });
    assert!(
        matches!(waiting.why, Error::ResponseTimeout { limit: LIMIT, .. }),
        "{}",
        waiting.why
    );
}

#[tokio::test(start_paused = true)]
async fn tls_that_is_not_answered_is_given_up() {
    let server = Server::start().await;
    let request = heddle_sse_client::Request::get(&format!("https://{}/", server.address)).unwrap();
    let mut stream = crate::subscription::client().subscribe(request, settings());
    let (waiting, _connection) = tokio::join!(waiting(&mut stream), server.connection());
    assert!(
        matches!(waiting.why, Error::ConnectTimeout { limit: LIMIT, .. }),
        "{}",
        waiting.why
    );
}
