//! What the webhook makes of pods and routes, as a real API server calls it.

use super::world::World;
use anyhow::{Context, Result};
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The configurations of the webhooks for the namespace of a test. They go with it.
pub(crate) struct Webhooks {
    mutating: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
    name: String,
}

impl Webhooks {
    /// As the chart installs them, but by address and for one namespace.
    pub(crate) async fn install(world: &World) -> Result<Self> {
        let client = &world.namespace.client;
        let name = world.namespace.name.clone();
        let webhook = |path: &str, group: &str, resource: &str, operations: &[&str]| {
            json!({
                "name": format!("{resource}.heddle.dev"),
                "clientConfig": { "url": format!("https://127.0.0.1:{}{path}", world.webhook_port) },
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["*"], "resources": [resource], "operations": operations,
                }],
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 30,
            })
        };
        let object = |webhook: Value| json!({ "metadata": { "name": name }, "webhooks": [webhook] });
        let mutating = Api::all(client.clone());
        let pods = object(webhook("/mutate/pods", "", "pods", &["CREATE"]));
        mutating
            .create(&PostParams::default(), &serde_json::from_value(pods)?)
            .await?;
        let validating = Api::all(client.clone());
        let operations = ["CREATE", "UPDATE"];
        let routes = object(webhook(
            "/validate/wsroutes",
            "heddle.dev",
            "wsroutes",
            &operations,
        ));
        validating
            .create(&PostParams::default(), &serde_json::from_value(routes)?)
            .await?;
        Ok(Self {
            mutating,
            validating,
            name,
        })
    }

    /// Waits until the API server knows whom to trust.
    pub(crate) async fn wait_for_bundle(&self) -> Result<Vec<u8>> {
        eventually("the webhooks have a caBundle", SOON, || async {
            let configuration = self.mutating.get(&self.name).await?;
            let webhook = configuration
                .webhooks
                .and_then(|webhooks| webhooks.into_iter().next());
            let bundle = webhook.and_then(|webhook| webhook.client_config.ca_bundle);
            Ok(match bundle {
                Some(bundle) => Probe::Seen(bundle.0),
                None => Probe::NotYet("none".into()),
            })
        })
        .await
    }

    pub(crate) async fn remove(self) -> Result<()> {
        let parameters = DeleteParams::default();
        self.mutating.delete(&self.name, &parameters).await?;
        self.validating.delete(&self.name, &parameters).await?;
        Ok(())
    }
}

async fn create(world: &World, pod: &Value) -> Result<Pod> {
    let pod = serde_json::from_value(pod.clone())?;
    Ok(world.pods().create(&PostParams::default(), &pod).await?)
}

fn has_sidecar(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.init_containers);
    containers
        .flatten()
        .any(|container| container.name == "heddle-proxy")
}

/// Creates pods until one has a sidecar: the API server may take a moment to call a webhook that is new.
pub(crate) async fn wait_for_injection(world: &World, prefix: &str) -> Result<Pod> {
    let count = std::cell::Cell::new(0);
    eventually("a pod gets its sidecar", SOON, || async {
        count.set(count.get() + 1);
        let pod = create(world, &World::pod(&format!("{prefix}-{}", count.get()), "chat")).await?;
        Ok(match has_sidecar(&pod) {
            true => Probe::Seen(pod),
            false => Probe::NotYet("it has none".into()),
        })
    })
    .await
}

#[tokio::test]
async fn pods_that_a_route_selects_get_a_sidecar_of_the_restricted_profile_and_others_do_not() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    let webhooks = Webhooks::install(&world).await?;
    webhooks.wait_for_bundle().await?;
    let tls = ("listener", json!({ "tls": { "secretRef": { "name": "tls" } } }));
    world.apply("chat", &[tls]).await?;
    // The namespace enforces the restricted profile: the API server would have refused anything less.
    let pod = wait_for_injection(&world, "chat").await?;
    let spec = pod.spec.clone().context("a specification")?;
    let sidecar = spec
        .init_containers
        .iter()
        .flatten()
        .next()
        .context("a sidecar")?;
    assert_eq!(sidecar.restart_policy.as_deref(), Some("Always"));
    assert_eq!(sidecar.image.as_deref(), Some("heddle-proxy:test"));
    let variable = |name: &str| {
        let found = sidecar
            .env
            .iter()
            .flatten()
            .find(|variable| variable.name == name);
        found
            .and_then(|variable| variable.value.clone())
            .unwrap_or_default()
    };
    assert_eq!(
        variable("HEDDLE_CONFIGURATION_URL"),
        format!("https://127.0.0.1:{}", world.stream_port)
    );
    assert!(variable("HEDDLE_TRUST_BUNDLE").contains("BEGIN CERTIFICATE"));
    let secret = spec
        .volumes
        .iter()
        .flatten()
        .find_map(|volume| volume.secret.as_ref())
        .context("a Secret's volume")?;
    assert_eq!(
        (secret.secret_name.as_deref(), secret.optional),
        (Some("tls"), Some(true))
    );

    let other = create(&world, &World::pod("other", "other")).await?;
    assert!(!has_sidecar(&other));
    let mut disabled = World::pod("disabled", "chat");
    disabled["metadata"]["annotations"] = json!({ "heddle.dev/sidecar": "disabled" });
    assert!(!has_sidecar(&create(&world, &disabled).await?));

    // While the webhook is away pods are made without, and the route names them.
    operator.kill().await?;
    let missed = create(&world, &World::pod("missed", "chat")).await?;
    assert!(!has_sidecar(&missed));
    let _successor = world.operator_with("operator-1", &[]).await?;
    world
        .wait_for("chat", "the pod without a sidecar is named", |status| {
            status.sidecars.as_ref().is_some_and(|counts| {
                counts.missing_on.contains(&"missed".to_owned())
                    && !counts.missing_on.contains(&"disabled".to_owned())
            })
        })
        .await?;
    webhooks.remove().await
}

#[tokio::test]
async fn a_route_that_no_rule_of_the_schema_finds_fault_with_is_refused_by_the_webhook() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let webhooks = Webhooks::install(&world).await?;
    webhooks.wait_for_bundle().await?;
    let forwarding = || ("forwarding", json!({ "trustedProxies": ["10.0.0.0/40"] }));
    let refused = eventually("the route is refused", SOON, || async {
        Ok(match world.apply("chat", &[forwarding()]).await {
            Ok(_) => Probe::NotYet("it was admitted".into()),
            Err(error) => Probe::Seen(error.to_string()),
        })
    })
    .await?;
    assert!(refused.contains("spec.forwarding.trustedProxies[0]"), "{refused}");
    // One that came in while the webhook was away says so itself.
    webhooks.remove().await?;
    eventually("the route is admitted", SOON, || async {
        Ok(match world.apply("chat", &[forwarding()]).await {
            Ok(route) => Probe::Seen(route.name_any()),
            Err(error) => Probe::NotYet(error.to_string()),
        })
    })
    .await?;
    world.wait_for_reason("chat", "Stalled", "InvalidSpec").await?;
    Ok(())
}

/// Sooner than the deadline at which silent peers make room.
const BEFORE_DEADLINES: Duration = Duration::from_secs(8);

/// Connections to the webhook that say nothing, from an address of their own.
async fn silent_peers(world: &World, count: usize) -> Result<Vec<TcpStream>> {
    let mut silent = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.2:0".parse()?)?;
        silent.push(
            socket
                .connect(([127, 0, 0, 1], world.webhook_port).into())
                .await?,
        );
    }
    Ok(silent)
}

#[tokio::test]
async fn pods_get_their_sidecar_while_hundreds_of_silent_peers_are_connected_to_the_webhook() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let webhooks = Webhooks::install(&world).await?;
    webhooks.wait_for_bundle().await?;
    world.apply("chat", &[]).await?;
    wait_for_injection(&world, "before").await?;
    let _silent = silent_peers(&world, 400).await?;
    // A connection of its own: the API server goes on with one that it has for as long as that is there.
    let mut stream = TcpStream::connect(("127.0.0.1", world.webhook_port)).await?;
    stream.write_all(b"this is no handshake").await?;
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(BEFORE_DEADLINES, stream.read_to_end(&mut answer)).await;
    ended.context("the webhook takes no connection")?.ok();
    let pod = create(&world, &World::pod("meanwhile", "chat")).await?;
    assert!(has_sidecar(&pod));
    webhooks.remove().await
}

#[tokio::test]
async fn a_pod_that_is_made_while_the_operator_stops_gets_its_sidecar() -> Result<()> {
    let world = World::create().await?;
    let mut operator = world
        .operator_with("operator-0", &["--webhook-linger=20"])
        .await?;
    let webhooks = Webhooks::install(&world).await?;
    webhooks.wait_for_bundle().await?;
    world.apply("chat", &[]).await?;
    wait_for_injection(&world, "before").await?;
    operator.terminate()?;
    eventually("the operator is not ready", SOON, || async {
        Ok(match operator.get("/readyz").await?.status {
            503 => Probe::Seen(()),
            status => Probe::NotYet(status.to_string()),
        })
    })
    .await?;
    let pod = create(&world, &World::pod("meanwhile", "chat")).await?;
    assert!(has_sidecar(&pod), "the webhook has gone before its endpoint");
    assert!(operator.wait().await?.success());
    webhooks.remove().await
}

#[tokio::test]
async fn a_pod_whose_container_has_the_routes_port_is_refused_and_says_which() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let webhooks = Webhooks::install(&world).await?;
    webhooks.wait_for_bundle().await?;
    world.apply("chat", &[]).await?;
    wait_for_injection(&world, "before").await?;
    let mut pod = World::pod("clash", "chat");
    pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 9080 }]);
    let refused = create(&world, &pod)
        .await
        .expect_err("the pod was admitted")
        .to_string();
    assert!(refused.contains("container app has port 9080"), "{refused}");
    // The validating webhook is brought up to date after the other one.
    let refused = eventually("the route is refused", SOON, || async {
        let admin = ("listener", json!({ "port": 19437 }));
        Ok(match world.apply("probes", &[admin]).await {
            Ok(_) => Probe::NotYet("it was admitted".into()),
            Err(refused) => Probe::Seen(refused.to_string()),
        })
    });
    let refused = refused.await?;
    assert!(refused.contains("proxy.adminPort"), "{refused}");
    webhooks.remove().await
}

#[tokio::test]
async fn a_pod_that_the_selectors_leave_out_is_named_as_such() -> Result<()> {
    let world = World::create().await?;
    let name = &world.namespace.name;
    let left_out = json!({ "metadata": { "name": name }, "webhooks": [{
        "name": "pods.heddle.dev",
        "clientConfig": { "url": format!("https://127.0.0.1:{}/mutate/pods", world.webhook_port) },
        "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
        "objectSelector": { "matchLabels": { "sidecars": "wanted" } },
        "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"],
    }]});
    let configurations = Api::<MutatingWebhookConfiguration>::all(world.namespace.client.clone());
    configurations
        .create(&PostParams::default(), &serde_json::from_value(left_out)?)
        .await?;
    let _operator = world.operator().await?;
    world.apply("chat", &[]).await?;
    world.create_ready(&World::pod("a", "chat")).await?;
    let stalled = world
        .wait_for_reason("chat", "Stalled", "SidecarExcluded")
        .await?;
    assert!(
        stalled.message.contains("webhook.objectSelector"),
        "{}",
        stalled.message
    );
    let counts = world
        .routes()
        .get("chat")
        .await?
        .status
        .and_then(|status| status.sidecars);
    let counts = counts.unwrap_or_default();
    assert_eq!(
        (counts.excluded_on.as_slice(), counts.missing),
        (["a".to_owned()].as_slice(), 0)
    );
    configurations.delete(name, &DeleteParams::default()).await?;
    Ok(())
}
