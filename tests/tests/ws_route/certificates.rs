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
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use std::collections::{BTreeMap, BTreeSet};

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

#[tokio::test]
async fn a_secret_that_is_deleted_comes_back_with_the_authority_that_sidecars_trust() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let (authority, bundle) = (value(&world, "authority.crt").await?, world.bundle().await?);
    let secrets = Api::<Secret>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    // The keeper has to have seen it once.
    eventually("the Secret is gone", SOON, || async {
        secrets
            .delete("heddle-certificates", &DeleteParams::default())
            .await
            .ok();
        Ok(match secrets.get_opt("heddle-certificates").await? {
            None => Probe::Seen(()),
            Some(_) => Probe::NotYet("it is there".into()),
        })
    })
    .await?;
    eventually("the Secret is written again", SOON, || async {
        Ok(match secrets.get_opt("heddle-certificates").await? {
            Some(_) => Probe::Seen(()),
            None => Probe::NotYet("it is gone".into()),
        })
    })
    .await?;
    assert_eq!(value(&world, "authority.crt").await?, authority);
    assert_eq!(world.bundle().await?, bundle);
    Ok(())
}

/// Writes the Secret as cert-manager does, signed by an authority of its own, and gives that authority.
async fn written_by_another_issuer(world: &World) -> Result<String> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "another issuer");
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
    let key = rcgen::KeyPair::generate()?;
    let serving = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("heddle-certificates".into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        string_data: Some(BTreeMap::from([
            ("tls.crt".into(), serving.pem()),
            ("tls.key".into(), key.serialize_pem()),
            ("ca.crt".into(), authority.pem()),
        ])),
        ..Secret::default()
    };
    let secrets = Api::<Secret>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    secrets.create(&PostParams::default(), &secret).await?;
    Ok(authority.pem())
}

#[tokio::test]
async fn sidecars_that_trust_another_issuer_are_led_to_the_authority_of_the_operator() -> Result<()> {
    let world = World::create().await?;
    let theirs = written_by_another_issuer(&world).await?;
    let announcement = ["--authority-lifetime=3600", "--authority-announcement=10"];
    let _operator = world.operator_with("operator-0", &announcement).await?;
    world.apply("chat", &[]).await?;
    let pod = world.ready_pod("a", "chat").await?;
    let token = world.token(&pod).await?;
    // A sidecar of the time before knows nothing but the other issuer.
    let mut sidecar = Sidecar::connect(
        world.stream_port,
        &Trust::new(&theirs)?,
        &token,
        &Hello::default(),
    )
    .await?;
    let learned = loop {
        let (configuration, _) = sidecar.configuration().await?;
        sidecar.acknowledge(&configuration).await?;
        if configuration.trust_bundle.matches("BEGIN").count() > 1 {
            break configuration.trust_bundle;
        }
    };
    let ours = eventually("the operator's own certificate is served", SOON, || async {
        let ours = Trust::new(&value(&world, "authority.crt").await?)?;
        let connected = Sidecar::connect(world.stream_port, &ours, &token, &Hello::default()).await;
        Ok(match connected {
            Ok(_) => Probe::Seen(()),
            Err(error) => Probe::NotYet(format!("{error:#}")),
        })
    });
    ours.await?;
    let trust = Trust::new(&learned)?;
    Sidecar::connect(world.stream_port, &trust, &token, &Hello::default()).await?;
    Ok(())
}
