//! What goes in as IDL comes out as code.

use super::world;
use anyhow::{Context, Result};
use heddle_crds::condition::find;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use heddle_tests::world::GREETER;
use kube::ResourceExt;
use serde_json::{Value, json};

#[tokio::test]
async fn a_commit_of_idl_becomes_a_commit_of_code_under_one_trace() -> Result<()> {
    let world = world().await?;
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;

    let commit = world.head()?;
    let run = world.namespace.wait_for_delivery("shop", &commit).await?;
    let status = world.namespace.status("shop").await?;
    let ready = find(&status.conditions, "Ready").context("Ready")?;
    let output = status.output_revision.context("an output revision")?;
    assert_eq!(Some(&output), world.output.branch("main")?.as_ref());
    assert!(
        ready.message.contains(&commit[..7]) && ready.message.contains(&output[..7]),
        "{ready:?}"
    );
    assert!(
        find(&status.conditions, "Reconciling").is_none() && find(&status.conditions, "Stalled").is_none()
    );
    let files = world.output.files("main")?;
    let code = files
        .iter()
        .find(|(path, _)| path.starts_with("rust/") && path.ends_with(".rs"));
    assert!(String::from_utf8_lossy(code.context("code")?.1).contains("struct Greeting"));

    let trace_id = run.trace_id.context("a trace")?;
    let jobs = world.namespace.jobs().await?;
    let [job] = jobs.as_slice() else {
        panic!("{} Jobs", jobs.len())
    };
    assert!(job.annotations()["heddle.dev/traceparent"].contains(&trace_id));
    let [message] = world.delivered()?.try_into().expect("one commit");
    assert!(
        message.contains(&trace_id) && message.contains(&commit),
        "{message}"
    );
    operator.wait_for_line("run delivered").await?;
    let lines = operator.log_lines()?;
    let of_run: Vec<&Value> = lines
        .iter()
        .filter(|line| line["trace_id"] == *trace_id)
        .collect();
    let messages: Vec<_> = of_run
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert_eq!(messages, ["run started", "run delivered"]);
    assert!(world.kubelet.log_text()?.contains(&trace_id));
    Ok(())
}

#[tokio::test]
async fn the_next_commit_is_found_by_asking_and_makes_the_next_run() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let first = world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    let commit = world.push(
        "Say goodbye",
        "greeter/v1/greeter.proto",
        &GREETER.replace("Greeting", "Farewell"),
    )?;
    let second = world.namespace.wait_for_delivery("shop", &commit).await?;

    assert_ne!((first.job, first.trace_id), (second.job, second.trace_id));
    assert_eq!(world.delivered()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_commit_that_changes_no_code_makes_no_commit() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    let commit = world.push("Explain", "README.md", "This is IDL.")?;
    let run = world.namespace.wait_for_delivery("shop", &commit).await?;

    assert_eq!(run.files.context("counts")?.written, 0);
    world
        .namespace
        .wait_for_reason("shop", "Generated", "Unchanged")
        .await?;
    assert_eq!(world.delivered()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn asking_a_source_without_news_starts_no_run_and_writes_no_log_line() -> Result<()> {
    let world = world().await?;
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    operator.wait_for_line("run delivered").await?;
    let lines = operator.log_lines()?.len();
    let checks = world.git.requests().len();

    eventually("the source is asked again", SOON, async || {
        Ok(match world.git.requests().len() {
            asked if asked > checks => Probe::Seen(()),
            asked => Probe::NotYet(format!("{asked} requests")),
        })
    })
    .await?;
    assert_eq!(world.namespace.jobs().await?.len(), 1);
    assert_eq!(operator.log_lines()?.len(), lines, "{}", operator.log_text()?);
    Ok(())
}

#[tokio::test]
async fn events_mark_the_start_and_the_end_of_a_run_and_nothing_else() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let events = world.namespace.wait_for_events("shop", &["Running", "Committed"]);
    events.await?;

    world.namespace.request("shop", "again").await?;
    let again = ["Running", "Committed", "Running", "Unchanged"];
    world.namespace.wait_for_events("shop", &again).await?;
    Ok(())
}

#[tokio::test]
async fn tags_are_followed_by_their_versions() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let first = world.head()?;
    world.source.tag("v1.2.0", &first)?;
    let second = world.push("Beyond", "other.proto", "syntax = \"proto3\"; message Other {}")?;
    world.source.tag("v2.0.0", &second)?;
    let spec = world.spec_with(&[("/source/ref", json!({ "semver": ">=1, <2" }))]);
    world.namespace.apply("shop", &spec).await?;
    world.namespace.wait_for_delivery("shop", &first).await?;

    world.source.tag("v1.3.0", &second)?;
    world.namespace.wait_for_delivery("shop", &second).await?;
    Ok(())
}

#[tokio::test]
async fn of_finished_jobs_only_the_last_few_are_kept() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    for number in 1..=5 {
        let commit = world.push("More", "NOTES", &number.to_string())?;
        world.namespace.request("shop", &commit).await?;
        world.namespace.wait_for_delivery("shop", &commit).await?;
    }
    world.namespace.request("shop", "prune").await?;
    world.namespace.wait_for_handled("shop", "prune").await?;
    world
        .namespace
        .wait_for_jobs("of six Jobs three are kept", |jobs| jobs.len() == 3)
        .await?;
    Ok(())
}
