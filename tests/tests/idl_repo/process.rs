//! The operator as a process: killed, stopped, doubled, and looked at.

use super::world;
use anyhow::{Context, Result};
use heddle_crds::condition::find;
use heddle_tests::api_server::ApiServer;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::kubelet::Stage;
use heddle_tests::namespace::{SOON, TestNamespace};
use heddle_tests::operator::LEASE_SECONDS;
use heddle_tests::world::{GREETER, PASSWORD, USERNAME};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;

/// How often the operator is killed in the course of one test.
const KILLS: u32 = 8;

/// Moments after a push at which it is killed, in turn: from before the push was seen to after its delivery.
const MOMENTS_MILLIS: [u64; 8] = [5, 40, 80, 120, 200, 350, 600, 1000];

#[tokio::test]
async fn killed_at_any_moment_it_delivers_every_commit_exactly_once() -> Result<()> {
    let world = world().await?;
    let mut operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    let mut commits = vec![world.head()?];
    for (number, moment) in (1..=KILLS).zip(MOMENTS_MILLIS.into_iter().cycle()) {
        let message = format!("message Number{number} {{}}");
        let commit = world.push("Count", "count.proto", &format!("syntax = \"proto3\"; {message}"))?;
        world.namespace.request("shop", &commit).await?;
        // Not for something to happen: the moment is what varies.
        tokio::time::sleep(Duration::from_millis(moment)).await;
        operator.kill().await?;
        operator = world.operator().await?;
        world.namespace.wait_for_delivery("shop", &commit).await?;
        commits.push(commit);
    }

    let delivered = world.delivered()?;
    for commit in &commits {
        let count = delivered
            .iter()
            .filter(|message| message.contains(commit.as_str()))
            .count();
        assert_eq!(count, 1, "commits of code for {commit}: {delivered:#?}");
    }
    assert_eq!(delivered.len(), commits.len());
    // One pod for each commit: a run that was in progress was waited for, not repeated.
    assert_eq!(world.kubelet.pods().len(), commits.len());
    Ok(())
}

#[tokio::test]
async fn killed_in_mid_run_it_waits_for_the_run_and_goes_on_with_its_trace() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world
        .namespace
        .wait_for_reason("shop", "Reconciling", "Running")
        .await?;
    operator.kill().await?;
    world.kubelet.set_stage(Stage::Run);
    // The Job ends while nobody looks.
    world
        .namespace
        .wait_for_jobs("the Job ends", |jobs| {
            jobs.iter().all(|job| {
                job.status
                    .as_ref()
                    .is_some_and(|status| status.completion_time.is_some())
            })
        })
        .await?;

    let operator = world.operator().await?;
    let run = world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    assert_eq!(world.kubelet.pods().len(), 1);
    let delivered = operator.wait_for_line("run delivered").await?;
    assert_eq!(delivered["trace_id"].as_str(), run.trace_id.as_deref());
    Ok(())
}

#[tokio::test]
async fn a_restart_does_not_ask_sources_before_their_time() -> Result<()> {
    let world = world().await?;
    let operator = world.operator().await?;
    world
        .namespace
        .apply("shop", &world.spec_with(&[("/interval", json!("1h"))]))
        .await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let reads = || {
        world
            .git
            .requests()
            .iter()
            .filter(|line| line.target.contains("idl.git"))
            .count()
    };
    let before = reads();

    operator.kill().await?;
    let operator = world.operator().await?;
    eventually("the object was looked at", SOON, || async {
        let text = operator.get("/metrics").await?.body;
        let is_done = text
            .lines()
            .any(|line| line.starts_with("heddle_reconcile_seconds_count{outcome=\"done\"} "));
        Ok(if is_done {
            Probe::Seen(())
        } else {
            Probe::NotYet(text)
        })
    })
    .await?;
    assert_eq!(reads(), before);
    Ok(())
}

#[tokio::test]
async fn told_to_stop_it_gives_the_lease_back_and_says_that_it_is_not_ready() -> Result<()> {
    let world = world().await?;
    let mut operator = world.operator().await?;
    let leases = Api::<Lease>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let holder = async || -> Result<Option<String>> {
        let lease = leases.get_opt("heddle-operator").await?;
        Ok(lease
            .and_then(|lease| lease.spec)
            .and_then(|spec| spec.holder_identity))
    };
    operator.wait_until_it_leads().await?;
    assert_eq!(holder().await?.as_deref(), Some("operator-0"));

    operator.terminate()?;
    assert!(operator.wait().await?.success(), "{}", operator.log_text()?);
    assert_eq!(holder().await?, None);
    let lines = operator.log_lines()?;
    let last = lines.last().context("a last line")?;
    assert_eq!(last["message"], "operator stopped");
    Ok(())
}

#[tokio::test]
async fn of_two_operators_one_works_and_the_other_takes_over() -> Result<()> {
    let world = world().await?;
    let first = world.operator_with("operator-a", &[]).await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let second = world.operator_with("operator-b", &[]).await?;
    assert_eq!(
        (
            first.metric("heddle_leader").await?,
            second.metric("heddle_leader").await?
        ),
        (1.0, 0.0)
    );

    first.kill().await?;
    let commit = world.push("Next", "next.proto", "syntax = \"proto3\"; message Next {}")?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    assert_eq!(second.metric("heddle_leader").await?, 1.0);
    assert_eq!(world.delivered()?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_operator_that_loses_the_lease_ends_at_once() -> Result<()> {
    let world = world().await?;
    let mut operator = world.operator().await?;
    let leases = Api::<Lease>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    operator.wait_until_it_leads().await?;
    let stolen = json!({ "spec": { "holderIdentity": "thief", "leaseDurationSeconds": 3600 } });
    leases
        .patch(
            "heddle-operator",
            &Default::default(),
            &kube::api::Patch::Merge(&stolen),
        )
        .await?;

    let status = operator.wait().await?;
    assert_eq!(status.code(), Some(1));
    let lines = operator.log_lines()?;
    let last = lines.last().context("a last line")?;
    assert_eq!(
        (&last["level"], &last["message"]),
        (&json!("ERROR"), &json!("operator failed"))
    );
    assert!(last["error"].to_string().contains("thief holds it now"), "{last}");
    Ok(())
}

#[tokio::test]
async fn a_stored_object_that_cannot_be_read_is_told_so_and_does_not_stop_the_others() -> Result<()> {
    let world = world().await?;
    let server = ApiServer::shared().await?;
    world
        .namespace
        .apply("broken", &world.spec_with(&[("/suspend", json!(true))]))
        .await?;
    server
        .edit_stored(&world.namespace.name, "broken", |object| {
            object["spec"]["generate"] = json!("not a list")
        })
        .await?;
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    // Its status cannot be had as that of an IdlRepo.
    let objects = world.namespace.untyped();
    let told = eventually("the broken object is told so", SOON, || async {
        let object = objects.get("broken").await?;
        let conditions = object.data["status"]["conditions"].clone();
        let ready = conditions
            .as_array()
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "Ready");
        Ok(match ready {
            Some(ready) if ready["reason"] == "InvalidSpec" => Probe::Seen(ready["message"].to_string()),
            _ => Probe::NotYet(object.data.to_string()),
        })
    })
    .await
    .with_context(|| operator.log_text().unwrap_or_default())?;
    assert!(told.contains("cannot be read"), "{told}");
    Ok(())
}

#[tokio::test]
async fn an_operator_that_is_cut_off_from_the_api_stops_before_another_may_start() -> Result<()> {
    let world = world().await?;
    let (cable, mut operator) = world.operator_on_a_cable("operator-a").await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    cable.cut();
    let status = operator.wait().await?;
    assert_eq!(status.code(), Some(1));
    let lease = Api::<Lease>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let spec = lease.get("heddle-operator").await?.spec.context("a spec")?;
    assert_eq!(spec.holder_identity.as_deref(), Some("operator-a"));
    let renewed = spec.renew_time.context("a renewal")?.0;
    let age = Timestamp::now().duration_since(renewed).as_secs_f64();
    assert!(
        age < f64::from(LEASE_SECONDS),
        "it ended {age} s after its last renewal"
    );
    assert!(
        operator.log_text()?.contains("could not be renewed"),
        "{}",
        operator.log_text()?
    );

    let _other = world.operator_with("operator-b", &[]).await?;
    let commit = world.push("Next", "next.proto", "syntax = \"proto3\"; message Next {}")?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    Ok(())
}

#[tokio::test]
async fn probes_and_metrics_tell_what_is_the_case() -> Result<()> {
    let world = world().await?;
    let operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    // Not before it has worked: one that begins to lead fills its caches first, and says so.
    assert_eq!(operator.get("/livez").await?.status, 200);
    assert_eq!(operator.get("/readyz").await?.status, 200);
    assert_eq!(operator.get("/other").await?.status, 404);
    world.push("Break", "greeter/v1/greeter.proto", "nonsense")?;
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "CompilationFailed")
        .await?;

    // What the status says is counted after it is said.
    eventually("both runs are counted", SOON, || async {
        let counted = operator.metric("heddle_run_seconds_count").await?;
        Ok(if counted == 2.0 {
            Probe::Seen(())
        } else {
            Probe::NotYet(counted.to_string())
        })
    })
    .await?;
    let answer = operator.get("/metrics").await?;
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("application/openmetrics-text"),
        "{}",
        answer.head
    );
    for line in [
        "heddle_leader 1",
        "heddle_idl_repos 1",
        "heddle_runs_started_total{cause=\"new_commit\"} 2",
        "heddle_runs_finished_total{outcome=\"delivered\",reason=\"Succeeded\"} 1",
        "heddle_runs_finished_total{outcome=\"failed\",reason=\"CompilationFailed\"} 1",
        "heddle_run_seconds_count 2",
        "heddle_build_info{component=\"operator\"",
        "# EOF",
    ] {
        assert!(answer.body.contains(line), "{line} in {}", answer.body);
    }
    assert!(
        !answer.body.contains("shop"),
        "names of objects would make endless series"
    );
    Ok(())
}

#[tokio::test]
async fn a_standby_is_ready_and_an_operator_without_api_server_is_not() -> Result<()> {
    let world = world().await?;
    let leader = world.operator_with("operator-a", &[]).await?;
    leader.wait_until_it_leads().await?;
    let standby = world.operator_with("operator-b", &[]).await?;
    assert_eq!(standby.get("/readyz").await?.status, 200);
    assert_eq!(standby.metric("heddle_leader").await?, 0.0);

    let lonely = world.operator_without_api()?;
    let answer = eventually("the operator listens", SOON, || async {
        Ok(match lonely.get("/readyz").await {
            Ok(answer) => Probe::Seen(answer),
            Err(error) => Probe::NotYet(error.to_string()),
        })
    })
    .await?;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("API server"), "{}", answer.body);
    assert_eq!(lonely.get("/livez").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() -> Result<()> {
    const WRONG: &str = "canary-55e1d0-wrong";
    let world = world().await?;
    let operator = world.operator_with("operator-0", &["--log-level=debug"]).await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let wrong = [
        ("username", USERNAME),
        ("password", WRONG),
        ("ca.crt", world.git.ca_pem()),
    ];
    world.namespace.secret("wrong", &wrong).await?;
    let wrong = json!({ "name": "wrong" });
    world
        .namespace
        .apply(
            "source",
            &world.spec_with(&[("/source/secretRef", wrong.clone())]),
        )
        .await?;
    world
        .namespace
        .wait_for_reason("source", "Ready", "AuthenticationFailed")
        .await?;
    world
        .namespace
        .apply("output", &world.spec_with(&[("/output/secretRef", wrong)]))
        .await?;
    world.push(
        "Change",
        "greeter/v1/greeter.proto",
        &GREETER.replace("text", "words"),
    )?;
    world
        .namespace
        .wait_for("output", "the condition tells of the try that failed", |status| {
            let generated = find(&status.conditions, "Generated");
            generated.is_some_and(|condition| condition.message.contains("AuthenticationFailed"))
        })
        .await?;

    let objects = world.namespace.idl_repos().list(&Default::default()).await?.items;
    let seen = [
        operator.log_text()?,
        world.kubelet.log_text()?,
        operator.get("/metrics").await?.body,
        serde_json::to_string(&objects)?,
        serde_json::to_string(&world.namespace.events().await?)?,
        serde_json::to_string(&world.namespace.jobs().await?)?,
        serde_json::to_string(&world.namespace.pods().await?)?,
        world.delivered()?.join("\n"),
    ];
    for (text, canary) in seen.iter().flat_map(|text| [(text, PASSWORD), (text, WRONG)]) {
        let place = text.find(canary);
        assert_eq!(
            place,
            None,
            "{}",
            place.map_or("", |at| &text[at.saturating_sub(200)..at])
        );
    }
    assert!(
        objects
            .iter()
            .all(|object| find(&object.status.clone().unwrap_or_default().conditions, "Ready").is_some())
    );
    assert_eq!(
        objects.iter().map(ResourceExt::name_any).collect::<Vec<_>>(),
        ["output", "shop", "source"]
    );
    Ok(())
}

#[tokio::test]
async fn without_an_election_it_works_at_once_and_writes_no_lease() -> Result<()> {
    let world = world().await?;
    let _operator = world
        .operator_with("operator-0", &["--leader-elect=false"])
        .await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let leases = Api::<Lease>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    assert!(leases.list(&Default::default()).await?.items.is_empty());
    Ok(())
}

#[tokio::test]
async fn it_looks_after_the_namespaces_it_is_told_of_and_no_other() -> Result<()> {
    let world = world().await?;
    let server = ApiServer::shared().await?;
    let (second, foreign) = (
        TestNamespace::create(server).await?,
        TestNamespace::create(server).await?,
    );
    let flag = format!("--watch-namespaces={}", second.name);
    let _operator = world.operator_with("operator-0", &[&flag]).await?;
    // Without Secrets there, what can be seen is that it was looked at.
    for namespace in [&world.namespace, &second, &foreign] {
        namespace
            .apply(
                "shop",
                &world.spec_with(&[("/source/secretRef/name", json!("missing"))]),
            )
            .await?;
    }
    for namespace in [&world.namespace, &second] {
        namespace
            .wait_for_reason("shop", "Ready", "SecretNotFound")
            .await?;
    }
    assert!(foreign.status("shop").await?.conditions.is_empty());
    Ok(())
}
