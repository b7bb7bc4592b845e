//! Data in JSON that sinks get as protobuf, by what an IdlRepo has published.

use super::replicas::Load;
use super::sink::Sink;
use super::world::World;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heddle_crds::SseSubscriptionStatus;
use heddle_crds::condition::find;
use heddle_dynamic_protobuf::{Schema, json as proto_json};
use heddle_tests::publication::publish;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;

const ORDER: &str = "message Order { string name = 1; int32 count = 2; }";

/// The set of one file with these messages in package `shop.v1`.
fn set(messages: &str) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let source = format!("syntax = \"proto3\"; package shop.v1; {messages}");
    std::fs::write(folder.path().join("shop.proto"), source)?;
    let mut compiler = protox::Compiler::new([folder.path()])?;
    compiler.include_imports(true).open_file("shop.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}

/// Has IdlRepo `shop` publish these messages. The digest.
async fn publish_messages(world: &World, messages: &str) -> Result<String> {
    let set = set(messages)?;
    let compressed = zstd::bulk::compress(&set, 3)?;
    publish(&world.namespace, "shop", &set, &compressed).await
}

fn transcoding() -> (&'static str, Value) {
    let transcoding = json!({ "idlRepoRef": { "name": "shop" }, "message": "shop.v1.Order" });
    ("/transcoding", transcoding)
}

/// From the first event on.
fn from_the_beginning() -> (&'static str, Value) {
    ("/source/lastEventId", json!("0"))
}

/// What a consumer makes of a message.
fn decoded(messages: &str, wire: &[u8]) -> Result<Value> {
    let schema = Schema::from_descriptor_set(&set(messages)?)?;
    let order = schema.message("shop.v1.Order").context("a message type")?;
    let mut text = Vec::new();
    proto_json::to_json(order, wire, &mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// What each request of a sink in binary mode holds.
fn orders(sink: &Sink) -> Result<Vec<Value>> {
    let bodies = sink.bodies();
    bodies.iter().map(|wire| decoded(ORDER, wire)).collect()
}

fn ids(sink: &Sink) -> Vec<usize> {
    let events = sink.acknowledged();
    events.iter().filter_map(|event| event.id.parse().ok()).collect()
}

async fn look_again(world: &World, request: &str) -> Result<()> {
    let patch = json!({ "metadata": { "annotations": { "heddle.dev/requestedAt": request } } });
    let (api, parameters) = (world.subscriptions(), PatchParams::default());
    api.patch("pushes", &parameters, &Patch::Merge(&patch)).await?;
    Ok(())
}

async fn wait_for_types(world: &World, digest: &str) -> Result<SseSubscriptionStatus> {
    let goes_by = |status: &SseSubscriptionStatus| {
        let descriptors = status.descriptors.as_ref();
        descriptors.is_some_and(|descriptors| descriptors.digest == digest)
    };
    world
        .wait_for("pushes", &format!("it goes by {digest}"), goes_by)
        .await
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_lost_until_it_is_there() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world
        .source
        .push_all([r#"{"name":"a","count":1}"#, r#"{"name":"b","count":-1}"#]);
    world
        .apply("pushes", &[transcoding(), from_the_beginning()])
        .await?;
    let missing = world
        .wait_for_reason("pushes", "Ready", "IdlRepoNotFound")
        .await?;
    assert!(missing.message.contains("IdlRepo shop"), "{}", missing.message);

    let repository = json!({
        "source": { "url": "https://forge.example/idl.git" },
        "generate": [{ "name": "rust", "plugin": "prost", "path": "gen" }],
        "output": { "url": "https://forge.example/gen.git" },
        "suspend": true,
    });
    world.namespace.apply("shop", &repository).await?;
    look_again(&world, "1").await?;
    world
        .wait_for_reason("pushes", "Ready", "DescriptorsUnavailable")
        .await?;

    publish_messages(&world, "message Other {}").await?;
    let missing = world
        .wait_for_reason("pushes", "Stalled", "MessageTypeNotFound")
        .await?;
    assert!(missing.message.contains("shop.v1.Order"), "{}", missing.message);
    assert_eq!(
        world.source.requests().len(),
        0,
        "nobody would deliver what comes"
    );

    let digest = publish_messages(&world, ORDER).await?;
    world.wait_for_events(&world.sink, 2).await?;
    assert_eq!(
        orders(&world.sink)?,
        [
            json!({ "name": "a", "count": 1 }),
            json!({ "name": "b", "count": -1 })
        ]
    );
    world.wait_until_ready("pushes").await?;
    let status = wait_for_types(&world, &digest).await?;
    assert_eq!(
        status
            .descriptors
            .map(|descriptors| descriptors.source_revision)
            .as_deref(),
        Some("c0ffee")
    );
    Ok(())
}

#[tokio::test]
async fn sinks_get_messages_in_every_mode_and_can_decode_them() -> Result<()> {
    let world = World::create().await?;
    let (structured, batched) = (Sink::start().await?, Sink::start().await?);
    let _operator = world.operator().await?;
    let digest = publish_messages(&world, ORDER).await?;
    let http = |sink: &Sink, mode: &str| json!({ "url": sink.url(), "mode": mode });
    let sinks = json!([
        { "name": "binary", "http": http(&world.sink, "Binary") },
        { "name": "structured", "http": http(&structured, "Structured") },
        { "name": "batched", "http": http(&batched, "Batched") },
    ]);
    let filter = json!({ "cel": "data.count > 0" });
    let changes = [
        transcoding(),
        from_the_beginning(),
        ("/sinks", sinks),
        ("/filter", filter),
    ];
    world.apply("pushes", &changes).await?;
    world
        .source
        .push_all([r#"{"count":0}"#, r#"{"name":"é","count":7,"unknown":[1]}"#]);
    for sink in [&world.sink, &structured, &batched] {
        world.wait_for_events(sink, 1).await?;
    }
    let order = json!({ "name": "é", "count": 7 });
    let namespace = &world.namespace.name;
    let schema = format!(
        "tag:heddle.dev,2026:namespaces/{namespace}/idlrepos/shop/descriptors/{digest}#shop.v1.Order"
    );

    let headers = &world.sink.requests()[0];
    assert_eq!(headers["content-type"], "application/protobuf");
    assert_eq!(headers["ce-dataschema"], schema.as_str());
    assert_eq!(decoded(ORDER, &world.sink.bodies()[0])?, order);

    let one: Value = serde_json::from_slice(&structured.bodies()[0])?;
    let several: Value = serde_json::from_slice(&batched.bodies()[0])?;
    for event in [&one, &several[0]] {
        assert_eq!(event["id"], "2", "the filter saw what came");
        assert_eq!(event["datacontenttype"], "application/protobuf");
        assert_eq!(event["dataschema"], schema);
        assert_eq!(event.get("data"), None);
        let wire = STANDARD.decode(event["data_base64"].as_str().context("data")?)?;
        assert_eq!(decoded(ORDER, &wire)?, order);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_are_swapped_under_a_stream_that_loses_nothing() -> Result<()> {
    const OLD: &str = "message Order { string order = 1; }";
    const NEW: &str = "message Order { string order = 1; string text = 2; }";
    let world = World::create().await?;
    let _operator = world.operator().await?;
    publish_messages(&world, OLD).await?;
    world
        .apply("pushes", &[transcoding(), from_the_beginning()])
        .await?;
    world.wait_until_ready("pushes").await?;
    let load = Load::start(Arc::clone(&world.source), 100);
    world.wait_for_events(&world.sink, 50).await?;
    let digest = publish_messages(&world, NEW).await?;
    wait_for_types(&world, &digest).await?;
    load.stop().await?;
    let last = world.source.push(r#"{"text":"last"}"#);
    world.wait_for_events(&world.sink, last).await?;

    let all: Vec<_> = (1..=last).collect();
    assert_eq!(ids(&world.sink), all, "once, in order");
    assert_eq!(world.source.requests().len(), 1, "the connection stayed");
    let bodies = world.sink.bodies();
    let orders = bodies.iter().map(|wire| decoded(NEW, wire));
    let orders = orders.collect::<Result<Vec<_>>>()?;
    let is_new: Vec<_> = orders.iter().map(|order| order.get("text").is_some()).collect();
    assert!(is_new.is_sorted(), "first the old types, then the new ones");
    assert_eq!((is_new[0], is_new[last - 1]), (false, true));
    let requests = world.sink.requests();
    for (index, is_of_new) in [(0, false), (last - 1, true)] {
        let schema = requests[index]["ce-dataschema"].to_str()?;
        assert_eq!(schema.contains(&digest), is_of_new, "{schema}");
    }
    Ok(())
}

#[tokio::test]
async fn data_that_does_not_fit_goes_to_the_dead_letter_as_it_came() -> Result<()> {
    let world = World::create().await?;
    let dead = Sink::start().await?;
    let operator = world.operator().await?;
    publish_messages(&world, ORDER).await?;
    let letter = json!({ "http": { "url": dead.url() } });
    let changes = [
        transcoding(),
        from_the_beginning(),
        ("/delivery/deadLetter", letter),
        ("/delivery/batch", json!({ "maxEvents": 10 })),
    ];
    let data = [
        r#"{"name":"a","count":1}"#,
        r#"{"count":"canary"}"#,
        "canary",
        r#"{"count":4}"#,
    ];
    let last = world.source.push_all(data);
    world.apply("pushes", &changes).await?;
    world.wait_for_events(&world.sink, 2).await?;
    world.wait_for_events(&dead, 2).await?;
    world.wait_for_checkpoint("pushes", last).await?;
    assert_eq!(ids(&world.sink), [1, 4]);
    let others = [json!({ "name": "a", "count": 1 }), json!({ "count": 4 })];
    assert_eq!(orders(&world.sink)?, others);
    let letters = dead.acknowledged();
    assert_eq!(ids(&dead), [2, 3]);
    assert_eq!((&*letters[0].data, &*letters[1].data), (data[1], data[2]));
    let headers = &dead.requests()[0];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers.get("ce-dataschema"), None);
    assert_eq!(headers.get("ce-heddlesink"), None, "no sink was asked");
    let error = letters[0].error.as_deref().context("an error")?;
    assert!(
        error.contains("shop.v1.Order") && error.contains("count") && !error.contains("canary"),
        "{error}"
    );
    let counted = |status: &SseSubscriptionStatus| {
        let counts = status.counts.as_ref();
        counts.is_some_and(|counts| counts.dead_lettered == 2 && counts.received == 4)
    };
    let status = world.wait_for("pushes", "both are counted", counted).await?;
    for told in [operator.log_text()?, serde_json::to_string(&status)?] {
        assert!(!told.contains("canary"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_dead_letter_an_event_waits_for_types_that_it_fits() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    publish_messages(&world, ORDER).await?;
    let hour = json!({ "initial": "1h", "max": "1h" });
    let changes = [
        transcoding(),
        from_the_beginning(),
        ("/delivery/batch", json!({ "maxEvents": 10 })),
        ("/delivery/backoff", hour),
    ];
    world
        .source
        .push_all([r#"{"count":1}"#, r#"{"count":"canary"}"#, r#"{"count":3}"#]);
    world.apply("pushes", &changes).await?;
    let held = world
        .wait_for_reason("pushes", "Delivering", "DataInvalid")
        .await?;
    assert!(
        held.message.contains("Event 2") && held.message.contains("deadLetter"),
        "{}",
        held.message
    );
    assert_eq!(ids(&world.sink), [1], "what came before it is delivered");

    publish_messages(&world, "message Order { string count = 2; }").await?;
    world.wait_for_events(&world.sink, 2).await?;
    // A number does not fit a string: now it is the third one that waits.
    let holds_the_third = |status: &SseSubscriptionStatus| {
        let delivering = find(&status.conditions, "Delivering");
        delivering.is_some_and(|delivering| delivering.message.starts_with("Event 3 "))
    };
    world
        .wait_for("pushes", "the third one waits", holds_the_third)
        .await?;
    let fits_all = "message Order { google.protobuf.Value count = 2; }";
    let with_import = format!("import \"google/protobuf/struct.proto\"; {fits_all}");
    publish_messages(&world, &with_import).await?;
    world.wait_for_events(&world.sink, 3).await?;
    assert_eq!(ids(&world.sink), [1, 2, 3]);
    assert_eq!(world.source.requests().len(), 1, "the connection stayed");
    world.wait_until_ready("pushes").await?;
    let status = world.subscriptions().get("pushes").await?.status;
    for told in [operator.log_text()?, serde_json::to_string(&status)?] {
        assert!(!told.contains("canary"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn types_that_are_taken_away_stop_nothing_that_runs() -> Result<()> {
    let world = World::create().await?;
    let mut operator = world.operator().await?;
    let digest = publish_messages(&world, ORDER).await?;
    world
        .apply("pushes", &[transcoding(), from_the_beginning()])
        .await?;
    world.wait_until_ready("pushes").await?;
    publish_messages(&world, "message Other {}").await?;
    let ready = world
        .wait_for_reason("pushes", "Ready", "MessageTypeNotFound")
        .await?;
    assert!(
        ready.message.contains("what was published before"),
        "{}",
        ready.message
    );
    world.source.push(r#"{"count":1}"#);
    world.wait_for_events(&world.sink, 1).await?;
    wait_for_types(&world, &digest).await?;
    assert_eq!(world.source.requests().len(), 1);

    // Who starts anew has nothing to go by, and waits.
    operator.terminate()?;
    assert!(operator.wait().await?.success());
    world.source.push(r#"{"count":2}"#);
    let _operator = world.operator().await?;
    let rests = |status: &SseSubscriptionStatus| status.owner.is_none() && status.descriptors.is_none();
    world.wait_for("pushes", "it rests", rests).await?;
    assert_eq!(world.source.requests().len(), 1);
    publish_messages(&world, ORDER).await?;
    world.wait_for_events(&world.sink, 2).await?;
    assert_eq!(ids(&world.sink), [1, 2]);
    Ok(())
}
