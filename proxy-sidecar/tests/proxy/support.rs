//! A proxy that runs, and peers that speak byte by byte.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Whatever takes longer than this does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Bytes that a narrow socket asks its system to keep.
const NARROW: u32 = 4096;

/// The key of every handshake here.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Waits until `condition` gives something.
pub(crate) async fn until<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    until_in(PATIENCE, what, condition).await
}

/// The same for what takes long.
pub(crate) async fn until_in<T>(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A port that nobody has right now.
pub(crate) fn free_port() -> u16 {
    heddle_test_ports::free_port().unwrap()
}

/// A WsRoute, with lines of its `spec`, indented by two spaces.
pub(crate) fn manifest(name: &str, port: u16, spec: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: WsRoute\nmetadata: {{ name: {name} }}\nspec:\n  selector: {{ matchLabels: {{ app: test }} }}\n  listener: {{ port: {port} }}\n{spec}\n"
    )
}

/// A WsRoute to one backend.
pub(crate) fn to(port: u16, backend: &Backend, spec: &str) -> String {
    manifest(
        "chat",
        port,
        &format!("  backends: [{{ name: app, port: {} }}]\n{spec}", backend.port()),
    )
}

/// The program, running.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) admin: u16,
    pub(crate) folder: TempDir,
    pub(crate) child: Child,
}

impl Proxy {
    /// Starts it with the manifests that `routes` makes for a port.
    pub(crate) async fn start(routes: impl FnOnce(u16) -> String) -> Self {
        Self::start_with(routes, |_| {}).await
    }

    pub(crate) async fn start_with(routes: impl FnOnce(u16) -> String, prepare: impl FnOnce(&Path)) -> Self {
        Self::start_as(routes, prepare, |_| Vec::new()).await
    }

    /// With further arguments.
    pub(crate) async fn start_as(
        routes: impl FnOnce(u16) -> String,
        prepare: impl FnOnce(&Path),
        arguments: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        let (port, admin) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        std::fs::write(folder.path().join("routes.yaml"), routes(port)).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_heddle-proxy"))
            .args(["run", "--listen-address", "127.0.0.1", "--threads", "2"])
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .arg("--file")
            .arg(folder.path().join("routes.yaml"))
            .arg("--secrets-dir")
            .arg(folder.path().join("secrets"))
            .arg("--state-dir")
            .arg(folder.path())
            .args(arguments(folder.path()))
            .env("HEDDLE_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let proxy = Self {
            port,
            admin,
            folder,
            child,
        };
        proxy.until_ready().await;
        proxy
    }

    async fn until_ready(&self) {
        until("the proxy is ready", async || {
            let (status, _) = self.ask("/readyz").await?;
            (status == 200).then_some(())
        })
        .await;
        until("the port is open", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok().map(drop)
        })
        .await;
    }

    /// Asks the admin server.
    pub(crate) async fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut peer = Peer::new(TcpStream::connect(("127.0.0.1", self.admin)).await.ok()?);
        peer.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ))
        .await;
        let head = peer.head().await;
        let body = String::from_utf8(peer.rest().await).unwrap();
        Some((head.status(), body))
    }

    /// The value of a metric, by its name and labels as they are written; 0 if it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.ask("/metrics").await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) async fn until_metric(&self, name: &str, expected: f64) {
        until(name, async || (self.metric(name).await == expected).then_some(())).await;
    }

    pub(crate) fn routes_file(&self) -> PathBuf {
        self.folder.path().join("routes.yaml")
    }

    pub(crate) fn rewrite(&self, routes: &str) {
        // In one step, as kubelets do it.
        let next = self.folder.path().join("next.yaml");
        std::fs::write(&next, routes).unwrap();
        std::fs::rename(next, self.routes_file()).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The first line of the log with this message.
    pub(crate) async fn logged(&self, message: &str) -> serde_json::Value {
        until(message, async || {
            let log = self.log();
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.find(|line| line["message"] == message)
        })
        .await
    }

    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status();
        assert!(status.unwrap().success());
    }

    pub(crate) async fn ended(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap()
            .code()
    }

    /// A client that has sent nothing yet.
    pub(crate) async fn client(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap())
    }

    /// One whose system keeps little of what it has not read.
    pub(crate) async fn narrow_client(&self) -> Peer<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(NARROW).unwrap();
        let address = ([127, 0, 0, 1], self.port).into();
        Peer::new(socket.connect(address).await.unwrap())
    }

    /// A client that has sent its handshake, with further header lines.
    pub(crate) async fn knock(&self, target: &str, lines: &str) -> Peer<TcpStream> {
        let mut client = self.client().await;
        client.send(request(target, lines)).await;
        client
    }

    /// A session from end to end.
    pub(crate) async fn session(&self, backend: &Backend) -> (Peer<TcpStream>, Peer<TcpStream>) {
        let mut client = self.knock("/", "").await;
        let mut server = backend.accept().await;
        server.head().await;
        server.switch("").await;
        assert_eq!(client.head().await.status(), 101);
        (client, server)
    }
}

/// A handshake, with further header lines.
pub(crate) fn request(target: &str, lines: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
}

/// A backend that does what the test does.
pub(crate) struct Backend {
    listener: TcpListener,
}

impl Backend {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { listener }
    }

    /// One whose system keeps little of what it has not read.
    pub(crate) async fn listen_narrow() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(NARROW).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        Self { listener }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) async fn accept(&self) -> Peer<TcpStream> {
        let (stream, _): (_, SocketAddr) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        Peer::new(stream)
    }

    /// Whether nobody has come.
    pub(crate) async fn is_idle(&self) -> bool {
        timeout(Duration::from_millis(50), self.listener.accept())
            .await
            .is_err()
    }
}

/// One end of a connection.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads a head.
    pub(crate) async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Head(String::from_utf8(head).unwrap());
            }
            assert!(self.fill().await, "closed in the head: {:?}", self.buffer);
        }
    }

    /// Reads so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "closed after {:?}", self.buffer);
        }
        self.buffer.drain(..count).collect()
    }

    /// Waits for something to read. Whether there is; not at the end. Can be dropped and called again.
    pub(crate) async fn arrived(&mut self) -> bool {
        !self.buffer.is_empty() || self.fill().await
    }

    /// Whether the frame that has begun to arrive is a Close frame.
    pub(crate) fn is_close(&self) -> bool {
        self.buffer.first() == Some(&0x88)
    }

    /// Reads to the end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn fill(&mut self) -> bool {
        let mut piece = [0; 4096];
        match timeout(PATIENCE, self.stream.read(&mut piece))
            .await
            .expect("nothing comes")
        {
            Ok(count) => {
                self.buffer.extend(&piece[..count]);
                count > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Answers the handshake that was read, with further header lines.
    pub(crate) async fn switch(&mut self, lines: &str) {
        self.send(switching(lines)).await;
    }

    /// Reads a server's Close frame with this code, whatever reason it gives.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        let head = self.bytes(2).await;
        assert_eq!(head[0], 0x88, "{head:?}");
        let payload = self.bytes(usize::from(head[1])).await;
        assert_eq!(payload[..2], code.to_be_bytes(), "{payload:?}");
    }
}

/// The answer to a handshake with [`KEY`].
pub(crate) fn switching(lines: &str) -> String {
    let accept = derive_accept_key(KEY.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
}

/// A text frame as a server sends it.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    [&[0x81, payload.len() as u8], payload.as_bytes()].concat()
}

/// A frame as a client sends it, with a mask of zeros.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

/// A head as it is on the wire.
#[derive(Debug)]
pub(crate) struct Head(pub(crate) String);

impl Head {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn first_line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    /// The values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.0.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields
            .filter(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    pub(crate) fn has_line(&self, line: &str) -> bool {
        self.0.lines().any(|each| each == line)
    }
}
