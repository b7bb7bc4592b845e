//! What goes in as IDL comes out as code.

use super::world;
use anyhow::{Context, Result};
use heddle_crds::condition::find;
use kube::ResourceExt;
use serde_json::Value;

#[tokio::test]
async fn a_commit_of_idl_becomes_a_commit_of_code_under_one_trace() -> Result<()> {
    let world = world().await?;
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;

    let commit = world.head()?;
    let run = world.namespace.wait_for_delivery("shop", &commit).await?;
    let status = world
        .namespace
        .idl_repos()
        .get("shop")
        .await?
        .status
        .context("a status")?;
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
    assert!(message.contains(&trace_id), "{message}");
    assert!(message.contains(&commit), "{message}");
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
