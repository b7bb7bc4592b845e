//! A namespace with subscriptions, a source, a sink, and operators that look after them.

use super::sink::Sink;
use super::source::Source;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::stream::select;
use heddle_crds::SseSubscription;
use heddle_crds::condition::{self, Condition};
use heddle_crds::sse_subscription::SseSubscriptionStatus;
use heddle_tests::api_server::ApiServer;
use heddle_tests::eventually::{Probe, eventually, eventually_has_status};
use heddle_tests::namespace::{SOON, TestNamespace};
use heddle_tests::operator::{Operator, OperatorOptions};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Who reads nothing for so long has stopped reading.
const LULL: Duration = Duration::from_millis(500);

/// Counts events that an operator has received.
pub(crate) const RECEIVED: &str = "heddle_sse_events_received_total";

/// How often the place of a stream is stored unless a test says otherwise.
pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);

/// A number of the environment, for those who want to run a test for longer.
pub(crate) fn setting(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(value) => value.parse().with_context(|| format!("{name} is no number")),
        Err(_) => Ok(default),
    }
}

/// Everything around one test.
pub(crate) struct World {
    pub(crate) namespace: TestNamespace,
    pub(crate) source: Arc<Source>,
    pub(crate) sink: Sink,
    /// How often the place of a stream is stored.
    pub(crate) checkpoint_interval: Duration,
    server: &'static ApiServer,
    folder: TempDir,
}

impl World {
    pub(crate) async fn create() -> Result<Self> {
        let server = ApiServer::shared().await?;
        Ok(Self {
            namespace: TestNamespace::create(server).await?,
            source: Arc::new(Source::start().await?),
            sink: Sink::start().await?,
            checkpoint_interval: CHECKPOINT_INTERVAL,
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
        let interval = format!(
            "--sse-checkpoint-interval={}",
            self.checkpoint_interval.as_millis()
        );
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

    /// The authority of the API server, in PEM.
    pub(crate) fn authority(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.server.kubeconfig())?;
        let config = Kubeconfig::from_yaml(&text)?;
        let cluster = config.clusters.into_iter().find_map(|named| named.cluster);
        let cluster = cluster.context("a cluster")?;
        match (cluster.certificate_authority_data, cluster.certificate_authority) {
            (Some(data), _) => Ok(String::from_utf8(STANDARD.decode(data)?)?),
            (None, Some(path)) => Ok(std::fs::read_to_string(path)?),
            (None, None) => anyhow::bail!("no authority in the kubeconfig"),
        }
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
        eventually_has_status(&self.subscriptions(), name, what, SOON, wanted).await
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

    /// Waits until an operator reads nothing more, although there is more. How many events it has received.
    pub(crate) async fn wait_until_nothing_is_read(&self, operator: &Operator) -> Result<f64> {
        let before = Cell::new(-1.0);
        eventually("the operator has stopped reading", SOON, || async {
            tokio::time::sleep(LULL).await;
            let received = operator.metric(RECEIVED).await?;
            Ok(match before.replace(received) == received && received > 0.0 {
                true => Probe::Seen(received),
                false => Probe::NotYet(format!("{received} events")),
            })
        })
        .await
    }

    /// How often a subscription and its checkpoint are written in so long a time.
    pub(crate) async fn count_writes(&self, name: &str, time: Duration) -> Result<u64> {
        let (client, namespace) = (&self.namespace.client, &self.namespace.name);
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let config_maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        let checkpoints = watcher(config_maps, named(&format!("{name}-checkpoint")));
        let subscriptions = watcher(self.subscriptions(), named(name));
        let is_write = |is_apply: bool| u64::from(is_apply);
        let checkpoints =
            checkpoints.map(|event| event.map(|event| is_write(matches!(event, Event::Apply(_)))));
        let statuses =
            subscriptions.map(|event| event.map(|event| is_write(matches!(event, Event::Apply(_)))));
        let mut writes = select(checkpoints.boxed(), statuses.boxed());
        let mut count = 0;
        let deadline = tokio::time::Instant::now() + time;
        while let Ok(Some(write)) = tokio::time::timeout_at(deadline, writes.next()).await {
            count += write?;
        }
        Ok(count)
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
