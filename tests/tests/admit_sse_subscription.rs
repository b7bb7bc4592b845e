//! What a real API server admits as an SseSubscription, and with which sentence it refuses the rest.

use anyhow::{Context, Result, bail};
use heddle_crds::SseSubscription;
use heddle_tests::api_server::ApiServer;
use heddle_tests::namespace::TestNamespace;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};

fn spec(changes: &[(&str, Value)]) -> Result<Value> {
    let mut spec = json!({
        "source": { "url": "https://forge.example/events?since=1" },
        "sinks": [{ "name": "orders", "http": { "url": "http://orders.shop.svc:8080/events" } }],
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        let parent = spec.pointer_mut(parent).context("a place that is there")?;
        match (parent, key.parse::<usize>()) {
            (Value::Array(items), Ok(index)) => items[index] = value.clone(),
            (parent, _) => parent[key] = value.clone(),
        }
    }
    Ok(spec)
}

fn transcoding(idl_repo: &str, message: &str) -> Value {
    json!({ "idlRepoRef": { "name": idl_repo }, "message": message })
}

async fn create(namespace: &TestNamespace, name: &str, spec: &Value) -> Result<DynamicObject, kube::Error> {
    let kind = ApiResource::erase::<SseSubscription>(&());
    let object = DynamicObject::new(name, &kind).data(json!({ "spec": spec }));
    let api = Api::<DynamicObject>::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
    api.create(&PostParams::default(), &object).await
}

#[tokio::test]
async fn defaults_are_filled_in() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let hmac = json!({ "hmac": { "secretKeyRef": { "name": "key", "key": "key" } } });
    let changes = [
        ("/sinks/0/http/authentication", hmac),
        ("/transcoding", transcoding("shop", "shop.v1.Order")),
    ];
    let stored = create(&namespace, "pushes", &spec(&changes)?).await?.data["spec"].clone();
    for (pointer, expected) in [
        ("/source/method", json!("GET")),
        ("/source/connectTimeout", json!("30s")),
        ("/source/reconnect", json!({ "initial": "1s", "max": "60s" })),
        ("/source/maxEventBytes", json!(1_048_576)),
        ("/sinks/0/http/mode", json!("Binary")),
        (
            "/sinks/0/http/authentication/hmac/header",
            json!("X-Heddle-Signature-256"),
        ),
        ("/delivery/ordered", json!(true)),
        ("/delivery/batch", json!({ "maxEvents": 1 })),
        ("/delivery/inFlight", json!(1)),
        ("/transcoding/unknownFields", json!("Ignore")),
        ("/delivery/retries", json!(8)),
        ("/delivery/timeout", json!("30s")),
        ("/suspend", json!(false)),
    ] {
        let found = stored.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{pointer} in {stored}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_a_sentence_that_helps() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let log = |name: &str| json!({ "name": name, "log": {} });
    let both = json!({ "bearer": { "secretKeyRef": { "name": "a", "key": "b" } }, "basic": { "secretRef": { "name": "a" } } });
    let cases = [
        (
            "/source/url",
            json!("ftp://forge.example"),
            "source.url: an https:// or http:// URL",
        ),
        (
            "/source/url",
            json!("https://user:secret@forge.example"),
            "without credentials",
        ),
        ("/source/body", json!("x"), "a request with a body is a POST"),
        (
            "/source/readTimeout",
            json!("10ms"),
            "source.readTimeout: between 1s and 24h",
        ),
        (
            "/source/reconnect",
            json!({ "initial": "2m" }),
            "initial: no longer than max",
        ),
        ("/source/lastEventId", json!("a\nb"), "lastEventId"),
        ("/filter", json!({}), "name eventTypes, cel or both"),
        ("/sinks", json!([]), "sinks"),
        ("/sinks", json!([log("a"), log("a")]), "Duplicate value"),
        (
            "/sinks/0",
            json!({ "name": "none" }),
            "exactly one of http, idlRepo, wsRoute and log",
        ),
        (
            "/sinks/0/http/authentication",
            both,
            "exactly one of bearer, basic and hmac",
        ),
        ("/sinks/0/http/tls", json!({}), "http.tls: only for https:// URLs"),
        (
            "/delivery",
            json!({ "inFlight": 4 }),
            "an ordered delivery has one batch in flight",
        ),
        (
            "/delivery",
            json!({ "deadLetter": {} }),
            "exactly one of http and log",
        ),
        (
            "/delivery",
            json!({ "batch": { "maxDelay": "2m" } }),
            "at most 1m",
        ),
        (
            "/transcoding",
            transcoding("shop", "not a name"),
            "transcoding.message",
        ),
        (
            "/transcoding",
            transcoding("other/shop", "shop.v1.Order"),
            "transcoding.idlRepoRef.name",
        ),
    ];
    for (index, (pointer, value, expected)) in cases.into_iter().enumerate() {
        let spec = spec(&[(pointer, value)])?;
        match create(&namespace, &format!("refused-{index}"), &spec).await {
            Ok(_) => bail!("it was admitted: {spec}"),
            Err(kube::Error::Api(status)) if status.code == 422 => {
                assert!(status.message.contains(expected), "{pointer}: {}", status.message);
            }
            Err(error) => bail!("neither admitted nor refused: {error}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn transcoding_wants_somebody_to_transcode_for() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let log = json!({ "name": "log", "log": {} });
    let spec = spec(&[
        ("/sinks/0", log),
        ("/transcoding", transcoding("shop", "shop.v1.Order")),
    ])?;
    let refused = create(&namespace, "log", &spec).await;
    let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("only http sinks get the data"), "{text}");
    Ok(())
}

#[tokio::test]
async fn the_examples_are_admitted() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    for (name, expected, text) in [
        ("plain", 2, include_str!("../../examples/ssesubscription.yaml")),
        (
            "audit",
            1,
            include_str!("../../examples/audit/ssesubscription.yaml"),
        ),
        (
            "demo",
            1,
            include_str!("../../examples/demo/ssesubscription.yaml"),
        ),
    ] {
        let mut found = 0;
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            let object: Value = serde::Deserialize::deserialize(document)?;
            if object["kind"] == "SseSubscription" {
                create(&namespace, &format!("{name}-{found}"), &object["spec"]).await?;
                found += 1;
            }
        }
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}
