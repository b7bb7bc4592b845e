use super::*;
use serde_json::{Value, json};

fn job(conditions: Value) -> Job {
    serde_json::from_value(json!({
        "metadata": {
            "name": "shop-1",
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "annotations": {
                "heddle.dev/source-commit": "c0ffee",
                "heddle.dev/spec-digest": "d1",
                "heddle.dev/attempt": "2",
                "heddle.dev/traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            },
        },
        "status": { "conditions": conditions },
    }))
    .unwrap()
}

fn failed(reason: &str) -> Job {
    job(
        json!([{ "type": "Failed", "status": "True", "reason": reason, "lastTransitionTime": "2026-11-22T12:01:00Z" }]),
    )
}

fn complete() -> Job {
    job(json!([
        { "type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": "2026-11-22T12:00:59Z" },
        { "type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T12:01:00Z" },
    ]))
}

fn pod(phase: &str, status: Value) -> Pod {
    let mut pod = json!({ "metadata": { "creationTimestamp": "2026-11-22T12:00:01Z" }, "status": status });
    pod["status"]["phase"] = json!(phase);
    serde_json::from_value(pod).unwrap()
}

fn container(state: Value) -> Value {
    json!({ "containerStatuses": [{
        "name": "codegen", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    }]})
}

fn terminated(code: i32, message: &str) -> Value {
    container(json!({ "terminated": { "exitCode": code, "reason": "Error", "message": message } }))
}

fn answer(reason: &str) -> String {
    let error = json!({ "reason": reason, "message": "what is wrong" });
    let files = json!({ "written": 0, "pruned": 0, "unchanged": 0 });
    json!({ "sourceRevision": "c0ffee", "committed": false, "files": files, "error": error }).to_string()
}

fn error_of(run: &ObservedRun) -> RunError {
    run.to_last_run().error.expect("it failed")
}

fn run(job: &Job, pods: Vec<Pod>, refusals: &[&str]) -> ObservedRun {
    let pod_refusals = refusals.iter().map(|refusal| (*refusal).to_owned()).collect();
    ObservedRun::new(job, &RunDetails { pods, pod_refusals }).unwrap()
}

#[test]
fn a_run_is_what_its_job_is_annotated_with() {
    let run = run(&job(json!([])), Vec::new(), &[]);
    assert_eq!(
        (
            run.target.commit.as_str(),
            run.target.digest.as_str(),
            run.attempt
        ),
        ("c0ffee", "d1", 2)
    );
    assert_eq!(
        run.to_last_run().trace_id.as_deref(),
        Some("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    let mut foreign = job(json!([]));
    foreign.metadata.annotations = None;
    assert!(ObservedRun::new(&foreign, &RunDetails::default()).is_none());
}

#[test]
fn a_run_that_goes_on_tells_what_keeps_it() {
    let waiting = |reason: &str| container(json!({ "waiting": { "reason": reason, "message": "details" } }));
    let unscheduled = json!({ "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes" },
    ]});
    for (pods, refusals, expected) in [
        (vec![], &[] as &[&str], None),
        (vec![pod("Pending", json!({}))], &[], None),
        (vec![pod("Pending", waiting("ContainerCreating"))], &[], None),
        (
            vec![pod("Running", container(json!({ "running": {} })))],
            &[],
            None,
        ),
        (vec![pod("Succeeded", terminated(0, ""))], &[], None),
        (vec![], &["first", "exceeded quota"], Some("exceeded quota")),
        (
            vec![pod("Pending", waiting("ImagePullBackOff"))],
            &[],
            Some("ImagePullBackOff: details"),
        ),
        (
            vec![pod("Pending", unscheduled)],
            &[],
            Some("Unschedulable: 0/1 nodes"),
        ),
        (
            vec![pod("Failed", terminated(75, &answer("PushRejected")))],
            &[],
            Some("PushRejected: what is wrong"),
        ),
        (
            vec![pod("Failed", terminated(137, ""))],
            &[],
            Some("exit code 137"),
        ),
    ] {
        let RunState::Active { waiting } = run(&job(json!([])), pods, refusals).state else {
            panic!("it goes on")
        };
        match (waiting, expected) {
            (None, None) => {}
            (Some(waiting), Some(expected)) if waiting.contains(expected) => {}
            (waiting, expected) => panic!("{waiting:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_run_that_failed_tells_why() {
    let oom = container(json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } }));
    let evicted = json!({ "reason": "Evicted", "message": "the node was low on memory" });
    for (job, pods, reason, words) in [
        (
            failed("PodFailurePolicy"),
            vec![pod("Failed", terminated(65, &answer("CompilationFailed")))],
            Reason::CompilationFailed,
            "what is wrong",
        ),
        (
            failed("BackoffLimitExceeded"),
            vec![pod("Failed", terminated(75, &answer("PushRejected")))],
            Reason::PushRejected,
            "what is wrong",
        ),
        (
            failed("BackoffLimitExceeded"),
            vec![pod("Failed", oom)],
            Reason::JobFailed,
            "spec.job.resources.limits.memory",
        ),
        (
            failed("BackoffLimitExceeded"),
            vec![pod("Failed", evicted)],
            Reason::JobFailed,
            "low on memory",
        ),
        (
            failed("BackoffLimitExceeded"),
            vec![pod("Failed", terminated(1, "not an answer"))],
            Reason::JobFailed,
            "exit code 1",
        ),
        (
            failed("BackoffLimitExceeded"),
            vec![],
            Reason::JobFailed,
            "BackoffLimitExceeded",
        ),
        (
            failed("DeadlineExceeded"),
            vec![],
            Reason::TimedOut,
            "spec.timeout",
        ),
        (
            failed("DeadlineExceeded"),
            vec![pod("Failed", terminated(75, &answer("TimedOut")))],
            Reason::TimedOut,
            "what is wrong",
        ),
    ] {
        let error = error_of(&run(&job, pods, &[]));
        assert_eq!(error.reason, reason);
        assert!(error.message.contains(words), "{words:?} in {}", error.message);
    }
}

#[test]
fn what_kept_a_pod_that_never_ran_is_told_with_the_deadline() {
    let error = error_of(&run(
        &failed("DeadlineExceeded"),
        vec![],
        &["exceeded quota: no-pods"],
    ));
    assert!(error.message.contains("no-pods"), "{}", error.message);
}

#[test]
fn a_run_that_delivered_is_believed_also_without_its_answer() {
    let files = json!({ "written": 2, "pruned": 1, "unchanged": 0 });
    let answer = json!({
        "sourceRevision": "c0ffee", "outputRevision": "beef", "committed": true, "files": files,
    });
    let succeeded = pod("Succeeded", terminated(0, &answer.to_string()));
    // An earlier try that failed is not what counts.
    let mut earlier = pod("Failed", terminated(75, &super::tests::answer("PushRejected")));
    earlier.metadata.creation_timestamp = None;
    for (pods, revision) in [
        (vec![earlier, succeeded], Some("beef".to_owned())),
        (vec![], None),
    ] {
        let run = run(&complete(), pods, &[]);
        let RunState::Finished { at, ending } = &run.state else {
            panic!("it goes on")
        };
        let delivery = ending.delivery.clone().expect("it delivered");
        assert_eq!(delivery.output_revision, revision);
        assert_eq!(at.to_string(), "2026-11-22T12:01:00Z");
        assert_eq!(run.to_last_run().error, None);
    }
}

#[test]
fn a_run_that_failed_after_it_had_delivered_is_both() {
    let report = json!({
        "sourceRevision": "c0ffee", "outputRevision": "beef", "committed": true, "delivered": true,
        "files": { "written": 2, "pruned": 0, "unchanged": 0 }, "descriptorChunks": 3,
        "error": { "reason": "PublicationFailed", "message": "forbidden" },
    });
    let run = run(
        &failed("PodFailurePolicy"),
        vec![pod("Failed", terminated(65, &report.to_string()))],
        &[],
    );
    let RunState::Finished { ending, .. } = &run.state else {
        panic!("it goes on")
    };
    let delivery = ending.delivery.clone().expect("it delivered");
    assert_eq!(delivery.output_revision.as_deref(), Some("beef"));
    assert_eq!(ending.descriptor_chunks, Some(3));
    assert_eq!(error_of(&run).reason, Reason::PublicationFailed);
}

#[test]
fn what_an_earlier_pod_delivered_counts_however_the_later_ones_failed() {
    let first = json!({
        "sourceRevision": "c0ffee", "outputRevision": "beef", "committed": true, "delivered": true,
        "files": { "written": 2, "pruned": 0, "unchanged": 0 }, "descriptorChunks": 3,
        "comparison": { "against": "abc", "level": "File", "breakingChanges": 1, "accepted": true, "findings": [] },
        "error": { "reason": "PublicationFailed", "message": "no answer" },
    });
    let first = pod("Failed", terminated(75, &first.to_string()));
    let mut second = pod("Failed", terminated(75, &answer("ConnectionFailed")));
    second.metadata.creation_timestamp = Some(Time("2026-11-22T12:00:30Z".parse().unwrap()));
    let mut killed = pod("Failed", terminated(137, ""));
    killed.metadata.creation_timestamp = second.metadata.creation_timestamp.clone();
    for (later, reason) in [(second, Reason::ConnectionFailed), (killed, Reason::JobFailed)] {
        let run = run(&failed("BackoffLimitExceeded"), vec![first.clone(), later], &[]);
        let RunState::Finished { ending, .. } = &run.state else {
            panic!("it goes on")
        };
        let delivery = ending.delivery.clone().expect("it delivered");
        assert_eq!(delivery.output_revision.as_deref(), Some("beef"));
        assert!(
            ending
                .comparison
                .as_ref()
                .is_some_and(|comparison| comparison.accepted)
        );
        assert_eq!(ending.descriptor_chunks, Some(3));
        assert_eq!(error_of(&run).reason, reason);
    }
}
