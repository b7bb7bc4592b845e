//! HTTP/2, where TLS agrees on it.

use crate::server::{DEADLINE, Server};
use crate::subscription::{at_once, data, waiting};
use crate::tls::{Authority, builder, get};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use heddle_sse_client::{Error, Item};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::time::timeout;

/// Serves connections one after the other with these bodies, and says what was asked.
async fn serve(
    server: &Server,
    authority: &Authority,
    bodies: Vec<mpsc::Receiver<Bytes>>,
) -> Vec<(Request<()>, Bytes)> {
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    for body in bodies {
        let body = Mutex::new(Some(body));
        let handler = service_fn(|request: Request<Incoming>| {
            let body = body.lock().unwrap().take();
            let asked = asked.clone();
            async move {
                let (head, incoming) = request.into_parts();
                let sent = incoming.collect().await.unwrap().to_bytes();
                asked.lock().unwrap().push((Request::from_parts(head, ()), sent));
                let frames = body.unwrap().map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
                let response = Response::builder().header("content-type", "text/event-stream");
                Ok::<_, Infallible>(response.body(StreamBody::new(frames)).unwrap())
            }
        });
        let stream = acceptor.accept(server.connection().await).await.unwrap();
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), handler);
        // How it ends is the client's business.
        drop(
            timeout(DEADLINE, connection)
                .await
                .expect("the client closes in time"),
        );
    }
    std::mem::take(&mut *asked.lock().unwrap())
}

#[tokio::test]
async fn streams_come_by_http_2_and_go_on_from_the_last_id() {
    let (server, authority) = (Server::start().await, Authority::new());
    let client = builder().tls(authority.trusted()).build().unwrap();
    let (mut first, first_body) = mpsc::channel(4);
    let (mut second, second_body) = mpsc::channel(4);
    let mut stream = client.subscribe(get(&server).body("{}"), at_once());
    let reading = async {
        first.try_send(Bytes::from("id: 1\ndata: a")).unwrap();
        let Item::Open(opened) = crate::subscription::next(&mut stream).await else {
            panic!("it opens")
        };
        assert_eq!(opened.version, Version::HTTP_2);
        first.try_send(Bytes::from("\n\n")).unwrap();
        assert_eq!(data(&mut stream).await, "a");
        drop(first);
        assert!(matches!(
            waiting(&mut stream).await.why,
            Error::EndOfStream { .. }
        ));
        second.try_send(Bytes::from("data: b\n\n")).unwrap();
        assert_eq!(data(&mut stream).await, "b");
        drop(stream);
    };
    let ((), asked) = tokio::join!(reading, serve(&server, &authority, vec![first_body, second_body]));
    let ids: Vec<_> = asked
        .iter()
        .map(|(request, _)| request.headers().get("last-event-id"))
        .collect();
    assert_eq!(ids, [None, Some(&"1".parse().unwrap())]);
    for (request, body) in &asked {
        assert_eq!(
            (request.uri().path(), request.uri().authority().unwrap().as_str()),
            ("/events", server.address.to_string().as_str())
        );
        assert_eq!(body, "{}");
    }
}

#[tokio::test]
async fn large_events_pass_the_windows_of_http_2() {
    let (server, authority) = (Server::start().await, Authority::new());
    let client = builder().tls(authority.trusted()).build().unwrap();
    let mut stream = client.subscribe(get(&server), at_once());
    let (mut sender, body) = mpsc::channel(4);
    let event = format!("data: {}\n\n", "x".repeat(3 << 20));
    sender.try_send(Bytes::from(event)).unwrap();
    let reading = async {
        assert_eq!(data(&mut stream).await.len(), 3 << 20);
        drop(stream);
    };
    tokio::join!(reading, serve(&server, &authority, vec![body]));
}
