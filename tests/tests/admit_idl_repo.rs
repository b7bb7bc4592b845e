//! What a real API server admits as an IdlRepo, and with which sentence it refuses the rest.

use anyhow::{Result, bail};
use heddle_tests::api_server::ApiServer;
use heddle_tests::namespace::TestNamespace;
use serde_json::{Value, json};

fn spec(changes: &[(&str, Value)]) -> Value {
    let mut spec = json!({
        "source": { "url": "https://git.example/idl.git" },
        "generate": [{ "name": "rust", "plugin": "prost" }],
        "output": { "url": "ssh://git@git.example:2222/generated.git", "secretRef": { "name": "push" } },
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = spec.pointer_mut(parent) {
            parent[key] = value.clone();
        }
    }
    spec
}

async fn refusal(namespace: &TestNamespace, name: &str, spec: &Value) -> Result<String> {
    // Created, as server-side apply compares before it validates.
    match namespace.create_idl_repo(name, spec).await {
        Ok(_) => bail!("it was admitted: {spec}"),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(status.message),
        Err(error) => bail!("neither admitted nor refused: {error}"),
    }
}

#[tokio::test]
async fn defaults_are_filled_in() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    namespace.apply("shop", &spec(&[])).await?;
    let stored = namespace.untyped().get("shop").await?.data["spec"].clone();
    for (pointer, expected) in [
        ("/interval", json!("300s")),
        ("/timeout", json!("600s")),
        ("/suspend", json!(false)),
        ("/output/branch", json!("main")),
        (
            "/output/author",
            json!({ "name": "Heddle", "email": "heddle@heddle.dev" }),
        ),
    ] {
        assert_eq!(stored.pointer(pointer), Some(&expected), "{pointer} in {stored}");
    }
    Ok(())
}

#[tokio::test]
async fn what_works_is_admitted() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let generators: Vec<_> = (0..32)
        .map(|number| json!({ "name": format!("g{number}"), "plugin": "prost" }))
        .collect();
    for (number, (pointer, value)) in [
        ("/source/url", json!("ssh://git@git.example/team/idl.git")),
        ("/source/ref", json!({ "semver": ">=1.2, <2" })),
        ("/source/ref", json!({ "commit": "0123456789abcdef0123456789abcdef01234567" })),
        ("/source/importRoots", json!(vec!["third_party"; 32])),
        ("/interval", json!("1h30m")),
        ("/generate", json!(generators)),
        ("/output/path", json!("gen/v1..v2")),
        ("/job", json!({ "resources": { "limits": { "memory": "1Gi", "cpu": 2 } }, "tolerations": [{ "operator": "Exists" }] })),
    ]
    .into_iter()
    .enumerate()
    {
        namespace.apply(&format!("shop-{number}"), &spec(&[(pointer, value)])).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_a_sentence_that_helps() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let generator = |name: &str| json!({ "name": name, "plugin": "prost" });
    for (pointer, value, words) in [
        (
            "/source/url",
            json!("git@git.example:idl.git"),
            "write git@host:path as ssh://git@host/path",
        ),
        (
            "/source/url",
            json!("http://git.example/idl.git"),
            "https:// or ssh://",
        ),
        (
            "/source/url",
            json!("https://user:secret@git.example/idl.git"),
            "put credentials into the Secret",
        ),
        ("/output/url", json!("file:///srv/git/idl"), "https:// or ssh://"),
        (
            "/source/ref",
            json!({}),
            "exactly one of branch, tag, semver and commit",
        ),
        (
            "/source/ref",
            json!({ "branch": "a", "tag": "b" }),
            "exactly one of branch, tag, semver and commit",
        ),
        (
            "/source/ref",
            json!({ "commit": "ABC" }),
            "spec.source.ref.commit",
        ),
        ("/source/importRoots", json!(["../other"]), "without '..'"),
        ("/interval", json!("1s"), "between 10s and 24h"),
        ("/interval", json!("soon"), "spec.interval"),
        ("/timeout", json!("7h"), "between 10s and 6h"),
        ("/generate", json!([]), "should have at least 1 items"),
        (
            "/generate",
            json!([generator("a"), generator("a")]),
            "Duplicate value",
        ),
        (
            "/generate",
            json!([generator("A")]),
            "lower-case letters, digits and '-'",
        ),
        (
            "/generate/0/plugin",
            json!("../../bin/sh"),
            "the name without 'protoc-gen-'",
        ),
        ("/generate/0/path", json!("/etc"), "a path inside the repository"),
        (
            "/output/author",
            json!({ "name": "a <b>", "email": "a@b" }),
            "spec.output.author.name",
        ),
        (
            "/output/secretRef",
            json!({ "name": "" }),
            "spec.output.secretRef.name",
        ),
    ] {
        let message = refusal(&namespace, "shop", &spec(&[(pointer, value)])).await?;
        assert!(message.contains(words), "{words:?} in {message}");
    }
    Ok(())
}

#[tokio::test]
async fn fields_that_do_not_exist_are_refused_where_strictness_is_asked_for() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    let message = match namespace
        .apply("shop", &spec(&[("/source/brnach", json!("main"))]))
        .await
    {
        Ok(_) => bail!("it was admitted"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("brnach"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_name_too_long_for_its_jobs_is_refused() -> Result<()> {
    let namespace = TestNamespace::create(ApiServer::shared().await?).await?;
    namespace.apply(&"a".repeat(200), &spec(&[])).await?;
    let message = refusal(&namespace, &"a".repeat(201), &spec(&[])).await?;
    assert!(message.contains("at most 200 characters"), "{message}");
    Ok(())
}
