//! Who is measured, and how each is told to relay from one port of loopback to another, with two threads or workers.

use super::instance::{Place, free_port};
use super::{limit, packages};
use crate::programs::beside;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A subject.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// How it is set up.
    pub(super) description: &'static str,
    pub(super) kind: Kind,
}

/// Files that pin versions.
const LOCK: &str = include_str!("../../../Cargo.lock");
const CADDY: &str = include_str!("../../peers/caddy/go.mod");

/// How a subject is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Relay,
    Nginx,
    HaProxy,
    Envoy,
    Caddy,
    Heddle,
    Transcoding,
}

/// The name of our own proxy.
pub(super) const OURS: &str = "heddle";
/// The same, on a route that transcodes.
pub(super) const TRANSCODING: &str = "heddle-transcoding";
/// Those that bars compare it with.
pub(super) const NGINX: &str = "nginx";
pub(super) const HAPROXY: &str = "haproxy";
pub(super) const PEERS: [&str; 4] = [NGINX, HAPROXY, "envoy", "caddy"];

/// All subjects, in the order of the tables.
pub(super) const ALL: [Subject; 8] = [
    Subject {
        name: OURS,
        description: "heddle-proxy, two threads, an untouched route with every frame feature on: a maximum message size, \
                      a message rate above what comes, pings, a maximum age, counters; no access log",
        kind: Kind::Heddle,
    },
    Subject {
        name: TRANSCODING,
        description: "the same with a route that transcodes, JSON at the client and protobuf at the backend",
        kind: Kind::Transcoding,
    },
    Subject {
        name: NGINX,
        description: "Debian's nginx, two workers, `proxy_pass` with upgrade, no access log",
        kind: Kind::Nginx,
    },
    Subject {
        name: HAPROXY,
        description: "Debian's HAProxy, two threads, mode http, no log",
        kind: Kind::HaProxy,
    },
    Subject {
        name: "envoy",
        description: "Envoy from PyPI, `--concurrency 2`, upgrade type websocket, no access log",
        kind: Kind::Envoy,
    },
    Subject {
        name: "caddy",
        description: "Caddy from the Go module proxy, GOMAXPROCS=2, `reverse_proxy`",
        kind: Kind::Caddy,
    },
    Subject {
        name: "relay",
        description: "a relay of bytes in tokio, two threads, `copy_bidirectional`; it reads no HTTP",
        kind: Kind::Relay,
    },
    Subject {
        name: "direct",
        description: "no proxy",
        kind: Kind::Direct,
    },
];

/// The subjects of these names, or all.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static Subject>> {
    let known: Vec<&str> = ALL.iter().map(|subject| subject.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "there is no subject {unknown:?}\n  there are: {}",
            known.join(", ")
        );
    }
    let wanted = |subject: &&Subject| names.is_empty() || names.iter().any(|name| name == subject.name);
    Ok(ALL.iter().filter(wanted).collect())
}

impl Subject {
    /// Fetches it unless it is there, and returns its version.
    pub(super) fn prepare(&self) -> Result<String> {
        match self.kind {
            Kind::Direct => Ok("–".to_owned()),
            Kind::Relay => {
                pinned(LOCK, "name = \"tokio\"\nversion = \"").map(|version| format!("tokio {version}"))
            }
            Kind::Heddle | Kind::Transcoding => {
                program(self.kind).map(|_| env!("CARGO_PKG_VERSION").to_owned())
            }
            Kind::Nginx | Kind::HaProxy => said_version(self.kind, "-v"),
            Kind::Envoy => said_version(self.kind, "--version"),
            // What is built as a tool of another module does not know its own version.
            Kind::Caddy => {
                program(self.kind).and_then(|_| pinned(CADDY, "github.com/caddyserver/caddy/v2 v"))
            }
        }
    }

    /// Starts it, in its place.
    pub(super) fn command(&self, place: &Place<'_>) -> Result<Command> {
        let (name, configuration) = match self.kind {
            Kind::Nginx => ("nginx.conf", nginx(place)?),
            Kind::HaProxy => ("haproxy.cfg", haproxy(place)?),
            Kind::Envoy => ("envoy.yaml", envoy(place)),
            Kind::Caddy => ("Caddyfile", caddy(place)),
            Kind::Heddle => ("routes.yaml", heddle(place, "")),
            Kind::Transcoding => ("routes.yaml", heddle(place, TRANSCODE)),
            Kind::Direct | Kind::Relay => bail!("{} has no configuration", self.name),
        };
        let file = place.folder.join(name);
        fs::write(&file, configuration).with_context(|| format!("failed to write {}", file.display()))?;
        let mut command = program(self.kind)?;
        match self.kind {
            Kind::Nginx => command
                .args(["-e", "stderr", "-p"])
                .arg(place.folder)
                .arg("-c")
                .arg(&file),
            Kind::HaProxy => command.arg("-db").arg("-f").arg(&file),
            Kind::Envoy => command
                .args([
                    "--disable-hot-restart",
                    "--concurrency",
                    "2",
                    "--log-level",
                    "error",
                    "-c",
                ])
                .arg(&file),
            Kind::Caddy => command
                .env("GOMAXPROCS", "2")
                .env("XDG_DATA_HOME", place.folder)
                .env("XDG_CONFIG_HOME", place.folder)
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(&file),
            _ => command
                .args([
                    "run",
                    "--threads=2",
                    "--log-level=warn",
                    "--listen-address=127.0.0.1",
                ])
                .arg(format!("--admin=127.0.0.1:{}", free_port()?))
                .arg("--file")
                .arg(&file),
        };
        if self.kind == Kind::Transcoding {
            command.arg(format!("--descriptors=bench={}", descriptors(place.folder)?));
        }
        Ok(command)
    }
}

fn program(kind: Kind) -> Result<Command> {
    match kind {
        Kind::Nginx => packages::debian("nginx"),
        Kind::HaProxy => packages::debian("haproxy"),
        Kind::Envoy => packages::envoy(),
        Kind::Caddy => packages::caddy(),
        _ => beside("heddle-proxy", "heddle-proxy-sidecar").map(Command::new),
    }
}

/// The first number with a dot that it says when asked for its version.
fn said_version(kind: Kind, question: &str) -> Result<String> {
    let output = program(kind)?
        .arg(question)
        .output()
        .context("failed to ask for a version")?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let mut words = said.split([' ', '/', '\n']);
    let version = words.find(|word| {
        let word = word.trim_start_matches('v');
        word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
    });
    version
        .map(|version| version.trim_start_matches('v').to_owned())
        .with_context(|| format!("no version in {said:?}"))
}

/// The version that follows `before` in a file that pins it.
fn pinned(file: &str, before: &str) -> Result<String> {
    let rest = file.split_once(before).map(|(_, rest)| rest);
    let version = rest.and_then(|rest| rest.split(['"', ' ', '\n']).next());
    version
        .map(str::to_owned)
        .with_context(|| format!("nothing is pinned by {before:?}"))
}

fn nginx(place: &Place<'_>) -> Result<String> {
    let folder = place.folder.display();
    let files = 2 * limit::sessions()?;
    Ok(format!(
        "daemon off; user root; worker_processes 2; pid {folder}/pid; error_log stderr crit;\n\
         events {{ worker_connections {files}; }}\n\
         http {{\n  access_log off; client_body_temp_path {folder}/client; proxy_temp_path {folder}/proxy;\n\
         \x20 fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         \x20 server {{\n    listen 127.0.0.1:{port} backlog=4096;\n    location / {{\n\
         \x20     proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1;\n\
         \x20     proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n\
         \x20     proxy_read_timeout 1h; proxy_send_timeout 1h;\n    }}\n  }}\n}}\n",
        port = place.port,
        backend = place.backend,
    ))
}

fn haproxy(place: &Place<'_>) -> Result<String> {
    let sessions = limit::sessions()?;
    Ok(format!(
        "global\n  nbthread 2\n  maxconn {sessions}\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  timeout tunnel 1h\n\
         frontend all\n  bind 127.0.0.1:{port} backlog 4096\n  default_backend echo\n\
         backend echo\n  server echo 127.0.0.1:{backend}\n",
        port = place.port,
        backend = place.backend,
    ))
}

fn envoy(place: &Place<'_>) -> String {
    format!(
        "static_resources:\n\
         \x20 listeners:\n\
         \x20 - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}\n\
         \x20   tcp_backlog_size: 4096\n\
         \x20   filter_chains:\n\
         \x20   - filters:\n\
         \x20     - name: envoy.filters.network.http_connection_manager\n\
         \x20       typed_config:\n\
         \x20         \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n\
         \x20         stat_prefix: all\n\
         \x20         stream_idle_timeout: 0s\n\
         \x20         delayed_close_timeout: 0s\n\
         \x20         upgrade_configs: [{{ upgrade_type: websocket }}]\n\
         \x20         http_filters:\n\
         \x20         - name: envoy.filters.http.router\n\
         \x20           typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}\n\
         \x20         route_config:\n\
         \x20           virtual_hosts:\n\
         \x20           - name: all\n\
         \x20             domains: [\"*\"]\n\
         \x20             routes: [{{ match: {{ prefix: / }}, route: {{ cluster: echo, timeout: 0s }} }}]\n\
         \x20 clusters:\n\
         \x20 - name: echo\n\
         \x20   connect_timeout: 5s\n\
         \x20   circuit_breakers: {{ thresholds: [{{ max_connections: 1000000, max_pending_requests: 1000000, max_requests: 1000000 }}] }}\n\
         \x20   load_assignment:\n\
         \x20     cluster_name: echo\n\
         \x20     endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {backend} }} }} }} }}] }}]\n",
        port = place.port,
        backend = place.backend,
    )
}

fn caddy(place: &Place<'_>) -> String {
    format!(
        "{{\n  admin off\n  auto_https off\n  log {{\n    level ERROR\n  }}\n}}\n\
         http://127.0.0.1:{port} {{\n  bind 127.0.0.1\n  reverse_proxy 127.0.0.1:{backend}\n}}\n",
        port = place.port,
        backend = place.backend,
    )
}

/// Compiles the IDL of the message in JSON, and returns the file of the descriptor set.
fn descriptors(folder: &Path) -> Result<String> {
    let mut compiler = protox::Compiler::new([IDL]).context("failed to find the IDL")?;
    compiler.include_imports(true);
    compiler
        .open_files(["heddle/bench/v1/bench.proto"])
        .context("failed to compile the IDL")?;
    let file = folder.join("bench.binpb");
    fs::write(&file, compiler.encode_file_descriptor_set())
        .with_context(|| format!("failed to write {}", file.display()))?;
    Ok(file.display().to_string())
}

const IDL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");

/// What a route says that transcodes.
const TRANSCODE: &str = "  transcoding:
    idlRepoRef: { name: bench }
    clientEncoding: JSON
    clientMessage: heddle.bench.v1.Batch
    backendMessage: heddle.bench.v1.Batch
";

fn heddle(place: &Place<'_>, transcoding: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\n\
         kind: WsRoute\n\
         metadata: {{ name: bench }}\n\
         spec:\n\
         \x20 selector: {{ matchLabels: {{ app: bench }} }}\n\
         \x20 listener: {{ port: {port} }}\n\
         \x20 backends: [{{ name: echo, host: 127.0.0.1, port: {backend} }}]\n\
         \x20 timeouts: {{ idle: 1h }}\n\
         \x20 lifetime: {{ maxAge: 1h }}\n\
         \x20 keepalive: {{ interval: 30s, timeout: 10s }}\n\
         \x20 limits:\n\
         \x20   maxMessageBytes: 1048576\n\
         \x20   messageRate: {{ perSecond: 1000000 }}\n\
         \x20   maxConnections: 1000000\n\
         \x20   maxConnectionsPerClient: 1000000\n{transcoding}",
        port = place.port,
        backend = place.backend,
    )
}
