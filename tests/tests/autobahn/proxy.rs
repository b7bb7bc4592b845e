//! The proxy as a program of its own, with its routes in a file.

use anyhow::{Context, Result, bail};
use heddle_tests::api_server::free_port;
use heddle_tests::eventually::{Probe, eventually};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A route that wants nothing to do with frames.
pub(crate) const UNTOUCHED: &str = "untouched";
/// A route with every feature on that knows frames, and none that would have anything to object to.
pub(crate) const FRAMED: &str = "framed";

const PROGRAM: &str = env!("CARGO_BIN_EXE_heddle-proxy-under-test");

/// How long the proxy may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running proxy. It is killed when dropped.
pub(crate) struct Proxy {
    port: u16,
    _process: Child,
    _folder: TempDir,
}

impl Proxy {
    /// Starts one with both routes before the backend on this port.
    pub(crate) async fn start(backend: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("routes.yaml");
        let (port, admin) = (free_port()?, free_port()?);
        std::fs::write(&file, routes(port, backend))?;
        let mut process = Command::new(PROGRAM)
            .args(["run", "-f"])
            .arg(&file)
            .arg("--listen-address=127.0.0.1")
            .arg(format!("--admin=127.0.0.1:{admin}"))
            .arg("--log-level=warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the proxy")?;
        let process_probe = &mut process;
        eventually("the proxy listens", START_LIMIT, || {
            let ended = process_probe.try_wait();
            async move {
                if let Some(status) = ended? {
                    bail!("the proxy has ended with {status}");
                }
                Ok(match TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(_) => Probe::Seen(()),
                    Err(error) => Probe::NotYet(error.to_string()),
                })
            }
        })
        .await?;
        Ok(Self {
            port,
            _process: process,
            _folder: folder,
        })
    }

    /// What a client of this route connects to.
    pub(crate) fn url(&self, route: &str) -> String {
        format!("ws://127.0.0.1:{}/{route}/", self.port)
    }
}

fn routes(port: u16, backend: u16) -> String {
    let route = |name: &str, features: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1
kind: WsRoute
metadata: {{ name: {name} }}
spec:
  selector: {{ matchLabels: {{ app: echo }} }}
  listener: {{ port: {port} }}
  matches: [{{ path: {{ value: /{name} }} }}]
  backends: [{{ name: echo, host: 127.0.0.1, port: {backend} }}]
{features}---
"
        )
    };
    route(UNTOUCHED, "") + &route(FRAMED, FEATURES)
}

/// The suite's longest message has 16 MiB, and none of its cases sends so many so fast or is idle for so long.
const FEATURES: &str = "  timeouts: { idle: 10m }
  lifetime: { maxAge: 1h }
  keepalive: { interval: 5m, timeout: 1m }
  limits:
    maxMessageBytes: 67108864
    messageRate: { perSecond: 1000000 }
    maxConnections: 1000
    maxConnectionsPerClient: 1000
";
