//! Traces as Jaeger has them, a receiver that others wrote: what a short-lived run leaves there by either transport, and
//! one trace from the operator through the Job.

mod jaeger;
mod job;

use anyhow::{Context, Result};
use heddle_tests::operator::{Operator, OperatorOptions};
use heddle_tests::world::{Programs, World};
use jaeger::{Jaeger, Span};
use job::{Caller, Job};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The spans of a run that delivers: what happens in which order, and within what.
const STEPS: [(&str, &str); 6] = [
    ("codegen", ""),
    ("fetch", "codegen"),
    ("compile", "codegen"),
    ("plugin", "codegen"),
    ("plugin", "codegen"),
    ("deliver", "codegen"),
];

#[tokio::test]
async fn a_run_leaves_all_of_its_spans_by_grpc() -> Result<()> {
    expect_whole_trace("grpc").await
}

#[tokio::test]
async fn a_run_leaves_all_of_its_spans_by_http() -> Result<()> {
    expect_whole_trace("http/protobuf").await
}

async fn expect_whole_trace(protocol: &str) -> Result<()> {
    let jaeger = Jaeger::shared().await?;
    let job = Job::create(&["prost", "tonic"]).await?;
    let caller = Caller::new();

    let ended = job.run(&caller, &jaeger.variables(protocol)).await?;
    assert_eq!(ended.code, Some(0), "{}", ended.log);

    let trace = jaeger.trace(&caller.trace_id, STEPS.len()).await?;
    assert_eq!(
        tree(&trace, &caller),
        STEPS.map(|(name, parent)| (name.to_owned(), parent.to_owned()))
    );
    for span in &trace {
        assert_eq!(span.service, "heddle-codegen", "{span:#?}");
        assert_eq!(span.tag("otel.status_code"), None, "{span:#?}");
    }
    let mut generators: Vec<_> = named(&trace, "plugin")
        .filter_map(|span| span.tag("generator"))
        .collect();
    generators.sort();
    assert_eq!(generators, ["prost", "tonic"]);
    let commit = named(&trace, "fetch")
        .find_map(|span| span.tag("commit"))
        .context("a fetch without a commit")?;
    assert_eq!(commit, job.source_commit);
    Ok(())
}

#[tokio::test]
async fn a_run_that_fails_marks_its_span_and_says_why() -> Result<()> {
    let jaeger = Jaeger::shared().await?;
    let job = Job::create(&["prost", "broken"]).await?;
    job.add_plugin(
        "broken",
        "#!/bin/sh\necho \"called by $TRACEPARENT\" >&2\nexit 3\n",
    )?;
    let caller = Caller::new();

    let ended = job.run(&caller, &jaeger.variables("grpc")).await?;
    assert_eq!(
        ended.code,
        Some(heddle_crds::codegen::EXIT_FAILED),
        "{}",
        ended.log
    );

    let trace = jaeger.trace(&caller.trace_id, 5).await?;
    let names: Vec<_> = trace.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["codegen", "fetch", "compile", "plugin", "plugin"]);
    let root = &trace[0];
    assert_eq!(
        root.tag("otel.status_code").as_deref(),
        Some("ERROR"),
        "{root:#?}"
    );
    assert_eq!(root.tag("error").as_deref(), Some("true"), "{root:#?}");
    let exception = root.event("exception").context("no event of an exception")?;
    let plugin = trace.last().context("no spans")?;
    assert_eq!(plugin.tag("generator").as_deref(), Some("broken"));
    // The plugin itself was told to go on with the span that it is run in.
    let words = format!("exit code 3: called by 00-{}-{}-01", caller.trace_id, plugin.id);
    assert!(
        exception["exception.message"].contains(&words),
        "expected {words:?} in {exception:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_run_by_hand_that_fails_says_why_in_its_trace_and_once_on_the_screen() -> Result<()> {
    let jaeger = Jaeger::shared().await?;
    let job = Job::create(&["prost", "broken"]).await?;
    job.add_plugin("broken", "#!/bin/sh\necho 'out of thread' >&2\nexit 3\n")?;
    let caller = Caller::new();

    let ended = job
        .run_by_hand(&caller, &jaeger.variables("http/protobuf"))
        .await?;
    assert_eq!(ended.log.matches("out of thread").count(), 1, "{}", ended.log);

    let trace = jaeger.trace(&caller.trace_id, 5).await?;
    let exception = trace[0].event("exception").context("no event of an exception")?;
    assert!(
        exception["exception.message"].contains("exit code 3: out of thread"),
        "{exception:#?}"
    );
    assert_eq!(exception["reason"], "PluginFailed");
    Ok(())
}

#[tokio::test]
async fn operator_and_job_are_one_trace() -> Result<()> {
    let jaeger = Jaeger::shared().await?;
    let programs = Programs {
        operator: env!("CARGO_BIN_EXE_heddle-operator-under-test").into(),
        codegen: env!("CARGO_BIN_EXE_heddle-codegen-under-test").into(),
    };
    let world = World::create(&programs).await?;
    let folder = TempDir::new()?;
    let options = OperatorOptions {
        program: with_variables(folder.path(), &programs.operator, &jaeger.variables("grpc"))?,
        kubeconfig: world.server.kubeconfig(),
        namespace: world.namespace.name.clone(),
        replica: "operator-0".into(),
        arguments: Vec::new(),
    };
    let mut operator = Operator::start(folder.path(), &options)?;
    operator.wait_until_ready().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let run = world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let trace_id = run.trace_id.context("a run without a trace")?;
    operator.terminate()?;
    operator.wait().await?;

    let expected = [
        ("heddle-operator", "idl_repo.change"),
        ("heddle-codegen", "codegen"),
        ("heddle-codegen", "fetch"),
        ("heddle-codegen", "compile"),
        ("heddle-codegen", "plugin"),
        ("heddle-codegen", "deliver"),
        ("heddle-codegen", "publish"),
        ("heddle-operator", "idl_repo.run"),
    ];
    let trace = jaeger.trace(&trace_id, expected.len()).await?;
    let found: Vec<_> = trace
        .iter()
        .map(|span| (span.service.as_str(), span.name.as_str()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(trace[0].parent, None);
    assert_eq!(trace[1].parent.as_ref(), Some(&trace[0].id));
    Ok(())
}

/// A program that starts `program` with these variables.
fn with_variables(folder: &Path, program: &Path, variables: &[(String, String)]) -> Result<PathBuf> {
    let exports: String = variables
        .iter()
        .map(|(name, value)| format!("export {name}='{value}'\n"))
        .collect();
    let path = folder.join("with-variables");
    fs::write(
        &path,
        format!("#!/bin/sh\n{exports}exec '{}' \"$@\"\n", program.display()),
    )?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Every span's name and its parent's, in the order of their starts. The caller has no name here.
fn tree(trace: &[Span], caller: &Caller) -> Vec<(String, String)> {
    let name = |id: &str| match trace.iter().find(|span| span.id == id) {
        Some(span) => span.name.clone(),
        None if id == caller.span_id => String::new(),
        None => format!("missing span {id}"),
    };
    trace
        .iter()
        .map(|span| {
            (
                span.name.clone(),
                span.parent.as_deref().map_or_else(|| "none".into(), name),
            )
        })
        .collect()
}

fn named<'a>(trace: &'a [Span], name: &'a str) -> impl Iterator<Item = &'a Span> {
    trace.iter().filter(move |span| span.name == name)
}
