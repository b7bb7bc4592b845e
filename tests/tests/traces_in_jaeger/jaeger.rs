//! Jaeger with everything in one process, and what its query API tells.

use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::Progress;
use heddle_e2e_cluster::tools::{Tool, Tools};
use heddle_tests::api_server::free_port;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::http;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// How long a span may take from the receiver to the API, and Jaeger itself to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the program given as arguments until there is nothing more to read: until the process at the other end is gone.
const KEEPER: &str = "folder=$1; shift; \"$@\" >\"$folder/log\" 2>&1 </dev/null & read -r _; kill -9 $!; wait; rm -rf \"$folder\"";

/// The Jaeger of this process.
pub(crate) struct Jaeger {
    grpc_port: u16,
    http_port: u16,
    query_port: u16,
    folder: PathBuf,
    /// Never waited for: it outlives this process by a moment.
    _keeper: Child,
    _alive: ChildStdin,
}

/// A span as the API tells it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) parent: Option<String>,
    started: u64,
    tags: BTreeMap<String, String>,
    events: Vec<BTreeMap<String, String>>,
}

static SHARED: Mutex<Option<&'static Jaeger>> = Mutex::new(None);

impl Jaeger {
    /// The one of this process, started by the first test that asks.
    pub(crate) async fn shared() -> Result<&'static Self> {
        let jaeger = tokio::task::spawn_blocking(Self::get_or_start).await??;
        jaeger.wait_until_ready().await?;
        Ok(jaeger)
    }

    fn get_or_start() -> Result<&'static Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match *shared {
            Some(jaeger) => Ok(jaeger),
            None => Ok(*shared.insert(Box::leak(Box::new(Self::start()?)))),
        }
    }

    fn start() -> Result<Self> {
        let tools = Tools::ensure(&Progress::new(), &[Tool::Jaeger])?;
        let folder = TempDir::with_prefix("heddle-jaeger-")?.keep();
        let (grpc_port, http_port, query_port) = (free_port()?, free_port()?, free_port()?);
        let address = |flag: &str, port: u16| format!("--{flag}.host-port=127.0.0.1:{port}");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .arg(tools.path(Tool::Jaeger))
            .env("SPAN_STORAGE_TYPE", "memory")
            .arg(address("collector.otlp.grpc", grpc_port))
            .arg(address("collector.otlp.http", http_port))
            .arg(address("query.http-server", query_port))
            .arg(address("query.grpc-server", free_port()?))
            .arg(address("collector.grpc-server", free_port()?))
            .arg(address("collector.http-server", free_port()?))
            .arg(address("admin.http", free_port()?))
            .stdin(Stdio::piped())
            .spawn()
            .context("failed to start a shell")?;
        let alive = keeper.stdin.take().context("failed to talk to the shell")?;
        Ok(Self {
            grpc_port,
            http_port,
            query_port,
            folder,
            _keeper: keeper,
            _alive: alive,
        })
    }

    /// What makes a program send its spans here: only when it ends, for the batch's own time never comes.
    pub(crate) fn variables(&self, protocol: &str) -> Vec<(String, String)> {
        let port = if protocol == "grpc" {
            self.grpc_port
        } else {
            self.http_port
        };
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "3600000".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let ready = eventually("Jaeger answers", LIMIT, || async {
            Ok(
                match http::request("GET", self.query_port, "/api/services", "").await {
                    Ok(answer) if answer.status == 200 => Probe::Seen(()),
                    Ok(answer) => Probe::NotYet(answer.body),
                    Err(error) => Probe::NotYet(error.to_string()),
                },
            )
        });
        ready
            .await
            .with_context(|| fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }

    /// The spans of a trace in the order of their starts, once there are as many.
    pub(crate) async fn trace(&self, id: &str, count: usize) -> Result<Vec<Span>> {
        eventually("the trace is in Jaeger", LIMIT, || async {
            let spans = self.observe(id).await?;
            Ok(if spans.len() >= count {
                Probe::Seen(spans)
            } else {
                Probe::NotYet(format!("{spans:#?}"))
            })
        })
        .await
    }

    async fn observe(&self, id: &str) -> Result<Vec<Span>> {
        let answer = http::request("GET", self.query_port, &format!("/api/traces/{id}"), "").await?;
        match answer.status {
            200 => read(&serde_json::from_str(&answer.body)?),
            404 => Ok(Vec::new()),
            status => bail!("Jaeger answers {status}: {}", answer.body),
        }
    }
}

fn read(answer: &Value) -> Result<Vec<Span>> {
    let trace = &answer["data"][0];
    let spans = trace["spans"].as_array().context("a trace without spans")?;
    let mut spans: Vec<_> = spans
        .iter()
        .map(|span| Span::read(trace, span))
        .collect::<Option<_>>()
        .with_context(|| format!("failed to read {answer:#}"))?;
    spans.sort_by_key(|span| span.started);
    Ok(spans)
}

impl Span {
    fn read(trace: &Value, span: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let parent = span["references"]
            .as_array()?
            .iter()
            .find(|one| one["refType"] == "CHILD_OF");
        let process = &trace["processes"][span["processID"].as_str()?];
        let logs = span["logs"].as_array()?;
        Some(Self {
            id: text(&span["spanID"])?,
            name: text(&span["operationName"])?,
            service: text(&process["serviceName"])?,
            parent: parent.and_then(|parent| text(&parent["spanID"])),
            started: span["startTime"].as_u64()?,
            tags: fields(&span["tags"]),
            events: logs.iter().map(|log| fields(&log["fields"])).collect(),
        })
    }

    /// A tag's value as text.
    pub(crate) fn tag(&self, name: &str) -> Option<String> {
        self.tags.get(name).cloned()
    }

    /// The first event of that name.
    pub(crate) fn event(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.events
            .iter()
            .find(|event| event.get("event").is_some_and(|found| found == name))
    }
}

/// A list of keys and values as a map of texts.
fn fields(list: &Value) -> BTreeMap<String, String> {
    let pair = |field: &Value| {
        let value = &field["value"];
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((field["key"].as_str()?.to_owned(), text))
    };
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}
