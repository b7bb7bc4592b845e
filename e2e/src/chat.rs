//! The example chat in a namespace of its own, with a WsRoute in front of it, and guests that come through the sidecar.

mod guest;

use crate::{Environment, Kubectl};
use anyhow::{Context, Result, ensure};
use heddle_crds::WsRoute;
use heddle_crds::condition::{self, Condition};
use heddle_e2e_cluster::Values;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub use guest::Guest;

/// The name of the Deployment and of its WsRoute.
const NAME: &str = "chat";
const DEPLOYMENT: &str = "deployment/chat";
/// The sidecar's container.
const SIDECAR: &str = "heddle-proxy";
/// The port that the sidecar listens on.
const PORT: u16 = 9080;
/// How long anything in the cluster may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// One test's part of the cluster.
#[derive(Debug)]
pub struct Chat {
    environment: Environment,
    kubectl: Kubectl,
    namespace: String,
    /// The namespace is this test's, and goes with it.
    owns_namespace: bool,
}

impl Chat {
    /// A namespace under the restricted pod security standard, with nothing in it yet.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn new(name: &str) -> Result<Self> {
        let environment = Environment::read()?;
        let kubectl = environment.kubectl()?;
        let namespace = format!("e2e-chat-{name}");
        kubectl.renew_namespace(&namespace)?;
        Ok(Self {
            environment,
            kubectl,
            namespace,
            owns_namespace: true,
        })
    }

    /// In the operator's own namespace.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn beside_operator() -> Result<Self> {
        let namespace = Environment::read()?.namespace;
        Self::within(&namespace)
    }

    /// In a namespace that is there.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn within(namespace: &str) -> Result<Self> {
        let environment = Environment::read()?;
        Ok(Self {
            kubectl: environment.kubectl()?,
            namespace: namespace.to_owned(),
            environment,
            owns_namespace: false,
        })
    }

    /// kubectl.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The installed system.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Applies the example's WsRoute, changed by `change`.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn apply_route(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut route = self.example("wsroute.yaml")?;
        change(&mut route);
        self.kubectl.apply(&route).map(drop)
    }

    /// Applies the example's Deployment, with one pod.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn deploy(&self) -> Result<()> {
        let mut deployment = self.example("chat.yaml")?;
        deployment["spec"]["replicas"] = json!(1);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(self.environment.chat_image);
        self.kubectl.apply(&deployment).map(drop)
    }

    /// The first object of one of the example's files, in this namespace.
    fn example(&self, file: &str) -> Result<Value> {
        let path = self.environment.root.join("examples/chat").join(file);
        let objects = self.kubectl.read(&self.namespace, &path)?;
        objects.into_iter().next().context("the example is empty")
    }

    /// The WsRoute as it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn route(&self) -> Result<WsRoute> {
        self.route_named(NAME)
    }

    /// Another WsRoute of the namespace, as it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn route_named(&self, name: &str) -> Result<WsRoute> {
        let object = self
            .kubectl
            .get(&["wsroute", name, "--namespace", &self.namespace])?;
        serde_json::from_value(object).context("failed to read the WsRoute")
    }

    /// Waits until the newest generation is what sidecars serve.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_ready(&self) -> Result<()> {
        let generation = self.route()?.metadata.generation.unwrap_or_default();
        // Both stand in one patch of the status, so that the condition is that generation's.
        self.await_route(
            NAME,
            &format!("jsonpath={{.status.observedGeneration}}={generation}"),
        )?;
        self.await_route(NAME, "condition=Ready")
    }

    /// Waits until the newest generation is what so many pods serve, each with a sidecar, and there are no others.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_ready_pods(&self, count: i32) -> Result<()> {
        self.await_route(NAME, &format!("jsonpath={{.status.sidecars.programmed}}={count}"))?;
        self.await_ready()?;
        let status = self.route()?.status.context("the route has no status")?;
        let counts = status.sidecars.context("the status counts nothing")?;
        let all = [counts.selected, counts.ready, counts.connected, counts.programmed];
        ensure!(all == [count; 4] && counts.missing == 0, "{counts:?}");
        Ok(())
    }

    /// Waits until the route names a pod as the first that lacks a sidecar.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_missing_on(&self, pod: &str) -> Result<()> {
        self.await_route(NAME, &format!("jsonpath={{.status.sidecars.missingOn[0]}}={pod}"))
    }

    /// Waits until a condition of a route has this reason, and returns it.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_reason(&self, route: &str, type_: &str, reason: &str) -> Result<Condition> {
        let path = format!("{{.status.conditions[?(@.type==\"{type_}\")].reason}}");
        self.await_route(route, &format!("jsonpath={path}={reason}"))?;
        let status = self.route_named(route)?.status.unwrap_or_default();
        condition::find(&status.conditions, type_)
            .cloned()
            .context("the condition went away again")
    }

    /// `kubectl wait` for a WsRoute.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_route(&self, name: &str, for_: &str) -> Result<()> {
        self.kubectl
            .wait_for(&self.namespace, &format!("wsroute/{name}"), for_, DEADLINE)
    }

    /// Waits until the Deployment's newest pods are ready and the old ones are gone.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn await_rollout(&self) -> Result<()> {
        self.run(&["rollout", "status", DEPLOYMENT, "--timeout=120s"])
    }

    /// The name of the pod; there is one that is not being deleted.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self) -> Result<String> {
        self.pods()?.into_iter().next().context("there is no pod")
    }

    /// The names of all pods that are not being deleted.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn pods(&self) -> Result<Vec<String>> {
        let pods = self
            .kubectl
            .get(&["pods", "--namespace", &self.namespace, "--selector=app=chat"])?;
        let pods = pods["items"].as_array().context("kubectl printed no list")?;
        let living = pods
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let names = living.filter_map(|pod| pod["metadata"]["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Deletes a pod and does not wait for its end.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn delete_pod(&self, pod: &str) -> Result<()> {
        self.run(&["delete", "pod", pod, "--wait=false"])
    }

    /// Gives the Deployment so many pods, and waits until they are ready.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn scale(&self, replicas: u32) -> Result<()> {
        self.run(&["scale", DEPLOYMENT, &format!("--replicas={replicas}")])?;
        self.await_rollout()
    }

    /// Replaces the pods, and waits until the new ones are ready.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn roll(&self) -> Result<()> {
        self.run(&["rollout", "restart", DEPLOYMENT])?;
        self.await_rollout()
    }

    /// Waits until pods that are made get their sidecar: what the webhook would make of one is asked for.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn await_webhook(&self) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "probe", "namespace": self.namespace, "labels": { "app": NAME } },
            "spec": self.example("chat.yaml")?["spec"]["template"]["spec"],
        });
        let create = ["create", "--dry-run=server", "--output=json", "--filename", "-"];
        let ends_at = Instant::now() + DEADLINE;
        loop {
            let made = self.kubectl.run_with_input(&create, &pod.to_string())?;
            if made.contains(SIDECAR) {
                return Ok(());
            }
            ensure!(Instant::now() < ends_at, "the webhook gives pods no sidecar");
        }
    }

    /// kubectl in this namespace, for its effect.
    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.kubectl.run(&all).map(drop)
    }

    /// A guest in `room`, through the sidecar of a pod.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn enter(&self, pod: &str, room: &str) -> Result<Guest> {
        Guest::enter(self.kubectl.forward(&self.namespace, pod, PORT)?, room)
    }

    /// Has the sidecar of a pod end, which was not restarted before, and waits until it is there again.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn restart_sidecar(&self, pod: &str) -> Result<()> {
        self.run(&[
            "exec",
            pod,
            "--container",
            SIDECAR,
            "--",
            "/usr/bin/heddle-proxy",
            "drain",
        ])?;
        let pod = format!("pod/{pod}");
        let restarted =
            format!("jsonpath={{.status.initContainerStatuses[?(@.name==\"{SIDECAR}\")].restartCount}}=1");
        for for_ in [&restarted, "condition=Ready"] {
            self.kubectl.wait_for(&self.namespace, &pod, for_, DEADLINE)?;
        }
        Ok(())
    }

    /// The line that the sidecar of a pod logs, or has logged, at the end of the first session on a route.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn await_access_line(&self, pod: &str, route: &str) -> Result<Value> {
        self.await_line(pod, |line| {
            line["target"] == "heddle_proxy::access" && line["route"] == route
        })
        .with_context(|| format!("the sidecar has logged no session on {route}"))
    }

    /// The first line that the sidecar of a pod logs, or has logged, of which `is_wanted` holds.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn await_line(&self, pod: &str, is_wanted: impl FnMut(&Value) -> bool) -> Result<Value> {
        let arguments = [
            "logs",
            "--follow",
            "--namespace",
            &self.namespace,
            pod,
            "--container",
            SIDECAR,
        ];
        self.kubectl.follow(&arguments)?.find(DEADLINE, is_wanted)
    }

    /// Deletes the WsRoute.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_route(&self) -> Result<()> {
        self.run(&["delete", "wsroute", NAME])
    }

    /// Asks the operator to look at the WsRoute, which then says that it has handled `value`.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn request(&self, value: &str) -> Result<()> {
        let annotation = format!("heddle.dev/requestedAt={value}");
        self.run(&["annotate", "wsroute", NAME, "--overwrite", &annotation])
    }

    /// The WsRoute each time that it changes, from how it is now.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn watch(&self) -> Result<Values> {
        let namespace = &self.namespace;
        let arguments = [
            "get",
            "wsroute",
            NAME,
            "--watch",
            "--output=json",
            "--namespace",
            namespace,
        ];
        self.kubectl.follow(&arguments)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // What a failed test leaves is what somebody wants to look at.
        if std::thread::panicking() {
            return;
        }
        let what: &[&str] = match self.owns_namespace {
            true => &["delete", "namespace", &self.namespace, "--wait=false"],
            false => &["delete", "wsroute/chat", DEPLOYMENT, "--ignore-not-found"],
        };
        self.run(what).ok();
    }
}
