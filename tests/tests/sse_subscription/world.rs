//! A namespace with subscriptions, a source, a sink, and operators that look after them.

use super::sink::Sink;
use super::source::Source;
use anyhow::{Context, Result};
use heddle_crds::SseSubscription;
use heddle_crds::condition::{self, Condition};
use heddle_crds::sse_subscription::SseSubscriptionStatus;
use heddle_tests::api_server::ApiServer;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::{SOON, TestNamespace};
use heddle_tests::operator::{Operator, OperatorOptions};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// How often the place of a stream is stored in these tests.
pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);

/// Everything around one test.
pub(crate) struct World {
    pub(crate) namespace: TestNamespace,
    pub(crate) source: Source,
    pub(crate) sink: Sink,
    server: &'static ApiServer,
    folder: TempDir,
}

impl World {
    pub(crate) async fn create() -> Result<Self> {
        let server = ApiServer::shared().await?;
        Ok(Self {
            namespace: TestNamespace::create(server).await?,
            source: Source::start().await?,
            sink: Sink::start().await?,
            server,
            folder: TempDir::with_prefix("heddle-test-")?,
        })
    }

    /// An operator, ready.
    pub(crate) async fn operator(&self) -> Result<Operator> {
        self.operator_with("operator-0", &[]).await
    }

    /// An operator with a name and arguments of the test's own, ready.
    pub(crate) async fn operator_with(&self, replica: &str, arguments: &[&str]) -> Result<Operator> {
        let mut operator = self.start(replica, arguments, self.server.kubeconfig())?;
        operator.wait_until_ready().await?;
        Ok(operator)
    }

    /// An operator that is starting.
    pub(crate) fn start(&self, replica: &str, arguments: &[&str], kubeconfig: PathBuf) -> Result<Operator> {
        let interval = format!("--sse-checkpoint-interval={}", CHECKPOINT_INTERVAL.as_millis());
        let own = [interval.as_str(), "--sse-trace-ratio=1"];
        let arguments = own.iter().chain(arguments).map(|argument| (*argument).to_owned());
        let options = OperatorOptions {
            program: env!("CARGO_BIN_EXE_heddle-operator-under-test").into(),
            kubeconfig,
            namespace: self.namespace.name.clone(),
            replica: replica.to_owned(),
            arguments: arguments.collect(),
        };
        Operator::start(self.folder.path(), &options)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.server.kubeconfig()
    }

    pub(crate) fn subscriptions(&self) -> Api<SseSubscription> {
        Api::namespaced(self.namespace.client.clone(), &self.namespace.name)
    }

    /// Creates or changes a subscription from the source to the sink; `changes` are by JSON pointers into the spec.
    pub(crate) async fn apply(&self, name: &str, changes: &[(&str, Value)]) -> Result<SseSubscription> {
        let backoff = json!({ "initial": "50ms", "max": "500ms" });
        let mut spec = json!({
            "source": { "url": self.source.url(), "reconnect": backoff },
            "sinks": [{ "name": "orders", "http": { "url": self.sink.url() } }],
            "delivery": { "backoff": backoff },
        });
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').context("a pointer")?;
            let parent = spec.pointer_mut(parent).context("a place that is there")?;
            match (parent, key.parse::<usize>()) {
                (Value::Array(items), Ok(index)) => items[index] = value.clone(),
                (parent, _) => parent[key] = value.clone(),
            }
        }
        let object = json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "SseSubscription",
            "metadata": { "name": name, "namespace": self.namespace.name },
            "spec": spec,
        });
        let parameters = PatchParams::apply("kubectl").force();
        let applied = self
            .subscriptions()
            .patch(name, &parameters, &Patch::Apply(&object))
            .await;
        applied.context("failed to apply a subscription")
    }

    /// Waits until a subscription's condition has the reason.
    pub(crate) async fn wait_for_reason(&self, name: &str, type_: &str, reason: &str) -> Result<Condition> {
        let what = format!("{name} has {type_} with reason {reason}");
        let has = |status: &SseSubscriptionStatus| {
            condition::find(&status.conditions, type_).is_some_and(|found| found.reason == reason)
        };
        let status = self.wait_for(name, &what, has).await?;
        condition::find(&status.conditions, type_)
            .cloned()
            .context("it is there")
    }

    /// Waits until a subscription streams.
    pub(crate) async fn wait_until_ready(&self, name: &str) -> Result<()> {
        self.wait_for_reason(name, "Ready", "Streaming").await.map(drop)
    }

    /// Waits until a subscription's status is as `wanted`.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&SseSubscriptionStatus) -> bool,
    ) -> Result<SseSubscriptionStatus> {
        let api = self.subscriptions();
        eventually(what, SOON, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            Ok(match wanted(&status) {
                true => Probe::Seen(status),
                false => Probe::NotYet(serde_json::to_string_pretty(&status)?),
            })
        })
        .await
    }

    /// Waits until a sink has acknowledged so many events.
    pub(crate) async fn wait_for_events(&self, sink: &Sink, count: usize) -> Result<()> {
        eventually(&format!("the sink has {count} events"), SOON, || async {
            Ok(match sink.count() {
                found if found >= count => Probe::Seen(()),
                found => Probe::NotYet(format!("{found} events")),
            })
        })
        .await
    }

    /// What is stored of the stream's place, if anything is.
    pub(crate) async fn checkpoint(&self, name: &str) -> Result<Option<Value>> {
        let api = Api::<ConfigMap>::namespaced(self.namespace.client.clone(), &self.namespace.name);
        let found = api.get_opt(&format!("{name}-checkpoint")).await?;
        let text = found.and_then(|found| found.data?.remove("checkpoint.json"));
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Waits until the stream's place is stored as this id.
    pub(crate) async fn wait_for_checkpoint(&self, name: &str, id: usize) -> Result<()> {
        let id = id.to_string();
        eventually(&format!("the checkpoint is {id}"), SOON, || async {
            let stored = self.checkpoint(name).await?.unwrap_or_default();
            Ok(match stored["lastEventId"] == *id {
                true => Probe::Seen(()),
                false => Probe::NotYet(stored.to_string()),
            })
        })
        .await
    }
}
