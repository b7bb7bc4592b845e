//! What happens to runs that fail, hang, are outdated, or are taken away.

use super::world;
use anyhow::{Context, Result};
use heddle_crds::condition::find;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::kubelet::Stage;
use heddle_tests::namespace::SOON;
use heddle_tests::world::{GREETER, World};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ResourceQuota, Secret, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

/// The one Job that there is, once there is one.
async fn only_job(world: &World) -> Result<Job> {
    let jobs = world
        .namespace
        .wait_for_jobs("there is a Job", |jobs| jobs.len() == 1)
        .await?;
    jobs.into_iter().next().context("a Job")
}

#[tokio::test]
async fn idl_that_does_not_compile_is_shown_with_its_place_and_not_tried_again() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.push(
        "Break",
        "greeter/v1/greeter.proto",
        "syntax = \"proto3\";\nmessage Greeting {\n  strin text 1;\n}\n",
    )?;
    world.namespace.apply("shop", &world.spec()).await?;

    let stalled = world
        .namespace
        .wait_for_reason("shop", "Stalled", "CompilationFailed")
        .await?;
    assert!(
        stalled.message.contains("greeter/v1/greeter.proto:3:"),
        "{}",
        stalled.message
    );
    world
        .namespace
        .wait_for_reason("shop", "Generated", "CompilationFailed")
        .await?;
    world
        .namespace
        .wait_for_reason("shop", "Ready", "CompilationFailed")
        .await?;
    assert_eq!(world.kubelet.pods().len(), 1, "the Job tried once");
    world
        .namespace
        .wait_for_events("shop", &["Running", "CompilationFailed"])
        .await?;

    world.namespace.request("shop", "again").await?;
    let what = "a request starts another attempt";
    let jobs = world
        .namespace
        .wait_for_jobs(what, |jobs| jobs.len() == 2)
        .await?;
    let attempts: Vec<_> = jobs
        .iter()
        .map(|job| job.annotations()["heddle.dev/attempt"].clone())
        .collect();
    assert!(attempts.contains(&"2".to_owned()), "{attempts:?}");
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "CompilationFailed")
        .await?;

    let commit = world.push("Mend", "greeter/v1/greeter.proto", GREETER)?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    Ok(())
}

#[tokio::test]
async fn a_changed_specification_takes_the_run_in_progress_away_first() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let old = only_job(&world).await?;
    world
        .namespace
        .wait_for_reason("shop", "Reconciling", "Running")
        .await?;

    let spec = world.spec_with(&[("/output/branch", json!("release"))]);
    world.namespace.apply("shop", &spec).await?;
    let what = "the old Job is replaced";
    let jobs = world
        .namespace
        .wait_for_jobs(what, |jobs| jobs.len() == 1 && jobs[0].uid() != old.uid())
        .await?;
    assert_ne!(
        jobs[0].annotations()["heddle.dev/spec-digest"],
        old.annotations()["heddle.dev/spec-digest"]
    );
    world.kubelet.set_stage(Stage::Run);
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    assert_eq!(world.output.branch("main")?, None);
    assert!(world.output.branch("release")?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_commit_in_mid_run_waits_until_the_run_has_ended() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let old = only_job(&world).await?;

    let commit = world.push("Next", "next.proto", "syntax = \"proto3\"; message Next {}")?;
    world.namespace.request("shop", "now").await?;
    let status = world.namespace.wait_for_handled("shop", "now").await?;
    assert_eq!(status.observed_revision.as_deref(), Some(&*commit));
    assert_eq!(only_job(&world).await?.uid(), old.uid());

    world.kubelet.set_stage(Stage::Run);
    world.namespace.wait_for_delivery("shop", &commit).await?;
    assert_eq!(world.delivered()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_specification_that_is_refused_in_mid_run_lets_the_run_end_and_records_its_end() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let job = only_job(&world).await?;
    let spec = world.spec_with(&[("/output/messageTemplate", json!("${nobody}"))]);
    world.namespace.apply("shop", &spec).await?;
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "InvalidSpec")
        .await?;

    world.kubelet.set_stage(Stage::Run);
    let what = "the end of the run is on record";
    let status = world
        .namespace
        .wait_for("shop", what, |status| {
            let run = status.last_run.as_ref();
            run.is_some_and(|run| run.finished_at.is_some())
        })
        .await?;
    assert_eq!(status.last_run.context("a run")?.job, job.name_any());
    assert_eq!(status.generated_revision, Some(world.head()?));
    Ok(())
}

#[tokio::test]
async fn a_service_account_of_somebody_else_is_reported_and_left_alone() -> Result<()> {
    let world = world().await?;
    let accounts = Api::<ServiceAccount>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let name = "shop-heddle-codegen";
    let foreign: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    accounts.create(&PostParams::default(), &foreign).await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let generated = world
        .namespace
        .wait_for_reason("shop", "Generated", "JobFailed")
        .await?;
    assert!(generated.message.contains(name), "{}", generated.message);
    assert!(accounts.get(name).await?.owner_references().is_empty());
    assert!(world.namespace.jobs().await?.is_empty());

    accounts.delete(name, &DeleteParams::default()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_branch_that_somebody_deleted_is_delivered_again_on_request() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let commit = world.head()?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    world.output.delete_branch("main")?;

    world.namespace.request("shop", "again").await?;
    let what = "the code is delivered a second time";
    let status = world
        .namespace
        .wait_for("shop", what, |status| {
            let run = status.last_run.as_ref();
            run.is_some_and(|run| run.attempt == 2 && run.finished_at.is_some())
        })
        .await?;
    assert_eq!(status.generated_revision, Some(commit));
    assert_eq!(status.output_revision, world.output.branch("main")?);
    assert!(status.output_revision.is_some());
    Ok(())
}

#[tokio::test]
async fn suspension_lets_a_run_end_and_starts_no_other() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    let first = world.head()?;
    world.namespace.apply("shop", &world.spec()).await?;
    only_job(&world).await?;
    world
        .namespace
        .merge("shop", &json!({ "spec": { "suspend": true } }))
        .await?;
    world.kubelet.set_stage(Stage::Run);
    world.namespace.wait_for_delivery("shop", &first).await?;

    let commit = world.push("Next", "next.proto", "syntax = \"proto3\"; message Next {}")?;
    world.namespace.request("shop", "now").await?;
    let spec = json!({ "spec": { "suspend": true, "interval": "20s" } });
    world.namespace.merge("shop", &spec).await?;
    let status = world
        .namespace
        .wait_for("shop", "the change was looked at", |status| {
            status.observed_generation == Some(3)
        })
        .await?;
    assert_eq!(status.observed_revision.as_deref(), Some(&*first));
    assert_eq!(status.next_check_at, None);
    assert_eq!(world.namespace.jobs().await?.len(), 1);

    world
        .namespace
        .merge("shop", &json!({ "spec": { "suspend": false } }))
        .await?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_never_asked_for_because_of_suspension_says_so() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world
        .namespace
        .apply("shop", &world.spec_with(&[("/suspend", json!(true))]))
        .await?;
    world
        .namespace
        .wait_for_reason("shop", "Ready", "Suspended")
        .await?;
    let status = world.namespace.status("shop").await?;
    assert!(
        find(&status.conditions, "Reconciling").is_none() && find(&status.conditions, "Stalled").is_none()
    );
    assert!(world.git.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_pod_waits_for_what_it_mounts() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::ImagePullFails);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let pods = world
        .namespace
        .wait_for_pods("there is a pod", |pods| !pods.is_empty());
    let pod = pods.await?.remove(0).name_any();
    let secrets = Api::<Secret>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let secret = secrets.get("git").await?;
    secrets.delete("git", &DeleteParams::default()).await?;
    world.kubelet.set_stage(Stage::Run);
    let folder = world.kubelet.folder().join(pod).join("volumes");
    eventually("volumes are mounted", SOON, || async {
        Ok(match folder.exists() {
            true => Probe::Seen(()),
            false => Probe::NotYet(format!("there is no {}", folder.display())),
        })
    })
    .await?;
    let again = Secret {
        metadata: ObjectMeta {
            name: Some("git".into()),
            ..ObjectMeta::default()
        },
        ..secret
    };
    secrets.create(&PostParams::default(), &again).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    assert_eq!(world.kubelet.pods().len(), 1, "the pod was not made anew");
    Ok(())
}

#[tokio::test]
async fn an_object_deleted_in_mid_run_takes_its_job_and_pod_along() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    only_job(&world).await?;

    world.namespace.delete("shop").await?;
    world
        .namespace
        .wait_for_jobs("the Job is gone", <[Job]>::is_empty)
        .await?;
    world
        .namespace
        .wait_for_pods("the pod is gone", <[_]>::is_empty)
        .await?;
    assert_eq!(world.output.branch("main")?, None);
    let errors: Vec<_> = operator
        .log_lines()?
        .into_iter()
        .filter(|line| line["level"] != "INFO")
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    Ok(())
}

#[tokio::test]
async fn a_job_that_somebody_deletes_is_told_of_and_started_again() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let job = only_job(&world).await?;
    world
        .namespace
        .wait_for_reason("shop", "Reconciling", "Running")
        .await?;

    let jobs = Api::<Job>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    jobs.delete(&job.name_any(), &DeleteParams::background()).await?;
    world
        .namespace
        .wait_for_reason("shop", "Generated", "JobFailed")
        .await?;
    world.kubelet.set_stage(Stage::Run);
    let run = world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    assert_eq!(run.attempt, 2);
    Ok(())
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_shows_while_the_run_waits_for_it() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::ImagePullFails);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world
        .namespace
        .wait_for("shop", "the condition tells of the image", |status| {
            let reconciling = find(&status.conditions, "Reconciling");
            reconciling.is_some_and(|condition| condition.message.contains("ImagePullBackOff"))
        })
        .await?;
    world.kubelet.set_stage(Stage::Run);
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_quota_that_keeps_the_job_from_making_its_pod_shows() -> Result<()> {
    let world = world().await?;
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": { "name": "no-pods" },
        "spec": { "hard": { "pods": "0" } },
    }))?;
    let quotas = Api::<ResourceQuota>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    quotas.create(&PostParams::default(), &quota).await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world
        .namespace
        .wait_for("shop", "the condition tells of the quota", |status| {
            let reconciling = find(&status.conditions, "Reconciling");
            reconciling.is_some_and(|condition| condition.message.contains("no-pods"))
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended_and_tried_again() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    world
        .namespace
        .apply("shop", &world.spec_with(&[("/timeout", json!("10s"))]))
        .await?;
    let job = only_job(&world).await?;
    // What a container that hangs takes minutes for, its Job is given right away.
    let jobs = Api::<Job>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let patch = json!({ "spec": { "activeDeadlineSeconds": 1 } });
    let patched = jobs
        .patch(
            &job.name_any(),
            &Default::default(),
            &kube::api::Patch::Merge(&patch),
        )
        .await?;
    assert_eq!(patched.uid(), job.uid());

    let generated = world
        .namespace
        .wait_for_reason("shop", "Generated", "TimedOut")
        .await?;
    assert!(
        generated.message.contains("spec.timeout"),
        "{}",
        generated.message
    );
    let reconciling = world
        .namespace
        .wait_for_reason("shop", "Reconciling", "TimedOut")
        .await?;
    assert!(
        reconciling.message.contains("Attempt 1"),
        "{}",
        reconciling.message
    );
    world.kubelet.set_stage(Stage::Run);
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_job_that_the_api_refuses_shows_and_starts_when_it_may() -> Result<()> {
    let world = world().await?;
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": { "name": "no-jobs" },
        "spec": { "hard": { "count/jobs.batch": "0" } },
    }))?;
    let quotas = Api::<ResourceQuota>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    quotas.create(&PostParams::default(), &quota).await?;
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let generated = world
        .namespace
        .wait_for_reason("shop", "Generated", "JobFailed")
        .await?;
    assert!(generated.message.contains("no-jobs"), "{}", generated.message);
    world
        .namespace
        .wait_for_reason("shop", "Reconciling", "JobFailed")
        .await?;

    quotas.delete("no-jobs", &DeleteParams::default()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    world
        .namespace
        .wait_for_events("shop", &["JobFailed", "Running", "Committed"])
        .await?;
    operator.wait_for_line("run delivered").await?;
    let messages: Vec<_> = operator
        .log_lines()?
        .iter()
        .filter_map(|line| Some(line["message"].as_str()?.to_owned()))
        .collect();
    assert_eq!(
        messages
            .iter()
            .filter(|message| *message == "run cannot start")
            .count(),
        1,
        "{messages:?}"
    );
    Ok(())
}
