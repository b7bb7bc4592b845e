//! On a clock that is moved: what takes long in the real world.

use super::*;
use crate::body::BodyReader;
use crate::dial::BackendStream;
use crate::forwarding::Scheme;
use crate::handshake::HEAD_TIMEOUT;
use crate::shared::Shared;
use bytes::BytesMut;
use http_body_util::Empty;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

fn arrival() -> Arrival {
    Arrival {
        peer: ([127, 0, 0, 1], 1).into(),
        port: 9080,
        scheme: Scheme::Http,
        tls: None,
        head_deadline: Instant::now() + HEAD_TIMEOUT,
        shared: Arc::new(Shared::default()),
    }
}

/// A client that answers pings, and the connection, which is served and driven.
async fn client() -> (SendRequest<Empty<Bytes>>, Served) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let (mut served, mut drivers) = (JoinSet::new(), JoinSet::new());
    served.spawn(serve(server, arrival(), TaskTracker::new()));
    let (sender, driver) = Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(client))
        .await
        .unwrap();
    drivers.spawn(driver);
    let served = Served {
        served,
        _drivers: drivers,
    };
    (sender, served)
}

struct Served {
    served: JoinSet<()>,
    _drivers: JoinSet<hyper::Result<()>>,
}

impl Served {
    async fn ended(&mut self) {
        self.served.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_request_is_given_up_however_well_it_answers_pings() {
    let began = Instant::now();
    let (_sender, mut served) = client().await;
    served.ended().await;
    let took = began.elapsed();
    assert!(
        (HEAD_TIMEOUT..=HEAD_TIMEOUT + GOODBYE_TIMEOUT).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_given_up() {
    let (_client, server) = tokio::io::duplex(1024);
    let began = Instant::now();
    serve(server, arrival(), TaskTracker::new()).await;
    assert!(
        began.elapsed() <= HEAD_TIMEOUT + GOODBYE_TIMEOUT,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_had_no_stream_for_long_is_closed() {
    let (mut sender, mut served) = client().await;
    let request = Request::builder().uri("http://a/").body(Empty::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
    let began = Instant::now();
    served.ended().await;
    let took = began.elapsed();
    assert!(
        (IDLE_TIMEOUT..=IDLE_TIMEOUT + GOODBYE_TIMEOUT).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_or_is_not_read_is_given_up_with_all_that_it_holds() {
    for is_read in [true, false] {
        let (mut backend, stream) = tokio::io::duplex(64 * 1024);
        backend.write_all(&[b'a'; 40_000]).await.unwrap();
        let stream = BackendStream::Other(Box::new(stream));
        let answer = BackendAnswer {
            status: 403,
            reason: Bytes::new(),
            fields: Fields::default(),
            body: AnswerBody::Http1(Box::new(BodyReader::new(
                stream,
                BytesMut::new(),
                BodyLength::Unsaid,
            ))),
        };
        let (tasks, held) = (TaskTracker::new(), Arc::new(()));
        let mut response = answered(answer, Arc::clone(&held), &tasks);
        let began = Instant::now();
        if is_read {
            let mut read = 0;
            let error = loop {
                match response.body_mut().frame().await.unwrap() {
                    Ok(frame) => read += frame.data_ref().unwrap().len(),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, BodyError::Timeout), "{error}");
            assert_eq!(read, 40_000);
        }
        tasks.close();
        tasks.wait().await;
        assert_eq!((began.elapsed(), Arc::strong_count(&held)), (BODY_TIMEOUT, 1));
        drop(backend);
    }
}
