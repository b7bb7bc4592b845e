//! Sessions that threads give each other all the time, asked as the balancer asks, under numbered messages.

use super::*;
use crate::config::files::{self, Paths};
use crate::config::{Configurator, Listening};
use crate::metrics::RoutesCollector;
use crate::tls::Secrets;
use heddle_telemetry::MetricsRegistry;
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SESSIONS: usize = 40;
const MESSAGES: u64 = 80;
const NUMBER_BYTES: u8 = 8;

/// Bytes of a client's frame before its payload, with a mask of zeros.
const CLIENT_HEAD: usize = 6;

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

/// Sends every message back, and Close frames too.
async fn send_back(mut stream: TcpStream) {
    read_head(&mut stream).await;
    let accept = derive_accept_key(KEY.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let mut head = [0; CLIENT_HEAD];
    while stream.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        stream.read_exact(&mut payload).await.unwrap();
        let frame = [&[head[0], head[1] & 0x7f], &*payload].concat();
        // Two pieces, so that the session moves inside frames.
        let (begin, end) = frame.split_at(frame.len() / 2);
        stream.write_all(begin).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(end).await.unwrap();
    }
}

async fn backend() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut sessions = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            sessions.spawn(send_back(stream));
        }
    });
    (port, tasks)
}

async fn begin(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect((LOCALHOST, port)).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    read_head(&mut stream).await;
    stream
}

async fn send(stream: &mut TcpStream, opcode: u8, payload: &[u8]) {
    let length = 0x80 | u8::try_from(payload.len()).unwrap();
    let frame = [&[0x80 | opcode, length, 0, 0, 0, 0], payload].concat();
    stream.write_all(&frame).await.unwrap();
}

/// Sends numbers and reads each back before the next.
async fn count(mut stream: TcpStream) -> TcpStream {
    for number in 0..MESSAGES {
        send(&mut stream, 2, &number.to_be_bytes()).await;
        let mut back = [0; 2 + NUMBER_BYTES as usize];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back[..2], [0x82, NUMBER_BYTES]);
        assert_eq!(back[2..], number.to_be_bytes());
    }
    stream
}

/// Waits for a Close frame with this code, and reads to the end of the connection.
async fn expect_close(stream: &mut TcpStream, code: u16) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], 0x88);
    let mut payload = vec![0; usize::from(head[1])];
    stream.read_exact(&mut payload).await.unwrap();
    assert_eq!(payload[..2], code.to_be_bytes());
}

/// Asks the threads for sessions, to and fro, for as long as it is not dropped.
async fn send_to_and_fro(crew: Arc<Crew>) {
    loop {
        for (from, to) in [(0, 1), (1, 0)] {
            crew.ask(from, to, SESSIONS);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A proxy in this process.
struct Threads {
    port: u16,
    shared: Arc<Shared>,
    configurator: Configurator,
    crew: Arc<Crew>,
    _folder: tempfile::TempDir,
}

impl Threads {
    async fn start(backend: u16) -> Self {
        let port = std::net::TcpListener::bind((LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("routes.yaml");
        let text = format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: WsRoute\nmetadata: {{ name: chat }}\nspec:\n  selector: {{ matchLabels: {{ app: test }} }}\n  listener: {{ port: {port} }}\n  backends: [{{ name: app, port: {backend} }}]\n  timeouts: {{ drain: 1s }}\n"
        );
        std::fs::write(&manifest, text).unwrap();
        let shared = Arc::<Shared>::default();
        let workers = Workers::start(2, &shared).unwrap();
        let crew = Arc::clone(&workers.crew);
        let listening = Listening {
            address: Some(LOCALHOST),
            admin_port: 1,
        };
        let mut configurator = Configurator::new(Arc::clone(&shared), workers, listening, Secrets::new(None));
        let paths = Paths {
            manifests: vec![manifest],
            descriptors: Vec::new(),
        };
        let applied = configurator.apply(files::read(&paths).unwrap().route_set()).await;
        assert!(applied[0].error.is_none(), "{applied:?}");
        Self {
            port,
            shared,
            configurator,
            crew,
            _folder: folder,
        }
    }

    async fn begin(&self) -> TcpStream {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = TcpStream::connect((LOCALHOST, self.port)).await {
            assert!(Instant::now() < deadline, "{error}");
        }
        begin(self.port).await
    }

    /// The lines of a metric.
    fn metric(&self, name: &str) -> Vec<String> {
        metric(&self.shared, name)
    }
}

fn metric(shared: &Arc<Shared>, name: &str) -> Vec<String> {
    let mut registry = MetricsRegistry::new("proxy", "0");
    shared.metrics.register(&mut registry);
    registry.register_collector(RoutesCollector::new(Arc::clone(shared)));
    let text = registry.encode().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.map(str::to_owned).collect()
}

fn number(lines: &[String]) -> f64 {
    let line = lines.first().unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_threads_give_each_other_lose_nothing_and_end_as_they_should() {
    let (backend, _backend) = backend().await;
    let threads = Threads::start(backend).await;
    let mut mover = JoinSet::new();
    mover.spawn(send_to_and_fro(Arc::clone(&threads.crew)));
    let mut counting = JoinSet::new();
    for _ in 0..SESSIONS {
        counting.spawn(count(threads.begin().await));
    }
    let mut sessions = timeout(PATIENCE, counting.join_all()).await.unwrap();
    let moved = number(&threads.metric("heddle_proxy_sessions_moved_total"));
    assert!(moved > SESSIONS as f64, "{moved}");
    for mut session in sessions.drain(..SESSIONS / 2) {
        send(&mut session, 8, &1000_u16.to_be_bytes()).await;
        expect_close(&mut session, 1000).await;
        assert_eq!(session.read(&mut [0]).await.unwrap(), 0);
    }
    let mut left = JoinSet::new();
    for mut session in sessions {
        left.spawn(async move {
            expect_close(&mut session, 1001).await;
            send(&mut session, 8, &1001_u16.to_be_bytes()).await;
            assert_eq!(session.read(&mut [0]).await.unwrap(), 0);
        });
    }
    let Threads {
        shared, configurator, ..
    } = threads;
    assert!(
        timeout(PATIENCE, configurator.drain()).await.unwrap(),
        "all end in time"
    );
    left.join_all().await;
    let half = (SESSIONS / 2) as f64;
    let closed = metric(&shared, "heddle_websocket_sessions_closed_total");
    let of = |code: &str| -> Vec<String> {
        let lines = closed.iter().filter(|line| line.contains(code));
        lines.cloned().collect()
    };
    assert_eq!(closed.len(), 2, "{closed:?}");
    assert_eq!(number(&of("\"1000\"")), half, "{closed:?}");
    assert_eq!(number(&of("\"1001\"")), half, "{closed:?}");
    assert_eq!(number(&metric(&shared, "heddle_websocket_sessions_open")), 0.0);
    assert_eq!(shared.metrics.connections.get(), 0);
    let messages = metric(&shared, "heddle_websocket_messages_total");
    let all = (SESSIONS as u64 * MESSAGES) as f64;
    for line in &messages {
        assert_eq!(number(std::slice::from_ref(line)), all, "{messages:?}");
    }
}

#[tokio::test]
async fn another_thread_accepts_while_the_first_is_busy_and_no_longer() {
    let shared = Arc::<Shared>::default();
    let workers = Workers::start(2, &shared).unwrap();
    let mut accepting = workers.crew.accepting();
    let mut until = async |count: usize| {
        let reached = accepting.wait_for(|accepting| *accepting == count);
        drop(timeout(PATIENCE, reached).await.expect("in time").unwrap());
    };
    until(1).await;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    workers.crew.seat(0).serve(async move |_seat| {
        while !stopped.is_cancelled() {
            tokio::task::yield_now().await;
        }
    });
    until(2).await;
    stop.cancel();
    until(1).await;
    assert!(workers.finish(PATIENCE).await);
}
