//! From the source to the sinks, and on from where it was.

use super::replicas::Load;
use super::sink::{Behaviour, Sink};
use super::world::World;
use anyhow::{Context, Result};
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long writes to the API are counted.
const WRITES_COUNTED_FOR: Duration = Duration::from_secs(12);

#[tokio::test]
async fn events_reach_the_sink_and_their_place_is_stored() -> Result<()> {
    let world = World::create().await?;
    let mut operator = world.operator().await?;
    world.apply("pushes", &[]).await?;
    world.wait_until_ready("pushes").await?;
    let last = world.source.push_all([r#"{"n":1}"#, "two", r#"{"n":3}"#]);
    world.wait_for_events(&world.sink, 3).await?;
    let events = world.sink.acknowledged();
    let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(events[1].data, "two");
    assert_eq!(events[0].type_, "message");
    let namespace = &world.namespace.name;
    let source = format!("/apis/heddle.dev/v1alpha1/namespaces/{namespace}/ssesubscriptions/pushes");
    assert_eq!(events[0].source, source);
    let traceparent = events[0].traceparent.clone().unwrap();
    assert_eq!(world.sink.requests()[0]["traceparent"], traceparent.as_str());
    assert_eq!(world.sink.requests()[0]["content-type"], "application/json");
    world.wait_for_checkpoint("pushes", last).await?;
    let counted = |status: &heddle_crds::SseSubscriptionStatus| {
        status
            .counts
            .as_ref()
            .is_some_and(|counts| counts.delivered == 3 && counts.received == 3)
    };
    let status = world
        .wait_for("pushes", "three events are counted", counted)
        .await?;
    assert_eq!(status.last_event_id.as_deref(), Some("3"));
    assert_eq!(status.owner.as_deref(), Some("operator-0"));

    // One that follows goes on after what was acknowledged.
    operator.terminate()?;
    assert!(operator.wait().await?.success());
    assert_eq!(world.checkpoint("pushes").await?.unwrap()["owner"], Value::Null);
    world.source.push("four");
    let _operator = world.operator().await?;
    world.wait_for_events(&world.sink, 4).await?;
    assert_eq!(world.sink.acknowledged()[3].id, "4");
    let requests = world.source.requests();
    assert_eq!(requests.last().unwrap().headers["last-event-id"], "3");
    Ok(())
}

#[tokio::test]
async fn a_source_is_asked_as_the_specification_says() -> Result<()> {
    let world = World::create().await?;
    world
        .namespace
        .secret("token", &[("value", "canary-token\n"), ("body", "query=1")])
        .await?;
    let operator = world.operator().await?;
    let key = |key: &str| json!({ "name": "token", "key": key });
    let headers = json!([{ "name": "Authorization", "prefix": "Bearer ", "secretKeyRef": key("value") }]);
    world
        .apply(
            "pushes",
            &[
                ("/source/method", json!("POST")),
                ("/source/headers", json!([{ "name": "X-Team", "value": "shop" }])),
                ("/source/headersFrom", headers),
                ("/source/bodyFrom", key("body")),
                ("/source/lastEventId", json!("1")),
            ],
        )
        .await?;
    world.source.push_all(["one", "two"]);
    world.wait_for_events(&world.sink, 1).await?;
    assert_eq!(world.sink.acknowledged()[0].data, "two");
    let request = &world.source.requests()[0];
    assert_eq!(request.line, "POST /events HTTP/1.1");
    assert_eq!(request.body, "query=1");
    for (name, value) in [
        ("authorization", "Bearer canary-token"),
        ("x-team", "shop"),
        ("last-event-id", "1"),
        ("accept", "text/event-stream"),
    ] {
        assert_eq!(request.headers[name], value, "{name}");
    }
    world.wait_until_ready("pushes").await?;
    let status = world.subscriptions().get("pushes").await?.status;
    for told in [operator.log_text()?, serde_json::to_string(&status)?] {
        assert!(!told.contains("canary") && !told.contains("query=1"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn batches_are_signed_and_filters_choose() -> Result<()> {
    let world = World::create().await?;
    world.namespace.secret("key", &[("key", "Jefe")]).await?;
    let _operator = world.operator().await?;
    let hmac = json!({ "secretKeyRef": { "name": "key", "key": "key" } });
    let http = json!({ "url": world.sink.url(), "mode": "Batched", "authentication": { "hmac": hmac } });
    world
        .apply(
            "pushes",
            &[
                ("/sinks/0", json!({ "name": "orders", "http": http })),
                ("/filter", json!({ "cel": "data.n % 2 == 0" })),
                ("/delivery/batch", json!({ "maxEvents": 10, "maxDelay": "300ms" })),
            ],
        )
        .await?;
    world.wait_until_ready("pushes").await?;
    let data: Vec<_> = (1..=41).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let last = world.source.push_all(data.iter().map(String::as_str));
    world.wait_for_events(&world.sink, 20).await?;
    let numbers: Vec<_> = world
        .sink
        .acknowledged()
        .iter()
        .map(|event| event.id.clone())
        .collect();
    let expected: Vec<_> = (1..=20).map(|n| (2 * n).to_string()).collect();
    assert_eq!(numbers, expected);
    // The place moves past what is filtered.
    world.wait_for_checkpoint("pushes", last).await?;
    assert!(
        world.sink.requests().len() <= 4,
        "{:?}",
        world.sink.requests().len()
    );
    let signature = world.sink.requests()[0]["x-heddle-signature-256"]
        .to_str()?
        .to_owned();
    assert_eq!(
        signature,
        format!("sha256={}", hmac_sha256(b"Jefe", &world.sink.bodies()[0]))
    );
    Ok(())
}

#[tokio::test]
async fn a_poison_event_goes_to_the_dead_letter_and_the_stream_goes_on() -> Result<()> {
    let world = World::create().await?;
    let dead = Sink::start().await?;
    let _operator = world.operator().await?;
    let http = json!({ "url": world.sink.url(), "mode": "Batched" });
    world
        .apply(
            "pushes",
            &[
                ("/sinks/0", json!({ "name": "orders", "http": http })),
                (
                    "/delivery/batch",
                    json!({ "maxEvents": 100, "maxDelay": "300ms" }),
                ),
                ("/delivery/deadLetter", json!({ "http": { "url": dead.url() } })),
            ],
        )
        .await?;
    world.wait_until_ready("pushes").await?;
    world.sink.behave(Behaviour {
        poison: Some("poison".into()),
        ..Behaviour::default()
    });
    let data: Vec<_> = (1..=50)
        .map(|n| {
            if n == 17 {
                "poison".to_owned()
            } else {
                format!("event {n}")
            }
        })
        .collect();
    let last = world.source.push_all(data.iter().map(String::as_str));
    world.wait_for_events(&world.sink, 49).await?;
    world.wait_for_events(&dead, 1).await?;
    world.wait_for_checkpoint("pushes", last).await?;
    let ids: Vec<usize> = world
        .sink
        .acknowledged()
        .iter()
        .map(|event| event.id.parse().unwrap())
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let letters = dead.acknowledged();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].id, "17");
    assert!(letters[0].error.as_ref().unwrap().contains("422"), "{letters:?}");
    let counted = |status: &heddle_crds::SseSubscriptionStatus| {
        status
            .counts
            .as_ref()
            .is_some_and(|counts| counts.dead_lettered == 1)
    };
    world
        .wait_for("pushes", "the dead letter is counted", counted)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_subscription_that_is_suspended_keeps_its_place() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world.apply("pushes", &[]).await?;
    world.wait_until_ready("pushes").await?;
    world.source.push("one");
    world.wait_for_events(&world.sink, 1).await?;
    world.apply("pushes", &[("/suspend", json!(true))]).await?;
    world.wait_for_reason("pushes", "Ready", "Suspended").await?;
    eventually("the connection is closed", SOON, || async {
        Ok(match world.source.open() {
            0 => Probe::Seen(()),
            open => Probe::NotYet(format!("{open} are open")),
        })
    })
    .await?;
    world.source.push("two");
    world.apply("pushes", &[]).await?;
    world.wait_for_events(&world.sink, 2).await?;
    assert_eq!(world.sink.acknowledged()[1].id, "2");
    Ok(())
}

#[tokio::test]
async fn a_slow_sink_slows_the_source_and_memory_is_bounded() -> Result<()> {
    let world = World::create().await?;
    world.sink.behave(Behaviour {
        status: Some(503),
        ..Behaviour::default()
    });
    let buffer = 1 << 20;
    let operator = world
        .operator_with("operator-0", &[&format!("--sse-buffer-bytes={buffer}")])
        .await?;
    world.apply("pushes", &[]).await?;
    world.wait_for_reason("pushes", "Connected", "Connected").await?;
    let data = "x".repeat(1000);
    let count = 20_000;
    world.source.push_all(std::iter::repeat_n(data.as_str(), count));
    // Nothing more is read once the buffer and the connection are full.
    let received = world.wait_until_nothing_is_read(&operator).await?;
    assert!(
        received * 1000.0 < f64::from(buffer) * 1.5,
        "{received} events were read"
    );
    world
        .wait_for_reason("pushes", "Delivering", "SinkFailing")
        .await?;
    world.sink.behave(Behaviour::default());
    world.wait_for_events(&world.sink, count).await?;
    world.wait_until_ready("pushes").await?;
    Ok(())
}

fn hmac_sha256(key: &[u8], body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| block.map(|of_key| of_key ^ byte);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(body)
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_idl_repo_is_asked_to_look_and_the_log_has_no_data() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    let sinks = json!([
        { "name": "generate", "idlRepo": { "name": "shop" } },
        { "name": "log", "log": {} },
    ]);
    world.apply("pushes", &[("/sinks", sinks)]).await?;
    world.wait_until_ready("pushes").await?;
    world.source.push("canary");
    let failing = world
        .wait_for_reason("pushes", "Delivering", "SinkFailing")
        .await?;
    assert!(
        failing.message.contains("IdlRepo shop does not exist"),
        "{}",
        failing.message
    );
    let spec = json!({
        "source": { "url": "https://git.invalid/idl.git", "ref": { "branch": "main" } },
        "generate": [{ "name": "rust", "plugin": "prost", "path": "rust" }],
        "output": { "url": "https://git.invalid/generated.git", "secretRef": { "name": "push" } },
    });
    world.namespace.apply("shop", &spec).await?;
    let traceparent = eventually("the IdlRepo is asked", SOON, || async {
        let annotations = world
            .namespace
            .idl_repos()
            .get("shop")
            .await?
            .metadata
            .annotations;
        let mut annotations = annotations.unwrap_or_default();
        let asked = annotations.remove("heddle.dev/requestedAt");
        Ok(match asked.as_deref() {
            Some("pushes/1") => Probe::Seen(annotations.remove("heddle.dev/traceparent")),
            other => Probe::NotYet(format!("{other:?}")),
        })
    })
    .await?;
    world.wait_for_checkpoint("pushes", 1).await?;
    let line = operator.wait_for_line("event received").await?;
    assert_eq!(line["id"], "1");
    assert_eq!(line["bytes"], 6);
    let trace = line["trace_id"].as_str().context("the line has no trace")?;
    assert!(
        traceparent.is_some_and(|parent| parent.contains(trace)),
        "{trace}"
    );
    assert!(!operator.log_text()?.contains("canary"));
    Ok(())
}

#[tokio::test]
async fn sinks_are_shown_credentials() -> Result<()> {
    let world = World::create().await?;
    let secret = [("token", "abc\n"), ("username", "user"), ("password", "pass")];
    world.namespace.secret("sink", &secret).await?;
    let _operator = world.operator().await?;
    let http = |how: Value| json!({ "url": world.sink.url(), "mode": "Structured", "authentication": how });
    let bearer = json!({ "bearer": { "secretKeyRef": { "name": "sink", "key": "token" } } });
    let basic = json!({ "basic": { "secretRef": { "name": "sink" } } });
    let sinks = json!([{ "name": "bearer", "http": http(bearer) }, { "name": "basic", "http": http(basic) }]);
    world.apply("pushes", &[("/sinks", sinks)]).await?;
    world.wait_until_ready("pushes").await?;
    world.source.push("one");
    world.wait_for_events(&world.sink, 2).await?;
    let requests = world.sink.requests();
    let mut shown: Vec<_> = requests
        .iter()
        .map(|headers| headers["authorization"].to_str())
        .collect::<Result<_, _>>()?;
    shown.sort_unstable();
    assert_eq!(shown, ["Basic dXNlcjpwYXNz", "Bearer abc"]);
    assert!(
        requests
            .iter()
            .all(|headers| headers["content-type"] == "application/cloudevents+json")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_stream_writes_to_the_api_less_than_once_a_second() -> Result<()> {
    let mut world = World::create().await?;
    world.checkpoint_interval = Duration::from_secs(2);
    world.sink.behave(Behaviour {
        fails: 0.1,
        ..Behaviour::default()
    });
    let _operator = world.operator().await?;
    let http = json!({ "url": world.sink.url(), "mode": "Batched" });
    let changes = [
        ("/sinks/0", json!({ "name": "orders", "http": http })),
        ("/delivery/batch", json!({ "maxEvents": 500 })),
    ];
    world.apply("pushes", &changes).await?;
    world.wait_until_ready("pushes").await?;
    let load = Load::start(Arc::clone(&world.source), 5000);
    world.wait_for_events(&world.sink, 5000).await?;
    let writes = world.count_writes("pushes", WRITES_COUNTED_FOR).await?;
    let last = load.stop().await?;
    world.wait_for_checkpoint("pushes", last).await?;
    println!(
        "{writes} writes in {} s for {last} events",
        WRITES_COUNTED_FOR.as_secs()
    );
    assert!(writes >= 2, "nothing was stored");
    assert!(writes < WRITES_COUNTED_FOR.as_secs(), "{writes} writes");
    Ok(())
}
