//! The chart on a real API server: what it renders is accepted, what cannot work is refused, definitions are upgraded.

use anyhow::{Context, Result, ensure};
use heddle_e2e::{Environment, Scenario};
use serde_json::json;
use std::process::Command;

fn helm(environment: &Environment, verb: &str, more: &[&str]) -> Result<std::process::Output> {
    Command::new(&environment.helm)
        .args([verb, &environment.release])
        .arg(environment.root.join("charts/heddle"))
        .args(["--namespace", &environment.namespace])
        .args(more)
        .output()
        .context("failed to start helm")
}

#[test]
fn every_shape_of_the_chart_is_accepted_by_the_api_server() -> Result<()> {
    let environment = Environment::read()?;
    let shapes: [&[&str]; 4] = [
        &[],
        &["--set=replicas=3,otlp.endpoint=http://collector:4317,otlp.samplerArg=0.5,priorityClassName=high"],
        &[
            "--set=watchNamespaces={default,kube-system},network.deniedCidrs={10.0.0.0/8},rbac.aggregate=false",
        ],
        &[
            "--set=serviceAccount.create=false,networkPolicy.enabled=false,imagePullSecrets={a},codegen.imagePullSecrets={a,b}",
        ],
    ];
    for shape in shapes {
        let mut arguments = vec!["--kube-version=1.34.4"];
        arguments.extend(shape);
        let rendered = helm(&environment, "template", &arguments)?;
        ensure!(
            rendered.status.success(),
            "{shape:?}: {}",
            String::from_utf8_lossy(&rendered.stderr)
        );
        let manifests = String::from_utf8(rendered.stdout).context("failed to read what helm rendered")?;
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--filename",
            "-",
        ];
        environment
            .kubectl()?
            .run_with_input(&apply, &manifests)
            .with_context(|| format!("{shape:?}"))?;
    }
    Ok(())
}

#[test]
fn a_value_that_does_not_exist_is_refused_by_its_name() -> Result<()> {
    let environment = Environment::read()?;
    for (value, word) in [
        ("imag.tag=1", "imag"),
        ("replicas=many", "replicas"),
        ("otlp.protocol=udp", "protocol"),
    ] {
        let refused = helm(
            &environment,
            "template",
            &["--kube-version=1.34.4", &format!("--set={value}")],
        )?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(
            !refused.status.success() && said.contains(word),
            "{value}: {said}"
        );
    }
    Ok(())
}

#[test]
fn an_upgrade_of_the_chart_upgrades_the_definitions() -> Result<()> {
    let environment = Environment::read()?;
    let kubectl = environment.kubectl()?;
    let value = "--set-string=crds.annotations.heddle\\.dev/upgraded=yes";
    let upgraded = helm(
        &environment,
        "upgrade",
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
    let mut unread = vec!["idlrepo".to_owned(), "wsroute".to_owned()];
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
        "Where the sidecar takes connections.",
        "The port of the pod, from 1024.",
        "Its whole value.",
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
