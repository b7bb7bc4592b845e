//! A namespace with routes and pods, and an operator that looks after them.

use super::sidecar::{Sidecar, Trust};
use anyhow::{Context, Result};
use heddle_crds::WsRoute;
use heddle_crds::condition::{self, Condition};
use heddle_crds::ws_route::WsRouteStatus;
use heddle_route_config::protocol::{Hello, TOKEN_AUDIENCE};
use heddle_tests::api_server::{ApiServer, free_port};
use heddle_tests::eventually::{Probe, eventually, eventually_has_status};
use heddle_tests::namespace::{SOON, TestNamespace};
use heddle_tests::operator::{Operator, OperatorOptions};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// Everything around one test.
pub(crate) struct World {
    pub(crate) namespace: TestNamespace,
    pub(crate) webhook_port: u16,
    pub(crate) stream_port: u16,
    server: &'static ApiServer,
    folder: TempDir,
}

impl World {
    pub(crate) async fn create() -> Result<Self> {
        let server = ApiServer::shared().await?;
        let namespace = TestNamespace::create(server).await?;
        let accounts = Api::<ServiceAccount>::namespaced(namespace.client.clone(), &namespace.name);
        eventually("the account of pods is there", SOON, || async {
            Ok(match accounts.get_opt("default").await? {
                Some(_) => Probe::Seen(()),
                None => Probe::NotYet("no account".into()),
            })
        })
        .await?;
        Ok(Self {
            namespace,
            webhook_port: free_port()?,
            stream_port: free_port()?,
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
        let ports = (self.webhook_port, self.stream_port);
        self.operator_at(ports, replica, arguments).await
    }

    /// Another operator beside the one that sidecars are led to.
    pub(crate) async fn replica(&self, replica: &str, arguments: &[&str]) -> Result<Operator> {
        let ports = (free_port()?, free_port()?);
        self.operator_at(ports, replica, arguments).await
    }

    async fn operator_at(
        &self,
        (webhook_port, stream_port): (u16, u16),
        replica: &str,
        arguments: &[&str],
    ) -> Result<Operator> {
        let own = [
            "--proxy-image=heddle-proxy:test".to_owned(),
            format!("--webhook-listen=127.0.0.1:{webhook_port}"),
            format!("--webhook-configuration={}", self.namespace.name),
            format!("--configuration-listen=127.0.0.1:{stream_port}"),
            format!("--configuration-url=https://127.0.0.1:{}", self.stream_port),
            "--certificate-names=127.0.0.1".to_owned(),
        ];
        let more = arguments.iter().map(|argument| (*argument).to_owned());
        let options = OperatorOptions {
            program: env!("CARGO_BIN_EXE_heddle-operator-under-test").into(),
            kubeconfig: self.server.kubeconfig(),
            namespace: self.namespace.name.clone(),
            replica: replica.to_owned(),
            arguments: own.into_iter().chain(more).collect(),
        };
        let mut operator = Operator::start(self.folder.path(), &options)?;
        operator.wait_until_ready().await?;
        Ok(operator)
    }

    pub(crate) fn routes(&self) -> Api<WsRoute> {
        Api::namespaced(self.namespace.client.clone(), &self.namespace.name)
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.namespace.client.clone(), &self.namespace.name)
    }

    /// Creates or changes a route, for pods of `app: chat` unless `changes` say otherwise.
    pub(crate) async fn apply(&self, name: &str, changes: &[(&str, Value)]) -> Result<WsRoute, kube::Error> {
        let mut spec = json!({
            "selector": { "matchLabels": { "app": "chat" } },
            "backends": [{ "name": "app", "port": 8080 }],
        });
        for (field, value) in changes {
            spec[field] = value.clone();
        }
        let object = json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "WsRoute",
            "metadata": { "name": name, "namespace": self.namespace.name },
            "spec": spec,
        });
        let parameters = PatchParams::apply("kubectl").force();
        self.routes()
            .patch(name, &parameters, &Patch::Apply(&object))
            .await
    }

    /// A pod as its owner writes it.
    pub(crate) fn pod(name: &str, app: &str) -> Value {
        let security = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "runAsNonRoot": true,
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "labels": { "app": app } },
            "spec": { "containers": [{ "name": "app", "image": "app", "securityContext": security }] },
        })
    }

    /// A pod that has a sidecar, as the webhook would have left it, and is ready.
    pub(crate) async fn ready_pod(&self, name: &str, app: &str) -> Result<Pod> {
        let mut pod = Self::pod(name, app);
        let mut sidecar = pod["spec"]["containers"][0].clone();
        sidecar["name"] = json!("heddle-proxy");
        sidecar["restartPolicy"] = json!("Always");
        pod["spec"]["initContainers"] = json!([sidecar]);
        self.create_ready(&pod).await
    }

    /// Creates a pod and says of it what a kubelet would.
    pub(crate) async fn create_ready(&self, pod: &Value) -> Result<Pod> {
        let pod: Pod = serde_json::from_value(pod.clone())?;
        let created = self.pods().create(&PostParams::default(), &pod).await?;
        let ready = json!({ "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }],
        }});
        let parameters = PatchParams::default();
        self.pods()
            .patch_status(&created.name_any(), &parameters, &Patch::Merge(&ready))
            .await?;
        Ok(created)
    }

    /// A token as the kubelet projects it into a pod.
    pub(crate) async fn token(&self, pod: &Pod) -> Result<String> {
        let bound = BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        };
        self.token_for(TOKEN_AUDIENCE, Some(bound)).await
    }

    pub(crate) async fn token_for(
        &self,
        audience: &str,
        bound: Option<BoundObjectReference>,
    ) -> Result<String> {
        self.create_token("default", audience, bound).await
    }

    /// A token of an account that is made for it.
    pub(crate) async fn token_of(&self, account: &str, audience: &str) -> Result<String> {
        let accounts = Api::<ServiceAccount>::namespaced(self.namespace.client.clone(), &self.namespace.name);
        let object: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": account } }))?;
        accounts.create(&PostParams::default(), &object).await?;
        self.create_token(account, audience, None).await
    }

    /// A file with a token as the kubelet projects it into the operator's pod.
    pub(crate) async fn write_token(&self, name: &str, audience: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        std::fs::write(&file, self.token_for(audience, None).await?)?;
        Ok(file)
    }

    async fn create_token(
        &self,
        account: &str,
        audience: &str,
        bound: Option<BoundObjectReference>,
    ) -> Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                bound_object_ref: bound,
                expiration_seconds: Some(3600),
            },
            ..TokenRequest::default()
        };
        let accounts = Api::<ServiceAccount>::namespaced(self.namespace.client.clone(), &self.namespace.name);
        let parameters = PostParams::default();
        let answer = accounts
            .create_token_request(account, &parameters, &request)
            .await?;
        Ok(answer.status.context("a token")?.token)
    }

    /// What the webhook would have injected: the authorities that are in the Secret now.
    pub(crate) async fn trust(&self) -> Result<Trust> {
        Trust::new(&self.bundle().await?)
    }

    /// The same as PEM.
    pub(crate) async fn bundle(&self) -> Result<String> {
        let secrets = Api::<Secret>::namespaced(self.namespace.client.clone(), &self.namespace.name);
        let secret = secrets.get("heddle-certificates").await?;
        let bundle = secret
            .data
            .unwrap_or_default()
            .remove("ca.crt")
            .context("ca.crt")?;
        Ok(String::from_utf8(bundle.0)?)
    }

    /// Connects as the sidecar of a pod.
    pub(crate) async fn connect(&self, pod: &Pod, hello: &Hello) -> Result<Sidecar> {
        let token = self.token(pod).await?;
        Sidecar::connect(self.stream_port, &self.trust().await?, &token, hello).await
    }

    /// Waits until a route's condition has the reason.
    pub(crate) async fn wait_for_reason(&self, name: &str, type_: &str, reason: &str) -> Result<Condition> {
        let what = format!("{name} has {type_} with reason {reason}");
        let has = |status: &WsRouteStatus| {
            condition::find(&status.conditions, type_).is_some_and(|found| found.reason == reason)
        };
        let status = self.wait_for(name, &what, has).await?;
        condition::find(&status.conditions, type_)
            .cloned()
            .context("it is there")
    }

    /// Waits until a route's status is as `wanted`.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&WsRouteStatus) -> bool,
    ) -> Result<WsRouteStatus> {
        eventually_has_status(&self.routes(), name, what, SOON, wanted).await
    }

    /// Deletes a pod at once.
    pub(crate) async fn delete_pod(&self, name: &str) -> Result<()> {
        let at_once = DeleteParams {
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        self.pods().delete(name, &at_once).await?;
        Ok(())
    }
}
