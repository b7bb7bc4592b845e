//! The main job, told in order: IDL is pushed, code arrives, a second push follows, a third one that breaks others is
//! refused and then let through, and one trace id runs through.

use super::stream;
use crate::system::{Kubectl, System};
use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::{Progress, human};
use heddle_git_server::WorkCopy;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where the demo's IdlRepo lives.
pub(super) const NAMESPACE: &str = "heddle-demo";
const NAME: &str = "bookshop";
/// How long a delivery may take before the demo gives up and shows what is wrong.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(180);
/// How many log lines of the trace are shown for each component.
const SHOWN_LINES: usize = 6;

/// Tells it, and prints the summary.
pub(super) fn tell(root: &Path, system: &System) -> Result<()> {
    let progress = Progress::new();
    let kubectl = system.kubectl();
    clear(system)?;
    let forward = system.git.forward(&kubectl)?;

    let source = system.git.clone(&forward, "idl")?;
    let pushed = push_idl(root, &source, &progress)?;
    let started = Instant::now();
    apply(root, system)?;
    let first = await_delivery(&kubectl, &pushed, started, &progress)?;
    let output = system.git.clone(&forward, "generated")?;
    show(&first, &source, &output)?;
    show_trace(&kubectl, &first, &output)?;

    stream::subscribe(root, &kubectl, &progress)?;
    let started = Instant::now();
    let added = add_a_message(&source, &progress)?;
    let second = await_delivery(&kubectl, &added, started, &progress)?;
    output.git(&["pull", "--quiet"])?;
    println!("\nThe Git server told of a second push, and nobody waited for the interval of 10 minutes:");
    show(&second, &source, &output)?;
    stream::show(&kubectl, &added, second.status("/lastRun/traceId"))?;
    tell_of_the_gate(&kubectl, &source, &output, &progress)
}

/// A commit that breaks others is refused, and delivered when somebody lets it through.
fn tell_of_the_gate(
    kubectl: &Kubectl,
    source: &WorkCopy,
    output: &WorkCopy,
    progress: &Progress,
) -> Result<()> {
    let breaking = break_a_message(source, progress)?;
    let refusal = await_refusal(kubectl, progress)?;
    println!("\nA third push is refused, and the generated code stays as it is:");
    println!("\n  idlrepo/{NAME}");
    print_condition(&refusal, "Ready");
    print_condition(&refusal, "Compatible");

    let accept = format!("heddle.dev/accept-breaking={breaking}");
    println!("\n  kubectl annotate --namespace {NAMESPACE} idlrepo/{NAME} {accept}");
    let started = Instant::now();
    annotate(kubectl, &accept)?;
    let delivery = await_delivery(kubectl, &breaking, started, progress)?;
    output.git(&["pull", "--quiet"])?;
    println!("\nSomebody let it through, and that is on record:\n");
    print_condition(&delivery.object, "Compatible");
    print_condition(&delivery.object, "Published");
    let trailer = ["log", "-1", "--format=%(trailers:key=Heddle-Breaking-Changes)"];
    println!("    {}", output.git(&trailer)?.trim());
    Ok(())
}

fn annotate(kubectl: &Kubectl, annotation: &str) -> Result<()> {
    let object = format!("idlrepo/{NAME}");
    let arguments = ["annotate", "--namespace", NAMESPACE, &object, annotation];
    kubectl.output(&arguments).map(drop)
}

fn await_refusal(kubectl: &Kubectl, progress: &Progress) -> Result<Value> {
    let step = progress.step("Waiting for the refusal");
    let object = format!("idlrepo/{NAME}");
    let refused = "--for=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=BreakingChanges";
    let timeout = format!("--timeout={}s", DELIVERY_DEADLINE.as_secs());
    kubectl.output(&["wait", "--namespace", NAMESPACE, &object, refused, &timeout])?;
    step.done("The commit was refused");
    read(kubectl)
}

/// Yesterday's demo would make today's first run a second one.
fn clear(system: &System) -> Result<()> {
    let kubectl = system.kubectl();
    kubectl
        .output(&[
            "delete",
            "namespace",
            NAMESPACE,
            "--ignore-not-found",
            "--wait",
            "--timeout=90s",
        ])
        .map(drop)
}

fn push_idl(root: &Path, source: &WorkCopy, progress: &Progress) -> Result<String> {
    let step = progress.step("Pushing the IDL of examples/idl");
    copy(&root.join("examples/idl"), source.directory())?;
    let commit = source.commit("Describe the bookshop's catalogue and orders")?;
    source.push("main")?;
    step.done("Pushed the IDL of examples/idl");
    Ok(commit)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn apply(root: &Path, system: &System) -> Result<()> {
    let kubectl = system.kubectl();
    kubectl.apply(&system.git.credentials(NAMESPACE)?)?;
    let manifest = root.join("examples/demo/idlrepo.yaml");
    let path = manifest.display().to_string();
    kubectl.output(&["apply", "--namespace", NAMESPACE, "--filename", &path])?;
    println!("  kubectl apply --filename examples/demo/idlrepo.yaml");
    Ok(())
}

/// One delivery as the status tells it.
struct Delivery {
    object: Value,
    took: Duration,
}

impl Delivery {
    fn status(&self, pointer: &str) -> &str {
        self.object["status"]
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("-")
    }
}

/// Waits until the status says that `commit` is delivered.
fn await_delivery(
    kubectl: &Kubectl,
    commit: &str,
    started: Instant,
    progress: &Progress,
) -> Result<Delivery> {
    let step = progress.step("Waiting for the generated commit");
    let object = format!("idlrepo/{NAME}");
    let revision = format!("--for=jsonpath={{.status.generatedRevision}}={commit}");
    let timeout = format!("--timeout={}s", DELIVERY_DEADLINE.as_secs());
    let wait =
        |condition: &str| kubectl.output(&["wait", "--namespace", NAMESPACE, &object, condition, &timeout]);
    if let Err(error) = wait(&revision).and_then(|_| wait("--for=condition=Ready")) {
        let ready = condition(&read(kubectl)?, "Ready").clone();
        bail!(
            "no generated commit ({error:#}): {} {}\n  look at: kubectl -n {NAMESPACE} describe idlrepo {NAME}",
            ready["reason"],
            ready["message"]
        );
    }
    let took = started.elapsed();
    step.done(&format!("The generated commit arrived {} later", human(took)));
    Ok(Delivery {
        object: read(kubectl)?,
        took,
    })
}

fn read(kubectl: &Kubectl) -> Result<Value> {
    let object = kubectl.output(&[
        "get",
        "idlrepo",
        NAME,
        "--namespace",
        NAMESPACE,
        "--output",
        "json",
    ])?;
    serde_json::from_str(&object).context("failed to read the IdlRepo")
}

fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .and_then(|all| all.iter().find(|one| one["type"] == type_))
        .unwrap_or(&Value::Null)
}

fn show(delivery: &Delivery, source: &WorkCopy, output: &WorkCopy) -> Result<()> {
    println!("\n  idlrepo/{NAME}");
    for type_ in ["Ready", "SourceReady", "Compatible", "Generated", "Published"] {
        print_condition(&delivery.object, type_);
    }
    println!("  source commit     {}", describe_head(source)?);
    println!("  generated commit  {}", describe_head(output)?);
    for line in output.git(&["show", "--stat=100", "--format=", "HEAD"])?.lines() {
        println!("    {line}");
    }
    println!("  delivered in {}", human(delivery.took));
    Ok(())
}

/// A line for the condition, and indented ones for what its message has below the first.
pub(super) fn print_condition(object: &Value, type_: &str) {
    let condition = condition(object, type_);
    let text = |key: &str| condition[key].as_str().unwrap_or("-").to_owned();
    let message = text("message");
    let mut lines = message.lines().filter(|line| !line.is_empty());
    println!(
        "    {type_:<12} {:<6} {:<24} {}",
        text("status"),
        text("reason"),
        lines.next().unwrap_or_default()
    );
    for line in lines {
        println!("      {line}");
    }
}

fn describe_head(copy: &WorkCopy) -> Result<String> {
    copy.git(&["log", "-1", "--format=%H  %s"])
}

fn show_trace(kubectl: &Kubectl, delivery: &Delivery, output: &WorkCopy) -> Result<()> {
    let trace = delivery.status("/lastRun/traceId").to_owned();
    println!("\n  one trace, {trace}");
    let operator = [
        "logs",
        "--namespace",
        crate::system::NAMESPACE,
        "deployment/heddle",
        "--since=15m",
    ];
    print_lines("operator", &kubectl.output(&operator)?, &trace);
    let job = format!("job/{}", delivery.status("/lastRun/job"));
    print_lines(
        "job",
        &kubectl.output(&["logs", "--namespace", NAMESPACE, &job])?,
        &trace,
    );
    let trailers = output.git(&["log", "-1", "--format=%(trailers:key=Traceparent)"])?;
    println!("    {:<9} {}", "commit", trailers.trim());
    if !trailers.contains(&trace) {
        bail!("the commit's trailer belongs to another trace: {trailers}");
    }
    Ok(())
}

fn print_lines(component: &str, log: &str, trace: &str) {
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["trace_id"] == trace)
        .collect();
    for line in lines.iter().take(SHOWN_LINES) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let time = text("timestamp").get(11..23).unwrap_or_default().to_owned();
        println!(
            "    {component:<9} {time} {:<5} span {}  {}",
            text("level"),
            text("span_id"),
            text("message")
        );
    }
    if lines.len() > SHOWN_LINES {
        println!(
            "    {component:<9} … and {} more lines",
            lines.len() - SHOWN_LINES
        );
    }
}

fn add_a_message(source: &WorkCopy, progress: &Progress) -> Result<String> {
    let step = progress.step("Pushing a second commit of IDL");
    let text = "syntax = \"proto3\";

package bookshop.catalog.v1;

option go_package = \"example.com/bookshop/gen/bookshop/catalog/v1;catalogv1\";

// What somebody thinks of a book.
message Review {
  string isbn = 1;
  // From 1 to 5.
  uint32 stars = 2;
  string text = 3;
}
";
    source.write("bookshop/catalog/v1/review.proto", text.as_bytes())?;
    let commit = source.commit("Let people review books")?;
    source.push("main")?;
    step.done("Pushed a second commit of IDL");
    Ok(commit)
}

fn break_a_message(source: &WorkCopy, progress: &Progress) -> Result<String> {
    const FILE: &str = "bookshop/catalog/v1/review.proto";
    let step = progress.step("Pushing a commit that breaks others");
    let path = source.directory().join(FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    source.write(FILE, text.replace("uint32 stars", "string stars").as_bytes())?;
    let commit = source.commit("Rate books in words")?;
    source.push("main")?;
    step.done("Pushed a commit that breaks others");
    Ok(commit)
}
