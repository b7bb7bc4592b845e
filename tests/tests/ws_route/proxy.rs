//! The real sidecar with the real operator: what is applied is served, and goes on being served while the operator is away.

use super::world::World;
use anyhow::{Context, Result, bail};
use heddle_tests::api_server::free_port;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::http;
use heddle_tests::namespace::SOON;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What only the backend answers.
const TEAPOT: &str = "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A backend that refuses every handshake in its own way: what a client gets of it came through the proxy.
pub(crate) struct Backend {
    port: u16,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

impl Backend {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes early is no concern of the next one.
                refuse(stream).await.ok();
            }
        });
        Ok(Self { port, _task: task })
    }
}

async fn refuse(mut stream: TcpStream) -> Result<()> {
    read_head(&mut stream).await?;
    stream.write_all(TEAPOT.as_bytes()).await?;
    Ok(())
}

async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => bail!("no head: {}", String::from_utf8_lossy(&head)),
        }
    }
    Ok(String::from_utf8(head)?)
}

/// A sidecar as a pod has it.
pub(crate) struct Proxy {
    child: Child,
    admin: u16,
    folder: TempDir,
    url: String,
    bundle: String,
}

impl Proxy {
    /// For a pod that has just been made: with a token, and nothing kept.
    pub(crate) async fn create(world: &World, pod: &Pod) -> Result<Self> {
        let folder = TempDir::with_prefix("heddle-proxy-")?;
        std::fs::write(folder.path().join("token"), world.token(pod).await?)?;
        std::fs::create_dir(folder.path().join("state"))?;
        let url = format!("https://127.0.0.1:{}", world.stream_port);
        let (admin, bundle) = (free_port()?, world.bundle().await?);
        Ok(Self {
            child: Self::spawn(&folder, admin, &url, &bundle)?,
            admin,
            folder,
            url,
            bundle,
        })
    }

    fn spawn(folder: &TempDir, admin: u16, url: &str, bundle: &str) -> Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.path().join("log"))?;
        Command::new(env!("CARGO_BIN_EXE_heddle-proxy-under-test"))
            .arg("run")
            .env_clear()
            .env("HEDDLE_LISTEN_ADDRESS", "127.0.0.1")
            .env("HEDDLE_ADMIN", format!("127.0.0.1:{admin}"))
            .env("HEDDLE_CONFIGURATION_URL", url)
            .env("HEDDLE_TRUST_BUNDLE", bundle)
            .env("HEDDLE_TRUST_BUNDLE_FILE", folder.path().join("ca.crt"))
            .env("HEDDLE_TOKEN_FILE", folder.path().join("token"))
            .env("HEDDLE_STATE_DIR", folder.path().join("state"))
            .env("HEDDLE_SECRETS_DIR", folder.path())
            .env("HEDDLE_THREADS", "1")
            .env("HEDDLE_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the proxy")
    }

    /// Killed and started again, as when its container runs out of memory. Its volumes stay.
    async fn restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        self.child = Self::spawn(&self.folder, self.admin, &self.url, &self.bundle)?;
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<()> {
        eventually("the proxy is ready", SOON, || async {
            Ok(match http::request("GET", self.admin, "/readyz", "").await {
                Ok(answer) if answer.status == 200 => Probe::Seen(()),
                Ok(answer) => Probe::NotYet(format!("{} {}", answer.body, self.log())),
                Err(error) => Probe::NotYet(format!("{error} {}", self.log())),
            })
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The status that a handshake at a port of the proxy is answered with.
async fn handshake(port: u16, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let head = tokio::time::timeout(SOON, read_head(&mut stream)).await??;
    let status = head.split(' ').nth(1).context("a status")?;
    Ok(status.parse()?)
}

pub(crate) fn changes(port: u16, backend: &Backend, path: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("listener", json!({ "port": port })),
        (
            "backends",
            json!([{ "name": "app", "host": "127.0.0.1", "port": backend.port }]),
        ),
        ("matches", json!([{ "path": { "value": path } }])),
    ]
}

#[tokio::test]
async fn routes_are_served_as_they_change_and_on_while_the_operator_is_away() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    let backend = Backend::start().await?;
    let port = free_port()?;
    let pod = world.ready_pod("a", "chat").await?;
    let mut proxy = Proxy::create(&world, &pod).await?;
    world.apply("chat", &changes(port, &backend, "/one")).await?;
    world
        .wait_for_reason("chat", "Ready", "Programmed")
        .await
        .with_context(|| proxy.log())?;
    proxy.wait_until_ready().await?;
    assert_eq!(handshake(port, "/one").await?, 418);
    assert_ne!(handshake(port, "/two").await?, 418);
    let status = world.routes().get("chat").await?.status.unwrap_or_default();
    let trace_id = status.trace_id.unwrap_or_default();
    assert!(
        !trace_id.is_empty() && proxy.log().contains(&trace_id),
        "one trace goes from the change to the sidecar: {}",
        proxy.log()
    );

    // A route that cannot be served says why, and the others are left alone.
    let taken = TcpListener::bind(("127.0.0.1", 0)).await?;
    let taken_port = taken.local_addr()?.port();
    world.apply("taken", &changes(taken_port, &backend, "/")).await?;
    let refused = world
        .wait_for_reason("taken", "Programmed", "SidecarRefused")
        .await?;
    assert!(
        refused.message.contains("failed to listen"),
        "{}",
        refused.message
    );
    assert_eq!(handshake(port, "/one").await?, 418);
    drop(taken);
    world.wait_for_reason("taken", "Ready", "Programmed").await?;

    // The operator is away for all of a restart.
    operator.kill().await?;
    proxy.restart().await?;
    proxy.wait_until_ready().await?;
    assert_eq!(handshake(port, "/one").await?, 418);
    let _successor = world.operator_with("operator-1", &[]).await?;
    world.apply("chat", &changes(port, &backend, "/two")).await?;
    world
        .wait_for("chat", "generation 2 is served", |status| {
            let programmed = status
                .sidecars
                .as_ref()
                .is_some_and(|counts| counts.programmed == 1);
            status.observed_generation == Some(2) && programmed
        })
        .await
        .with_context(|| proxy.log())?;
    assert_eq!(handshake(port, "/two").await?, 418);
    assert_ne!(handshake(port, "/one").await?, 418);

    // What is suspended is kept, also by a restart.
    let mut suspended = changes(port, &backend, "/three");
    suspended.push(("suspend", json!(true)));
    world.apply("chat", &suspended).await?;
    world.wait_for_reason("chat", "Ready", "Suspended").await?;
    proxy.restart().await?;
    proxy.wait_until_ready().await?;
    assert_eq!(handshake(port, "/two").await?, 418);
    assert_ne!(handshake(port, "/three").await?, 418);
    let token = std::fs::read_to_string(proxy.folder.path().join("token"))?;
    assert!(!proxy.log().contains(&token), "tokens have no way into logs");
    Ok(())
}

/// Brings what a namespace holds for its sidecars into a pod, as a kubelet does, once it is `expected`.
async fn project_trust(world: &World, proxy: &Proxy, expected: &str) -> Result<()> {
    let config_maps = Api::<ConfigMap>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    eventually("the namespace holds the authorities", SOON, || async {
        let held = config_maps.get_opt("heddle-trust").await?;
        let held = held.and_then(|held| held.data?.remove("ca.crt"));
        Ok(match held.as_deref() == Some(expected) {
            true => Probe::Seen(()),
            false => Probe::NotYet(format!("{held:?}")),
        })
    })
    .await?;
    let next = proxy.folder.path().join("next.crt");
    std::fs::write(&next, expected)?;
    Ok(std::fs::rename(next, proxy.folder.path().join("ca.crt"))?)
}

#[tokio::test]
async fn an_authority_that_is_lost_while_nobody_leads_keeps_no_sidecar_out() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    let backend = Backend::start().await?;
    let port = free_port()?;
    let pod = world.ready_pod("a", "chat").await?;
    let proxy = Proxy::create(&world, &pod).await?;
    world.apply("chat", &changes(port, &backend, "/one")).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    let before = world.bundle().await?;
    project_trust(&world, &proxy, &before).await?;

    operator.kill().await?;
    let secrets = Api::<Secret>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    secrets
        .delete("heddle-certificates", &DeleteParams::default())
        .await?;
    let _successor = world.operator_with("operator-1", &[]).await?;
    let after = world.bundle().await?;
    assert!(
        !after.contains(before.trim()),
        "nobody can make an authority again"
    );
    world.apply("chat", &changes(port, &backend, "/two")).await?;
    eventually("the sidecar trusts nobody who serves", SOON, || async {
        Ok(match proxy.log().contains("the operator is out of reach") {
            true => Probe::Seen(()),
            false => Probe::NotYet(proxy.log()),
        })
    })
    .await?;
    project_trust(&world, &proxy, &after).await?;
    world
        .wait_for("chat", "generation 2 is served", |status| {
            let counts = status.sidecars.as_ref();
            let is_programmed = counts.is_some_and(|counts| counts.programmed == 1);
            status.observed_generation == Some(2) && is_programmed
        })
        .await
        .with_context(|| proxy.log())?;
    assert_eq!(handshake(port, "/two").await?, 418);
    Ok(())
}

/// How often the route is changed while sessions go on.
const CHANGES: u32 = 1000;

/// Sessions that go on meanwhile.
const SESSIONS: usize = 20;

/// A text message `hello`, masked with zeros as a client may, and as a server sends it (RFC 6455, section 5.2).
const FROM_CLIENT: &[u8] = b"\x81\x85\0\0\0\0hello";
const FROM_SERVER: &[u8] = b"\x81\x05hello";

/// A route `chat` that its only pod's sidecar serves.
pub(crate) struct Served {
    pub(crate) port: u16,
    pub(crate) proxy: Proxy,
    _backend: Backend,
}

impl Served {
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let backend = greet_back().await?;
        let port = free_port()?;
        let pod = world.ready_pod("a", "chat").await?;
        let proxy = Proxy::create(world, &pod).await?;
        world.apply("chat", &changes(port, &backend, "/one")).await?;
        let programmed = world.wait_for_reason("chat", "Ready", "Programmed").await;
        programmed.with_context(|| proxy.log())?;
        Ok(Self {
            port,
            proxy,
            _backend: backend,
        })
    }
}

/// A backend that takes every handshake (with the key of RFC 6455, section 1.3) and answers each `hello`.
async fn greet_back() -> Result<Backend> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut sessions = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            sessions.spawn(answer_greetings(stream));
        }
    });
    Ok(Backend { port, _task: task })
}

async fn answer_greetings(mut stream: TcpStream) -> Result<()> {
    const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    read_head(&mut stream).await?;
    stream.write_all(ACCEPTED.as_bytes()).await?;
    let mut message = [0; FROM_CLIENT.len()];
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(FROM_SERVER).await?;
    }
}

/// Says `hello` and waits for the answer until told to stop. How often.
async fn greet(mut stream: TcpStream, stop: CancellationToken) -> Result<u64> {
    let mut answered = 0;
    while !stop.is_cancelled() {
        stream.write_all(FROM_CLIENT).await?;
        let mut answer = [0; FROM_SERVER.len()];
        tokio::time::timeout(SOON, stream.read_exact(&mut answer))
            .await
            .context("no answer")?
            .context("the session was dropped")?;
        anyhow::ensure!(answer == FROM_SERVER, "another answer: {answer:?}");
        answered += 1;
    }
    Ok(answered)
}

/// A session that something has gone through.
pub(crate) async fn open_greeted_session(port: u16) -> Result<TcpStream> {
    let mut stream = open_session(port).await?;
    stream.write_all(FROM_CLIENT).await?;
    let mut answer = [0; FROM_SERVER.len()];
    tokio::time::timeout(SOON, stream.read_exact(&mut answer)).await??;
    Ok(stream)
}

pub(crate) async fn open_session(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = "GET /one HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let head = tokio::time::timeout(SOON, read_head(&mut stream)).await??;
    anyhow::ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
    Ok(stream)
}

#[tokio::test]
async fn a_thousand_changes_of_a_route_drop_no_session_and_each_that_is_sent_is_acknowledged() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    let backend = greet_back().await?;
    let port = free_port()?;
    let pod = world.ready_pod("a", "chat").await?;
    let proxy = Proxy::create(&world, &pod).await?;
    world.apply("chat", &changes(port, &backend, "/one")).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    let stop = CancellationToken::new();
    let mut sessions = JoinSet::new();
    for _ in 0..SESSIONS {
        sessions.spawn(greet(open_session(port).await?, stop.clone()));
    }
    for number in 0..CHANGES {
        let mut changed = changes(port, &backend, "/one");
        let connections = 10_000 + number;
        changed.push(("limits", json!({ "maxConnections": connections })));
        world.apply("chat", &changed).await?;
    }
    let last = i64::from(CHANGES) + 1;
    world
        .wait_for("chat", "the last change is acknowledged", |status| {
            let programmed = status
                .sidecars
                .as_ref()
                .is_some_and(|counts| counts.programmed == 1);
            status.observed_generation == Some(last) && programmed
        })
        .await
        .with_context(|| proxy.log())?;
    stop.cancel();
    while let Some(answered) = sessions.join_next().await {
        assert!(answered?? > 0);
    }
    let sent = operator.metric("heddle_configurations_sent_total").await?;
    let accepted = "heddle_acknowledgements_total{outcome=\"accepted\"}";
    assert!(sent > 1.0);
    assert_eq!(operator.metric(accepted).await?, sent, "each is acknowledged");
    Ok(())
}

#[tokio::test]
async fn what_could_not_be_served_after_a_restart_is_reported_and_served_as_soon_as_it_can_be() -> Result<()>
{
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let backend = Backend::start().await?;
    let port = free_port()?;
    let pod = world.ready_pod("a", "chat").await?;
    let mut proxy = Proxy::create(&world, &pod).await?;
    world.apply("chat", &changes(port, &backend, "/one")).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    assert_eq!(handshake(port, "/one").await?, 418);

    proxy.child.kill().await?;
    let taken = TcpListener::bind(("127.0.0.1", port)).await?;
    proxy.restart().await?;
    world
        .wait_for_reason("chat", "Programmed", "SidecarRefused")
        .await
        .with_context(|| proxy.log())?;
    let readiness = http::request("GET", proxy.admin, "/readyz", "").await?;
    assert_eq!(readiness.status, 503, "{}", readiness.body);
    assert!(readiness.body.contains("failed to listen"), "{}", readiness.body);

    drop(taken);
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    proxy.wait_until_ready().await?;
    assert_eq!(handshake(port, "/one").await?, 418);
    assert_eq!(proxy.log().matches("failed to apply a route").count(), 1);
    Ok(())
}
