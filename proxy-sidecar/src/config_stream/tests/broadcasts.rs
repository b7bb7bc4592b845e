//! Messages for all sessions of a route, with raw sockets on both sides.

#[path = "../../../tests/proxy/certificates.rs"]
mod certificates;
mod transport;

use super::*;
use futures::FutureExt as _;
use heddle_route_config::protocol::{BroadcastMessage, MESSAGES_LIMIT, TEXT_BYTES_LIMIT};
use heddle_telemetry::MetricsRegistry;
use heddle_ws_session::Endpoint;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use transport::{Client, Transport};

const PATIENCE: Duration = Duration::from_secs(30);

/// Both ends of a session.
struct Session {
    client: Client,
    backend: TcpStream,
}

/// A sidecar that serves one route, and the backend's port.
struct Served {
    sidecar: Sidecar,
    port: u16,
    transport: Transport,
    backend: tokio::net::TcpListener,
    folder: TempDir,
}

impl Served {
    async fn start(spec: &[(&str, Value)], sets: &[&[u8]]) -> Self {
        Self::start_over(Transport::Http1, spec, sets).await
    }

    /// The same for clients that come by `transport`.
    async fn start_over(transport: Transport, spec: &[(&str, Value)], sets: &[&[u8]]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = tokio::net::TcpListener::bind((LOCALHOST, 0)).await.unwrap();
        let backends = json!([{ "name": "app", "port": backend.local_addr().unwrap().port() }]);
        let port = free_port();
        let listener = transport.listener(port, folder.path());
        let own = [("backends", backends), ("listener", listener)];
        let spec: Vec<_> = own.into_iter().chain(spec.iter().cloned()).collect();
        let mut sidecar = Sidecar::start(&folder);
        let route = sent("chat", 1, Held::No, &spec);
        let configuration = match sets {
            [] => Configuration::new(vec![route], Vec::new(), String::new(), None),
            [set, ..] => configuration(vec![route], set),
        };
        let applied = sidecar.serve(&configuration, sets).await;
        assert_eq!(generation(&applied, "chat"), (Some(1), false), "{applied:?}");
        Self {
            sidecar,
            port,
            transport,
            backend,
            folder,
        }
    }

    async fn session(&self) -> Session {
        let connect = async {
            loop {
                if let Ok(client) = TcpStream::connect((LOCALHOST, self.port)).await {
                    return client;
                }
            }
        };
        let connection = timeout(PATIENCE, connect).await.unwrap();
        let (client, backend) = tokio::join!(
            self.transport.shake_hands(connection, self.folder.path()),
            self.accept()
        );
        let mut session = Session { client, backend };
        // When a message has come through, the session has begun.
        session.client.send(&[0x89, 0x80, 0, 0, 0, 0]).await;
        if self.has_transcoding() {
            session.client.expect(&[0x8A, 0]).await;
        } else {
            expect(&mut session.backend, &[0x89, 0x80, 0, 0, 0, 0]).await;
        }
        session
    }

    fn has_transcoding(&self) -> bool {
        let routes = self.sidecar.shared.routes();
        routes.iter().any(|live| live.transcoder.is_some())
    }

    /// The backend's end of a session whose handshake is under way.
    async fn accept(&self) -> TcpStream {
        let (mut backend, _) = timeout(PATIENCE, self.backend.accept()).await.unwrap().unwrap();
        let head = read_head(&mut backend).await;
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.unwrap().as_bytes());
        let extensions = match head.contains("permessage-deflate") {
            true => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            false => "",
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{extensions}Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        backend.write_all(answer.as_bytes()).await.unwrap();
        backend
    }

    /// Sends messages to all sessions, and waits for the answer.
    async fn broadcast(&mut self, route: &str, messages: &[(&str, &str)]) -> BroadcastResult {
        self.begin_broadcast(7, route, messages);
        let answered = async {
            loop {
                // Nothing arrives, for the operator is away, but answers are taken up.
                self.sidecar.stream.next().now_or_never();
                if let Some(result) = self.sidecar.stream.link.take_answer() {
                    return result;
                }
                tokio::task::yield_now().await;
            }
        };
        let result = timeout(PATIENCE, answered).await.unwrap();
        assert_eq!(result.number, 7);
        result
    }

    fn begin_broadcast(&mut self, number: u64, route: &str, messages: &[(&str, &str)]) {
        let message = |(id, text): &(&str, &str)| BroadcastMessage {
            id: (*id).into(),
            text: (*text).into(),
            ..BroadcastMessage::default()
        };
        let broadcast = Broadcast {
            number,
            namespace: "shop".into(),
            route: route.into(),
            source: "/pushes".into(),
            messages: messages.iter().map(message).collect(),
        };
        self.sidecar
            .stream
            .broadcast(&broadcast, &self.sidecar.configurator);
    }

    fn metric(&self, name: &str) -> String {
        let mut registry = MetricsRegistry::new("proxy", "0");
        registry.register_collector(crate::metrics::RoutesCollector::new(Arc::clone(
            &self.sidecar.shared,
        )));
        let text = registry.encode().unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn expect(stream: &mut (impl AsyncRead + Unpin), bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    timeout(PATIENCE, stream.read_exact(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read, bytes);
}

fn queued(sessions: u64) -> BroadcastResult {
    BroadcastResult {
        number: 7,
        sessions,
        error: None,
    }
}

fn refused(error: BroadcastError) -> BroadcastResult {
    BroadcastResult {
        number: 7,
        sessions: 0,
        error: Some(error),
    }
}

#[tokio::test]
async fn every_session_gets_a_message_once_and_what_comes_again_is_acknowledged_and_dropped() {
    let mut served = Served::start(&[], &[]).await;
    assert_eq!(served.broadcast("chat", &[("0", "nobody")]).await, queued(0));
    let (mut first, mut second) = (served.session().await, served.session().await);
    let both = [("1", "one"), ("2", "two")];
    for _ in 0..2 {
        assert_eq!(served.broadcast("chat", &both).await, queued(2));
    }
    assert_eq!(
        served.broadcast("chat", &[("2", "two"), ("3", "three")]).await,
        queued(2)
    );
    for session in [&mut first, &mut second] {
        session
            .client
            .expect(b"\x81\x03one\x81\x03two\x81\x05three")
            .await;
        // Compressed with what was agreed on, which the message for all is not.
        session.backend.write_all(b"\xc1\x03\x4a\x05\x00").await.unwrap();
        session.client.expect(b"\xc1\x03\x4a\x05\x00").await;
        session.client.send(b"\x81\x82\x00\x00\x00\x00hi").await;
        expect(&mut session.backend, b"\x81\x82\x00\x00\x00\x00hi").await;
    }
    assert_eq!(served.metric("heddle_websocket_broadcast_messages_total"), "6");
    assert_eq!(
        served.metric("heddle_websocket_broadcast_messages_missed_total"),
        "0"
    );
}

#[tokio::test]
async fn what_cannot_be_queued_is_said_and_queues_nothing() {
    let limits = ("limits", json!({ "maxMessageBytes": 4 }));
    let mut served = Served::start(&[limits], &[]).await;
    let mut session = served.session().await;
    assert_eq!(
        served.broadcast("other", &[("1", "a")]).await,
        refused(BroadcastError::RouteUnknown)
    );
    assert_eq!(
        served.broadcast("chat", &[("1", "a"), ("2", "12345")]).await,
        refused(BroadcastError::MessageTooLong)
    );
    assert_eq!(served.broadcast("chat", &[("1", "a")]).await, queued(1));
    session.client.expect(b"\x81\x01a").await;
    let mut served = Served::start(&[], &[]).await;
    let long = "x".repeat(TEXT_BYTES_LIMIT + 1);
    assert_eq!(
        served.broadcast("chat", &[("1", &long)]).await,
        refused(BroadcastError::MessageTooLong)
    );
}

#[tokio::test]
async fn a_source_that_is_faster_than_sessions_waits_for_them() {
    const BROADCASTS: usize = 40;
    let mut served = Served::start(&[], &[]).await;
    let mut session = served.session().await;
    let numbers: Vec<_> = (0..MESSAGES_LIMIT * BROADCASTS)
        .map(|number| format!("{number:05}"))
        .collect();
    let sends = async {
        for together in numbers.chunks(MESSAGES_LIMIT) {
            let messages: Vec<_> = together.iter().map(|id| (id.as_str(), id.as_str())).collect();
            assert_eq!(served.broadcast("chat", &messages).await, queued(1));
        }
    };
    let reads = async {
        for number in &numbers {
            session.client.expect(b"\x81\x05").await;
            session.client.expect(number.as_bytes()).await;
        }
    };
    tokio::join!(sends, reads);
}

#[tokio::test]
async fn broadcasts_that_there_is_no_room_for_are_refused_at_once() {
    let mut served = Served::start(&[], &[]).await;
    let routes = served.sidecar.shared.routes();
    let context = routes.iter().next().unwrap().session_context();
    let end = || Endpoint::new(tokio::io::duplex(1).0);
    // It never looks, so that all of them wait.
    let _stuck = heddle_ws_session::run(end(), end(), context);
    let most = BROADCASTS_LIMIT as u64;
    for number in 0..most {
        served.begin_broadcast(number, "chat", &[(&number.to_string(), "waits")]);
    }
    assert_eq!(served.sidecar.stream.link.take_answer(), None);
    served.begin_broadcast(most, "chat", &[("too many", "refused")]);
    let answer = served.sidecar.stream.link.take_answer().unwrap();
    assert_eq!((answer.number, answer.error), (most, Some(BroadcastError::Busy)));
}

#[tokio::test]
async fn messages_go_between_those_of_the_backend_whatever_a_client_speaks() {
    let long = "x".repeat(200_000);
    for transport in Transport::ALL {
        let mut served = Served::start_over(transport, &[], &[]).await;
        let Session {
            mut client,
            mut backend,
        } = served.session().await;
        // Half of a frame's payload, and half of a message.
        for (half, other, id) in [
            (&b"\x82\x06abc"[..], &b"def"[..], "frame"),
            (b"\x02\x03abc", b"\x80\x03def", "message"),
        ] {
            backend.write_all(half).await.unwrap();
            client.expect(half).await;
            let both = [(id, "for all"), (&format!("{id} again"), &*long)];
            assert_eq!(served.broadcast("chat", &both).await, queued(1), "{transport:?}");
            backend.write_all(other).await.unwrap();
            client.expect(other).await;
            client
                .expect(b"\x81\x07for all\x81\x7f\0\0\0\0\0\x03\x0d\x40")
                .await;
            client.expect(long.as_bytes()).await;
        }
        backend.write_all(b"\x81\x02hi").await.unwrap();
        client.expect(b"\x81\x02hi").await;
        client.send(b"\x81\x82\0\0\0\0hi").await;
        expect(&mut backend, b"\x81\x82\0\0\0\0hi").await;
    }
}

#[tokio::test]
async fn sessions_that_transcode_get_it_in_the_encoding_of_their_clients() {
    let set = set(&["Said"]);
    for transport in Transport::ALL {
        for (encoding, frame, missed) in [
            ("JSON", &b"\x81\x0d{\"text\":\"hi\"}"[..], "0"),
            ("Protobuf", b"\x82\x04\x0a\x02hi", "1"),
        ] {
            let mut spec = transcoding(free_port(), "a.Said");
            spec.remove(0);
            spec[0].1["clientEncoding"] = json!(encoding);
            let mut served = Served::start_over(transport, &spec, &[&set]).await;
            let mut session = served.session().await;
            assert_eq!(
                served.broadcast("chat", &[("1", r#"{"text":"hi"}"#)]).await,
                queued(1)
            );
            session.client.expect(frame).await;
            if encoding == "Protobuf" {
                assert_eq!(
                    served.broadcast("chat", &[("2", "no JSON"), ("3", "{}")]).await,
                    queued(1)
                );
                session.client.expect(b"\x82\x00").await;
            }
            assert_eq!(
                served.metric("heddle_websocket_broadcast_messages_missed_total"),
                missed
            );
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_neither_the_answer_nor_others() {
    let mut served = Served::start(&[], &[]).await;
    let (_slow, mut quick) = (served.session().await, served.session().await);
    let text = "x".repeat(TEXT_BYTES_LIMIT - 3);
    // More than sockets and the backlog hold.
    for number in 0..100 {
        let text = format!("{number:03}{text}");
        let result = served.broadcast("chat", &[(&number.to_string(), &text)]).await;
        assert_eq!(result, queued(2));
        let head = quick.client.read::<10>().await;
        assert_eq!(head[..2], [0x81, 127], "message {number}");
        quick.client.expect(text.as_bytes()).await;
    }
    assert_eq!(
        served.metric("heddle_websocket_sessions_open"),
        "2",
        "the slow one goes on"
    );
}
