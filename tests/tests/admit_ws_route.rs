//! What a real API server admits as a WsRoute, and with which sentence it refuses the rest.

use anyhow::{Context, Result, bail};
use heddle_crds::WsRoute;
use heddle_route_config::Route;
use heddle_tests::api_server::ApiServer;
use heddle_tests::namespace::TestNamespace;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};

fn spec(changes: &[(&str, Value)]) -> Result<Value> {
    let mut spec = json!({
        "selector": { "matchLabels": { "app": "chat" } },
        "backends": [{ "name": "app", "port": 8080 }],
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

async fn create(namespace: &TestNamespace, name: &str, spec: &Value) -> Result<DynamicObject, kube::Error> {
    let kind = ApiResource::erase::<WsRoute>(&());
    let object = DynamicObject::new(name, &kind).data(json!({ "spec": spec }));
    let api = Api::<DynamicObject>::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
    api.create(&PostParams::default(), &object).await
}

async fn refusal(namespace: &TestNamespace, name: &str, spec: &Value) -> Result<String> {
    match create(namespace, name, spec).await {
        Ok(_) => bail!("it was admitted: {spec}"),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(status.message),
        Err(error) => bail!("neither admitted nor refused: {error}"),
    }
}

#[tokio::test]
async fn defaults_are_filled_in() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let tls = json!({ "secretRef": { "name": "chat-tls" } });
    let changes = [
        ("/listener", json!({ "tls": tls })),
        ("/keepalive", json!({})),
        ("/passiveHealth", json!({})),
        ("/lifetime", json!({ "maxAge": "4h" })),
        ("/matches", json!([{}])),
    ];
    let stored = create(&namespace, "chat", &spec(&changes)?).await?.data["spec"].clone();
    for (pointer, expected) in [
        ("/listener/port", json!(9080)),
        ("/backends/0/weight", json!(1)),
        ("/backends/0/protocol", json!("HTTP/1.1")),
        ("/matches/0/path", json!({ "type": "PathPrefix", "value": "/" })),
        ("/retries", json!(1)),
        ("/timeouts/connect", json!("5s")),
        ("/timeouts/handshake", json!("10s")),
        ("/timeouts/drain", json!("20s")),
        ("/timeouts/idle", Value::Null),
        ("/keepalive/interval", json!("30s")),
        ("/passiveHealth/consecutiveFailures", json!(5)),
        ("/lifetime/jitterPercent", json!(20)),
        ("/suspend", json!(false)),
    ] {
        let found = stored.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{pointer} in {stored}");
    }
    Ok(())
}

#[tokio::test]
async fn what_works_is_admitted() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let backends: Vec<_> = (0..16)
        .map(|number| json!({ "name": format!("b{number}"), "host": "10.0.0.1", "port": 80, "weight": number }))
        .collect();
    let matches: Vec<_> = (0..16)
        .map(|number| json!({ "path": { "type": "Exact", "value": format!("/{number}") } }))
        .collect();
    let transcoding = json!({
        "idlRepoRef": { "name": "shop" },
        "clientMessage": "chat.v1.ClientMessage",
        "backendMessage": "chat.v1.ServerMessage",
    });
    let expression = json!({ "key": "app", "operator": "In", "values": ["chat", "talk"] });
    for (number, (pointer, value)) in [
        ("/selector", json!({ "matchExpressions": [expression] })),
        ("/hostnames", json!(["chat.example.com", "*.example.com"])),
        ("/matches", json!(matches)),
        ("/allowedOrigins", json!(["https://*.example.com", "null"])),
        ("/backends", json!(backends)),
        ("/backends/0/host", json!("::1")),
        (
            "/limits",
            json!({ "messageRate": { "perSecond": 1, "onExceed": "Close" }, "maxMessageBytes": 1 }),
        ),
        (
            "/forwarding",
            json!({ "headers": "Both", "trustedProxies": ["10.0.0.0/8"] }),
        ),
        ("/transcoding", transcoding),
    ]
    .into_iter()
    .enumerate()
    {
        create(&namespace, &format!("chat-{number}"), &spec(&[(pointer, value)])?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_a_sentence_that_helps() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let backend = |name: &str| json!({ "name": name, "port": 80 });
    let path = |value: &str| json!([{ "path": { "value": value } }]);
    for (pointer, value, words) in [
        ("/selector", json!({}), "name at least one label"),
        (
            "/selector",
            json!({ "matchLabels": {} }),
            "name at least one label",
        ),
        ("/listener", json!({ "port": 80 }), "spec.listener.port"),
        ("/hostnames", json!(["Chat.example.com:80"]), "spec.hostnames"),
        ("/matches", path("chat"), "an absolute path"),
        ("/matches", path("/chat?room=1"), "without query and fragment"),
        ("/allowedOrigins", json!(["example.com"]), "spec.allowedOrigins"),
        ("/backends", json!([]), "should have at least 1 items"),
        (
            "/backends",
            json!([backend("a"), backend("a")]),
            "Duplicate value",
        ),
        ("/backends/0", backend("A"), "lower-case letters, digits and '-'"),
        (
            "/backends/0/weight",
            json!(0),
            "at least one needs a weight above 0",
        ),
        ("/backends/0/port", json!(0), "spec.backends[0].port"),
        (
            "/backends/0/protocol",
            json!("HTTP/3"),
            "spec.backends[0].protocol",
        ),
        (
            "/passiveHealth",
            json!({ "ejectionTime": "2h" }),
            "between 1s and 1h",
        ),
        ("/timeouts", json!({ "connect": "1ms" }), "between 10ms and 5m"),
        ("/timeouts", json!({ "idle": "500ms" }), "between 1s and 168h"),
        ("/timeouts", json!({ "drain": "2h" }), "at most 1h"),
        ("/lifetime", json!({ "maxAge": "soon" }), "spec.lifetime.maxAge"),
        (
            "/keepalive",
            json!({ "interval": "1ms" }),
            "between 100ms and 24h",
        ),
        (
            "/limits",
            json!({ "maxMessageBytes": 0 }),
            "spec.limits.maxMessageBytes",
        ),
        ("/retries", json!(16), "spec.retries"),
        (
            "/transcoding",
            json!({ "idlRepoRef": { "name": "shop" }, "clientMessage": "chat..Message", "backendMessage": "B" }),
            "spec.transcoding.clientMessage",
        ),
    ] {
        let message = refusal(&namespace, "chat", &spec(&[(pointer, value)])?).await?;
        assert!(message.contains(words), "{words:?} in {message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_too_long_is_refused() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    create(&namespace, &"a".repeat(200), &spec(&[])?).await?;
    let message = refusal(&namespace, &"a".repeat(201), &spec(&[])?).await?;
    assert!(message.contains("at most 200 characters"), "{message}");
    Ok(())
}

#[tokio::test]
async fn paths_are_admitted_by_what_sidecars_make_of_them() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let paths = [
        "/",
        "/chat",
        "/chat/",
        "/chat/room",
        "/...",
        "/.well-known/a",
        "/a..b/c.",
        "/%63h%61t",
        "/%2eab",
        "/a%20b%c3%a9",
        "/%252f",
        "/a%0a",
        "/a%3Bb",
        "/caf\u{e9}",
        "",
        "chat",
        "/chat?room",
        "/chat#room",
        "//chat",
        "/chat//",
        "/a//b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5Cb",
        "/a%5cb",
        "/a\\b",
        "/chat;v=1/room",
        "/%",
        "/%4",
        "/%zz",
        "/a%00",
        "/..",
        "/.",
        "/./",
        "/a/./b",
        "/a/..",
        "/a/%2e%2E/b",
        "/a/.%2e",
        "/a/..%2fb",
        "/a/..;x=y/b",
    ];
    let mut admitted = 0;
    for (number, path) in paths.into_iter().enumerate() {
        let name = format!("chat-{number}");
        let matches = json!([{ "path": { "type": "Exact", "value": path } }]);
        let spec = spec(&[("/matches", matches)])?;
        let works = Route::parse(&serde_json::from_value(json!({
            "apiVersion": "heddle.dev/v1alpha1", "kind": "WsRoute", "metadata": { "name": name }, "spec": spec,
        }))?);
        match (create(&namespace, &name, &spec).await, works) {
            (Ok(_), Ok(_)) => admitted += 1,
            (Err(kube::Error::Api(status)), Err(_)) if status.code == 422 => {}
            (answer, works) => bail!("{path}: {answer:?}, and sidecars make of it {works:?}"),
        }
    }
    assert_eq!(admitted, 14);
    Ok(())
}
