//! The harness's side: a service, a stream server and a receiver of callbacks for each test.

use crate::server::{DEADLINE, Peer, Server};
use crate::service;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// One service with one stream.
pub(crate) struct Harness {
    service: SocketAddr,
    /// Where the stream lies in the service.
    location: String,
    pub(crate) streams: Server,
    callbacks: Server,
    /// How many callbacks have come.
    received: u64,
    tasks: JoinSet<()>,
}

impl Harness {
    /// Has the service open a stream with these parameters beside the URLs.
    pub(crate) async fn start(parameters: Value) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let service = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async { service::serve(listener).await.expect("the service works") });
        let (streams, callbacks) = (Server::start().await, Server::start().await);
        let mut body = json!({
            "streamUrl": streams.url("/stream"),
            "callbackUrl": callbacks.url("/callbacks/1"),
            "tag": "test",
        });
        body.as_object_mut()
            .unwrap()
            .extend(parameters.as_object().cloned().unwrap_or_default());
        let answer = ask(service, "POST", "/", &body.to_string()).await;
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "))
            .unwrap()
            .to_owned();
        Self {
            service,
            location,
            streams,
            callbacks,
            received: 0,
            tasks,
        }
    }

    /// A stream that is open.
    pub(crate) async fn open() -> (Self, Peer) {
        Self::open_with(json!({"initialDelayMs": 0})).await
    }

    pub(crate) async fn open_with(parameters: Value) -> (Self, Peer) {
        let harness = Self::start(parameters).await;
        let peer = harness.streams.accept_stream().await;
        (harness, peer)
    }

    /// The next callback, whose number must follow.
    pub(crate) async fn callback(&mut self) -> Value {
        let peer = self
            .callbacks
            .answer("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            .await;
        self.received += 1;
        assert_eq!(
            (peer.method.as_str(), peer.target),
            ("POST", format!("/callbacks/1/{}", self.received))
        );
        serde_json::from_slice(&peer.body).unwrap()
    }

    pub(crate) async fn event(&mut self) -> (String, String, String) {
        let callback = self.callback().await;
        assert_eq!(callback["kind"], "event", "{callback}");
        let field = |name: &str| callback["event"][name].as_str().unwrap().to_owned();
        (field("type"), field("data"), field("id"))
    }

    /// Expects these events, as (type, data, id).
    pub(crate) async fn events(&mut self, expected: &[(&str, &str, &str)]) {
        for (kind, data, id) in expected {
            let (found_kind, found_data, found_id) = self.event().await;
            assert_eq!(
                (found_kind.as_str(), found_data.as_str(), found_id.as_str()),
                (*kind, *data, *id)
            );
        }
    }

    pub(crate) async fn comment(&mut self) -> String {
        let callback = self.callback().await;
        assert_eq!(callback["kind"], "comment", "{callback}");
        callback["comment"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn error(&mut self) -> String {
        let callback = self.callback().await;
        assert_eq!(callback["kind"], "error", "{callback}");
        callback["error"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn command(&self, command: Value) {
        let answer = ask(self.service, "POST", &self.location, &command.to_string()).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    }

    /// Asks the service for anything; the answer's head and body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        ask(self.service, method, path, body).await
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// Waits until the service has stopped.
    pub(crate) async fn stopped(mut self) {
        timeout(DEADLINE, self.tasks.join_next())
            .await
            .expect("the service stops in time");
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
    read.expect("the service answers in time").unwrap();
    answer
}
