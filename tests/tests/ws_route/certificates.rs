//! Certificates that rotate while they are in use.

use super::injection::{Webhooks, wait_for_injection};
use super::sidecar::{Sidecar, Trust};
use super::world::World;
use anyhow::{Context, Result};
use heddle_route_config::protocol::Hello;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::collections::BTreeSet;

/// Lifetimes that let authorities come and go while a test runs.
const SHORT: [&str; 3] = [
    "--authority-lifetime=45",
    "--certificate-lifetime=15",
    "--authority-announcement=5",
];

async fn value(world: &World, key: &str) -> Result<String> {
    let secrets = Api::<Secret>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let secret = secrets.get("heddle-certificates").await?;
    let value = secret.data.unwrap_or_default().remove(key).context("a key")?;
    Ok(String::from_utf8(value.0)?)
}

#[tokio::test]
async fn authorities_come_and_go_while_sidecars_and_the_api_server_trust_what_is_served() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator_with("operator-0", &SHORT).await?;
    let webhooks = Webhooks::install(&world).await?;
    webhooks.wait_for_bundle().await?;
    world.apply("chat", &[]).await?;
    let pod = world.ready_pod("a", "chat").await?;
    let token = world.token(&pod).await?;
    wait_for_injection(&world, "before").await?;

    // All that the sidecar ever knows is what it was given at first and what comes over the stream.
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    let (mut last, _) = sidecar.configuration().await?;
    sidecar.acknowledge(&last).await?;
    let mut authorities = BTreeSet::from([value(&world, "authority.crt").await?]);
    while authorities.len() < 3 {
        (last, _) = sidecar.configuration().await?;
        sidecar.acknowledge(&last).await?;
        let trust = Trust::new(&last.trust_bundle)?;
        sidecar = Sidecar::connect(world.stream_port, &trust, &token, &Hello::default()).await?;
        let (again, _) = sidecar.configuration().await?;
        sidecar.acknowledge(&again).await?;
        authorities.insert(value(&world, "authority.crt").await?);
    }
    // Pods that are made now get a sidecar, so the API server trusts the newest as well.
    wait_for_injection(&world, "after").await?;
    assert!(!operator.log_text()?.contains("PRIVATE KEY"));
    eventually("the route is programmed", SOON, || async {
        let status = world.routes().get("chat").await?.status.unwrap_or_default();
        let counts = status.sidecars.unwrap_or_default();
        Ok(match counts.programmed {
            1 => Probe::Seen(()),
            _ => Probe::NotYet(format!("{counts:?}")),
        })
    })
    .await?;
    webhooks.remove().await
}
