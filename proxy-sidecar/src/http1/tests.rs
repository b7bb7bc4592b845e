//! On a clock that is moved: what takes long in the real world.

use super::*;
use crate::forwarding::Scheme;
use crate::handshake::HEAD_TIMEOUT;
use crate::metrics::ProxyMetrics;
use crate::shared::Shared;
use crate::worker::Crew;
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::time::Instant;

impl MaybeTcp for DuplexStream {}

fn seat() -> Seat {
    Arc::new(Crew::new([Handle::current()], ProxyMetrics::default())).seat(0)
}

fn arrival() -> Arrival {
    Arrival {
        peer: ([127, 0, 0, 1], 1).into(),
        port: 9080,
        scheme: Scheme::Http,
        head_deadline: Instant::now() + HEAD_TIMEOUT,
        tls: None,
        shared: Arc::new(Shared::default()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_given_up() {
    let (mut client, server) = tokio::io::duplex(1024);
    let began = Instant::now();
    let served = serve(server, arrival(), seat());
    let trickle = async {
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut answer = Vec::new();
        loop {
            tokio::select! {
                read = client.read_buf(&mut answer) => match read.unwrap() {
                    0 => break,
                    _ => continue,
                },
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            if client.write_all(b"X: y\r\n").await.is_err() {
                break;
            }
        }
        String::from_utf8(answer).unwrap()
    };
    let ((), answer) = tokio::join!(served, trickle);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        began.elapsed() <= HEAD_TIMEOUT + LINGER * 2,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_refusal_does_not_stay() {
    let (mut client, server) = tokio::io::duplex(8);
    let served = tokio::time::timeout(LINGER * 3, serve(server, arrival(), seat()));
    let (served, _) = tokio::join!(served, client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    served.unwrap();
}
