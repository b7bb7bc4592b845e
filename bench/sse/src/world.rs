//! What is around the operator: the API with a namespace of its own, a source and a sink.

use crate::sink::Sink;
use crate::source::Source;
use anyhow::{Context, Result};
use heddle_crds::SseSubscription;
use heddle_tests::api_server::ApiServer;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::{SOON, TestNamespace};
use heddle_tests::operator::{Operator, OperatorOptions};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The most events of one request to the sink.
const BATCH_EVENTS: usize = 4096;

/// How long the operator's Lease is.
const LEASE_SECONDS: u32 = 15;

/// What the API server calls what changes anything.
const WRITING: [&str; 5] = ["POST", "PUT", "PATCH", "APPLY", "DELETE"];
/// What is written of subscriptions.
const WRITTEN: [&str; 3] = ["configmaps", "events", "ssesubscriptions"];

/// Everything around the operator.
pub(crate) struct World {
    pub(crate) source: Source,
    pub(crate) sink: Sink,
    server: &'static ApiServer,
    namespace: TestNamespace,
    program: PathBuf,
    folder: TempDir,
}

impl World {
    /// With a namespace that has nothing in it yet.
    pub(crate) async fn create(program: &Path) -> Result<Self> {
        let server = ApiServer::shared().await?;
        Ok(Self {
            source: Source::start().await?,
            sink: Sink::start().await?,
            server,
            namespace: TestNamespace::create(server).await?,
            program: program.to_owned(),
            folder: TempDir::with_prefix("heddle-bench-")?,
        })
    }

    /// The operator with the settings that it has by itself, ready.
    pub(crate) async fn operator(&self) -> Result<Operator> {
        let options = OperatorOptions {
            program: self.program.clone(),
            kubeconfig: self.server.kubeconfig(),
            namespace: self.namespace.name.clone(),
            replica: "operator-0".into(),
            // What the chart has, and not the short one of tests: a busy machine must not end the operator.
            arguments: vec![format!("--lease-duration={LEASE_SECONDS}")],
        };
        let mut operator = Operator::start(self.folder.path(), &options)?;
        operator.wait_until_ready().await?;
        Ok(operator)
    }

    /// Creates a subscription to what the source has at `path`. Batches wait for nothing: one is what has come by the time
    /// the sink is free.
    pub(crate) async fn subscribe(&self, name: &str, path: &str) -> Result<()> {
        let http = json!({ "url": self.sink.url(), "mode": "Batched" });
        let object: SseSubscription = serde_json::from_value(json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "SseSubscription",
            "metadata": { "name": name },
            "spec": {
                "source": { "url": self.source.url(path) },
                "sinks": [{ "name": "bench", "http": http }],
                "delivery": { "batch": { "maxEvents": BATCH_EVENTS } },
            },
        }))?;
        let api = Api::<SseSubscription>::namespaced(self.namespace.client.clone(), &self.namespace.name);
        let created = api.create(&PostParams::default(), &object).await;
        created.map(drop).context("failed to create a subscription")
    }

    /// Waits until the sink is sent events.
    pub(crate) async fn wait_for_events(&self) -> Result<()> {
        eventually("the sink is sent events", SOON, || async {
            Ok(match self.sink.take().requests {
                0 => Probe::NotYet("none".into()),
                _ => Probe::Seen(()),
            })
        })
        .await
    }

    /// How often the API server was asked, so far and by anybody, to write something that is of subscriptions.
    pub(crate) async fn writes(&self) -> Result<f64> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = self.namespace.client.request_text(request).await?;
        let lines = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("apiserver_request_total{"));
        let counts = lines.filter(|line| {
            let has = |label: &str, values: &[&str]| {
                values
                    .iter()
                    .any(|value| line.contains(&format!("{label}=\"{value}\"")))
            };
            has("verb", &WRITING) && has("resource", &WRITTEN)
        });
        counts
            .map(|line| {
                let (_, count) = line.rsplit_once(' ').context("a metric without a value")?;
                Ok(count.parse::<f64>()?)
            })
            .sum()
    }
}
