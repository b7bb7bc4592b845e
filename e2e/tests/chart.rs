//! The chart in a whole cluster: definitions are upgraded and explained, and what cannot work is refused.

use anyhow::{Context, Result, ensure};
use heddle_e2e::{Environment, Scenario};
use serde_json::json;
use std::process::Command;

fn upgrade(environment: &Environment, more: &[&str]) -> Result<std::process::Output> {
    Command::new(&environment.helm)
        .args(["upgrade", &environment.release])
        .arg(environment.root.join("charts/heddle"))
        .args(["--namespace", &environment.namespace])
        .args(more)
        .output()
        .context("failed to start helm")
}

#[test]
fn an_upgrade_of_the_chart_upgrades_the_definitions() -> Result<()> {
    let environment = Environment::read()?;
    let kubectl = environment.kubectl()?;
    let value = "--set-string=crds.annotations.heddle\\.dev/upgraded=yes";
    let upgraded = upgrade(
        &environment,
        &["--reuse-values", value, "--wait", "--timeout=90s"],
    )?;
    ensure!(
        upgraded.status.success(),
        "{}",
        String::from_utf8_lossy(&upgraded.stderr)
    );
    let definition = kubectl.get(&["customresourcedefinition", "idlrepos.heddle.dev"])?;
    let annotations = &definition["metadata"]["annotations"];
    ensure!(
        annotations["heddle.dev/upgraded"] == "yes",
        "not upgraded: {annotations}"
    );
    ensure!(
        annotations["helm.sh/resource-policy"] == "keep",
        "not kept: {annotations}"
    );
    Ok(())
}

#[test]
fn kubectl_explain_has_documentation_for_each_field() -> Result<()> {
    let kubectl = Environment::read()?.kubectl()?;
    let mut unread = ["idlrepo", "wsroute", "ssesubscription"]
        .map(str::to_owned)
        .to_vec();
    let mut read = String::new();
    while let Some(object) = unread.pop() {
        let text = kubectl.run(&["explain", &object])?;
        ensure!(!text.contains("<no description>"), "of {object}:\n{text}");
        if object.contains('.') {
            read.push_str(&text);
        }
        unread.extend(inner_objects(&text).map(|field| format!("{object}.{field}")));
    }
    for words in [
        // Of an IdlRepo.
        "The address of the repository",
        "The remote's default branch, if absent",
        "<string> -required-",
        // Of a WsRoute, deeper and deeper.
        "Where the sidecar takes connections: ",
        "The port of the pod, from 1024 to 65535.",
        "Its whole value, compared byte by byte.",
        // Of an SseSubscription.
        "Where events go: each to all of these.",
    ] {
        ensure!(read.contains(words), "{words:?} is missing:\n{read}");
    }
    Ok(())
}

/// The fields that have fields. `metadata` is Kubernetes' own.
fn inner_objects(explained: &str) -> impl Iterator<Item = &str> {
    let fields = explained.lines().filter_map(|line| line.trim().split_once('\t'));
    let objects = fields.filter(|(name, type_)| type_.contains("Object") && *name != "metadata");
    objects.map(|(name, _)| name)
}

#[test]
fn what_cannot_work_is_refused_at_admission_with_a_sentence_that_helps() -> Result<()> {
    let scenario = Scenario::new("admission")?;
    let cases = [
        (
            "/spec/source/url",
            json!("git@git.example:idl.git"),
            "write git@host:path as ssh://git@host/path",
        ),
        (
            "/spec/source/url",
            json!("http://git.example/idl.git"),
            "must start with https:// or ssh://",
        ),
        (
            "/spec/source/url",
            json!("https://me:secret@git.example/idl.git"),
            "put credentials into the Secret",
        ),
        (
            "/spec/output/url",
            json!("file:///srv/git"),
            "must start with https:// or ssh://",
        ),
        (
            "/spec/source/ref",
            json!({ "branch": "main", "tag": "v1" }),
            "set exactly one of",
        ),
        ("/spec/interval", json!("1s"), "between 10s and 24h"),
        ("/spec/timeout", json!("a while"), "should match"),
        (
            "/spec/output/path",
            json!("../elsewhere"),
            "without '..' or '.git'",
        ),
        ("/spec/generate", json!([]), "at least 1 items"),
        (
            "/spec/generate/0/plugin",
            json!("../../bin/sh"),
            "the name without 'protoc-gen-'",
        ),
        ("/spec/generate/1/name", json!("rust"), "duplicate entries"),
        (
            "/spec/source/surprise",
            json!(true),
            "field not declared in schema",
        ),
    ];
    for (pointer, value, sentence) in cases {
        let (parent, key) = pointer.rsplit_once('/').context("not a pointer")?;
        let applied = scenario.apply(|object| {
            let parent = object.pointer_mut(parent).expect("the path exists");
            match key.parse::<usize>() {
                Ok(index) => parent[index] = value.clone(),
                Err(_) => parent[key] = value.clone(),
            }
        });
        let said = applied
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        ensure!(
            said.contains(sentence),
            "{pointer} = {value}: expected {sentence:?}, got {said:?}"
        );
    }
    Ok(())
}
