//! What sidecars get over the stream, and what routes say about them.

use super::sidecar::{Sidecar, served};
use super::world::World;
use anyhow::Result;
use heddle_crds::condition::find;
use heddle_route_config::protocol::{Assembly, Held, Hello, RouteError, RouteErrorKind, TOKEN_AUDIENCE};
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use heddle_tests::publication::publish;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

#[tokio::test]
async fn a_route_is_programmed_when_every_ready_pod_has_acknowledged_it() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world.apply("chat", &[]).await?;
    world.wait_for_reason("chat", "Ready", "NoReadyPods").await?;
    let (a, b) = (
        world.ready_pod("a", "chat").await?,
        world.ready_pod("b", "chat").await?,
    );
    world
        .wait_for_reason("chat", "Ready", "SidecarNotConnected")
        .await?;
    let mut first = world.connect(&a, &Hello::default()).await?;
    let mut second = world.connect(&b, &Hello::default()).await?;
    let sent = first.wait_for(&[("chat", 1)]).await?;
    assert_eq!(second.wait_for(&[("chat", 1)]).await?.version, sent.version);
    assert!(sent.trust_bundle.contains("BEGIN CERTIFICATE"));
    first.acknowledge(&sent).await?;
    world
        .wait_for("chat", "the pod that has not answered is named", |status| {
            find(&status.conditions, "Programmed").is_some_and(|condition| {
                condition.message == "Of 2 ready pods, 1 yet to acknowledge generation 1: b."
            })
        })
        .await?;
    second.acknowledge(&sent).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    let status = world
        .wait_for("chat", "a trace is on record", |status| status.trace_id.is_some())
        .await?;
    let counts = status.sidecars.clone().unwrap_or_default();
    assert_eq!((counts.selected, counts.ready, counts.programmed), (2, 2, 2));
    let trace_id = status.trace_id.unwrap_or_default();
    assert!(sent.traceparent.is_some_and(|parent| parent.contains(&trace_id)));

    world.apply("chat", &[("retries", json!(3))]).await?;
    let newer = first.wait_for(&[("chat", 2)]).await?;
    world
        .wait_for_reason("chat", "Reconciling", "SidecarPending")
        .await?;
    first.acknowledge(&newer).await?;
    second.wait_for(&[("chat", 2)]).await?;
    second.acknowledge(&newer).await?;
    let status = world
        .wait_for("chat", "generation 2 is everywhere", |status| {
            status.observed_generation == Some(2)
                && status
                    .sidecars
                    .as_ref()
                    .is_some_and(|counts| counts.programmed == 2)
        })
        .await?;
    assert_ne!(status.trace_id, Some(trace_id), "a change is a trace");
    // A pod that goes takes its part with it, and a route that goes takes its sessions.
    world.delete_pod("b").await?;
    drop(second);
    world
        .wait_for("chat", "one pod is left", |status| {
            status
                .sidecars
                .as_ref()
                .is_some_and(|counts| counts.selected == 1)
        })
        .await?;
    world.routes().delete("chat", &DeleteParams::default()).await?;
    first.wait_for(&[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_sidecar_gets_the_routes_of_its_own_pod_and_nobody_else_gets_any() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    world.apply("chat", &[]).await?;
    let talk = ("selector", json!({ "matchLabels": { "app": "talk" } }));
    world.apply("talk", &[talk]).await?;
    let pod = world.ready_pod("a", "talk").await?;
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    sidecar.wait_for(&[("talk", 1)]).await?;

    let trust = world.trust().await?;
    let bound = k8s_openapi::api::authentication::v1::BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some("a".into()),
        uid: pod.uid(),
    };
    for (token, expected) in [
        (world.token_for(TOKEN_AUDIENCE, None).await?, "403"),
        (world.token_for("other", Some(bound)).await?, "401"),
        ("canary-7f3a9c-token".into(), "401"),
    ] {
        let refused = Sidecar::connect(world.stream_port, &trust, &token, &Hello::default()).await;
        let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(expected), "{error}");
        assert!(
            !operator.log_text()?.contains(&token),
            "tokens have no way into logs"
        );
    }
    Ok(())
}

#[tokio::test]
async fn of_two_routes_that_claim_the_same_the_older_wins_and_the_other_says_so() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let pod = world.ready_pod("a", "chat").await?;
    world.apply("b-older", &[]).await?;
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    let sent = sidecar.wait_for(&[("b-older", 1)]).await?;
    sidecar.acknowledge(&sent).await?;
    world.wait_for_reason("b-older", "Ready", "Programmed").await?;
    // Creation times have whole seconds.
    let created = world.routes().get("b-older").await?.creation_timestamp();
    let created = created.map_or(0, |time| time.0.as_second());
    eventually("the next second", SOON, || async {
        Ok(match Timestamp::now().as_second() > created {
            true => Probe::Seen(()),
            false => Probe::NotYet("the same".into()),
        })
    })
    .await?;
    world.apply("a-younger", &[]).await?;
    let conflicted = world
        .wait_for_reason("a-younger", "Accepted", "Conflicted")
        .await?;
    assert!(
        conflicted.message.contains("WsRoute b-older"),
        "{}",
        conflicted.message
    );
    world
        .wait_for_reason("a-younger", "Stalled", "Conflicted")
        .await?;
    world.wait_for_reason("b-older", "Ready", "Programmed").await?;
    let path = ("matches", json!([{ "path": { "value": "/other" } }]));
    world.apply("a-younger", &[path]).await?;
    sidecar.wait_for(&[("a-younger", 2), ("b-older", 1)]).await?;
    Ok(())
}

#[tokio::test]
async fn a_sidecar_that_was_away_is_not_sent_what_it_has_and_its_refusal_is_shown() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    world.apply("chat", &[]).await?;
    let pod = world.ready_pod("a", "chat").await?;
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    let sent = sidecar.wait_for(&[("chat", 1)]).await?;
    let error = RouteError::new(1, RouteErrorKind::Other, "port 9080 is taken");
    sidecar.refuse(&sent, &error).await?;
    let refused = world
        .wait_for_reason("chat", "Programmed", "SidecarRefused")
        .await?;
    assert!(
        refused.message.contains("a: port 9080 is taken"),
        "{}",
        refused.message
    );
    sidecar.acknowledge(&sent).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;

    // The leader is killed, and another one takes over.
    operator.kill().await?;
    assert!(sidecar.next().await.is_err() || sidecar.next().await?.is_none());
    let before = world.routes().get("chat").await?.status.unwrap_or_default();
    let successor = world.operator_with("operator-1", &[]).await?;
    let kept = world
        .wait_for("chat", "the new leader has looked at it", |status| {
            find(&status.conditions, "Programmed")
                .is_some_and(|programmed| programmed.message.contains("sidecars are awaited until"))
        })
        .await?;
    for type_ in ["Programmed", "Ready"] {
        let reason = find(&kept.conditions, type_).map(|found| found.reason.as_str());
        assert_eq!(reason, Some("Programmed"), "nothing is known against it");
    }
    assert_eq!(kept.sidecars, before.sidecars);
    let hello = Hello {
        applied: Some(served(&sent)),
        ..Hello::default()
    };
    let mut sidecar = world.connect(&pod, &hello).await?;
    world
        .wait_for("chat", "all is as it was, trace included", |status| {
            *status == before
        })
        .await?;
    assert!(!successor.log_text()?.contains("route is sent to sidecars"));
    // What comes next is the next change and not what it has.
    world.apply("chat", &[("retries", json!(2))]).await?;
    let (newer, _) = sidecar.configuration().await?;
    assert_eq!(newer.routes[0].generation(), 2);
    Ok(())
}

#[tokio::test]
async fn a_suspended_route_is_held_and_a_secret_that_appears_is_acted_on() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let pod = world.ready_pod("a", "chat").await?;
    let tls = ("listener", json!({ "tls": { "secretRef": { "name": "tls" } } }));
    world.apply("chat", std::slice::from_ref(&tls)).await?;
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    let (sent, _) = sidecar.first_routes().await?;
    assert_eq!(sent.routes[0].held, Held::Yes);
    world
        .wait_for_reason("chat", "ResolvedRefs", "SecretNotFound")
        .await?;
    world.namespace.secret("tls", &[("tls.crt", "canary")]).await?;
    let invalid = world
        .wait_for_reason("chat", "ResolvedRefs", "SecretInvalid")
        .await?;
    assert!(!invalid.message.contains("canary"), "{}", invalid.message);
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["chat.test".to_owned()])?.self_signed(&key)?;
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    world
        .namespace
        .secret("tls", &[("tls.crt", &certificate), ("tls.key", &key)])
        .await?;
    let (sent, _) = sidecar.configuration().await?;
    assert_eq!(sent.routes[0].held, Held::No);
    sidecar.acknowledge(&sent).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;

    world.apply("chat", &[tls, ("suspend", json!(true))]).await?;
    let (sent, _) = sidecar.configuration().await?;
    assert_eq!((sent.routes[0].held, sent.routes[0].generation()), (Held::Yes, 2));
    world.wait_for_reason("chat", "Ready", "Suspended").await?;
    Ok(())
}

#[tokio::test]
async fn an_edit_that_cannot_work_takes_no_route_from_sidecars() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let pod = world.ready_pod("a", "chat").await?;
    world.apply("chat", &[]).await?;
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    let sent = sidecar.wait_for(&[("chat", 1)]).await?;
    sidecar.acknowledge(&sent).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    // The schema lets both through, and nobody has registered the webhook here.
    let nonsense = json!({ "matchExpressions": [{ "key": "app", "operator": "Near", "values": ["chat"] }] });
    for change in [
        ("forwarding", json!({ "trustedProxies": ["10.0.0.0/40"] })),
        ("selector", nonsense),
    ] {
        world.apply("chat", &[change]).await?;
        let (held, _) = sidecar.configuration().await?;
        assert_eq!(held.routes.len(), 1, "it is not taken away");
        assert_eq!(held.routes[0].held, Held::Yes);
        let generation = held.routes[0].generation();
        let refused = world
            .wait_for("chat", "it is refused", |status| {
                status.observed_generation == Some(generation)
                    && find(&status.conditions, "Accepted")
                        .is_some_and(|accepted| accepted.reason == "InvalidSpec")
            })
            .await?;
        assert_eq!(refused.sidecars.map(|counts| counts.selected), Some(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_status_that_somebody_else_has_written_is_mended() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world.apply("chat", &[]).await?;
    world.wait_for_reason("chat", "Ready", "NoReadyPods").await?;
    let lie = json!({ "status": { "sidecars": {
        "selected": 7, "ready": 7, "connected": 7, "programmed": 7, "missing": 0,
    }}});
    let lied = world
        .routes()
        .patch_status("chat", &PatchParams::default(), &Patch::Merge(&lie))
        .await?;
    assert_eq!(
        lied.status
            .and_then(|status| status.sidecars)
            .map(|counts| counts.ready),
        Some(7)
    );
    world
        .wait_for("chat", "the truth", |status| {
            status
                .sidecars
                .as_ref()
                .is_some_and(|counts| counts.selected == 0)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn descriptor_sets_come_before_the_routes_that_go_by_them_and_once() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let pod = world.ready_pod("a", "chat").await?;
    let transcoding = json!({
        "idlRepoRef": { "name": "idl" }, "clientMessage": "a.B", "backendMessage": "a.C",
    });
    world.apply("chat", &[("transcoding", transcoding)]).await?;
    world
        .wait_for_reason("chat", "ResolvedRefs", "IdlRepoNotFound")
        .await?;
    let mut sidecar = world.connect(&pod, &Hello::default()).await?;
    let (first, none) = sidecar.first_routes().await?;
    assert_eq!((first.routes[0].held, none.len()), (Held::Yes, 0));

    let set: Vec<u8> = (0..1_200_000_u32).map(|number| (number % 251) as u8).collect();
    // That the bytes are no set matters to sidecars only.
    publish(&world.namespace, "idl", &set, &set).await?;
    let (sent, parts) = sidecar.configuration().await?;
    assert_eq!(sent.descriptors[0].digest, parts[0].digest);
    let mut assembly = Assembly::default();
    let mut whole = None;
    for part in &parts {
        whole = assembly.add(part)?;
    }
    assert!(parts.len() > 1 && whole.is_some_and(|whole| whole == set));
    sidecar.acknowledge(&sent).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    let status = world.routes().get("chat").await?.status.unwrap_or_default();
    assert_eq!(
        status.descriptors.map(|descriptors| descriptors.source_revision),
        Some("c0ffee".into())
    );

    let error = RouteError::new(1, RouteErrorKind::MessageType, "there is no message type a.B");
    sidecar.refuse(&sent, &error).await?;
    world
        .wait_for_reason("chat", "ResolvedRefs", "MessageTypeNotFound")
        .await?;
    // One that has the set already gets the configuration alone.
    let hello = Hello {
        descriptors: vec![sent.descriptors[0].digest.clone()],
        ..Hello::default()
    };
    let mut again = world.connect(&pod, &hello).await?;
    let (_, parts) = again.configuration().await?;
    assert_eq!(parts.len(), 0);
    Ok(())
}
