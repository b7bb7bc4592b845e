use super::*;
use crate::idl_repo::plan::Cause;
use crate::idl_repo::run::{Circumstances, Target};
use crate::idl_repo::validate::validate;
use serde_json::json;

fn idl_repo(name: &str) -> IdlRepo {
    serde_json::from_value(json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "IdlRepo",
        "metadata": { "name": name, "namespace": "default", "uid": "u", "generation": 1 },
        "spec": {
            "source": { "url": "https://git.example/idl.git" },
            "timeout": "90s",
            "generate": [{ "name": "rust", "plugin": "prost" }],
            "output": { "url": "https://git.example/generated.git", "secretRef": { "name": "push" } },
        },
    }))
    .unwrap()
}

fn request(attempt: i32) -> RunRequest {
    let target = Target {
        commit: "c0ffee".into(),
        digest: "d1".into(),
    };
    RunRequest {
        target,
        attempt,
        cause: Cause::NewCommit,
        circumstances: Circumstances::default(),
        baseline: None,
        accepts_breaking: false,
        descriptor_slots: 0,
        trace_parent: None,
    }
}

fn defaults() -> JobDefaults {
    JobDefaults {
        image: "codegen:1".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: vec!["pull".into()],
        resources: serde_json::from_value(json!({ "limits": { "memory": "1Gi" } })).unwrap(),
        work_size_limit: "1Gi".into(),
        denied_cidrs: Some(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]),
        environment: vec![("HEDDLE_LOG".into(), "info".into())],
    }
}

fn built(idl_repo: &IdlRepo, defaults: &JobDefaults) -> Job {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    job(
        idl_repo,
        &validate(idl_repo).unwrap(),
        &request(1),
        defaults,
        Some(&parent),
    )
}

fn pod_of(job: &Job) -> PodSpec {
    job.spec.clone().unwrap().template.spec.unwrap()
}

#[test]
fn the_name_of_a_job_is_that_of_its_run_and_fits_a_label() {
    let repo = idl_repo("shop");
    assert_eq!(name(&repo, &request(1)), name(&repo, &request(1)));
    assert_ne!(name(&repo, &request(1)), name(&repo, &request(2)));
    let mut other = repo.clone();
    other.metadata.uid = Some("another object of the same name".into());
    assert_ne!(name(&repo, &request(1)), name(&other, &request(1)));
    for long in [
        "a".repeat(200),
        format!("{}.b{}", "a".repeat(51), "c".repeat(60)),
        "dotted.name".into(),
    ] {
        let name = name(&idl_repo(&long), &request(1));
        assert!(
            name.len() <= 63 && !name.contains('.') && !name.contains("--"),
            "{name}"
        );
    }
}

#[test]
fn the_label_of_a_long_name_fits_and_differs_from_that_of_a_similar_one() {
    let (one, other) = ("a".repeat(100), "a".repeat(101));
    assert_eq!(label_value("shop"), "shop");
    assert!(label_value(&one).len() <= 63);
    assert_ne!(label_value(&one), label_value(&other));
}

#[test]
fn the_process_is_told_what_it_needs() {
    let job = built(&idl_repo("shop"), &defaults());
    let container = pod_of(&job).containers.remove(0);
    assert_eq!(
        container.args.unwrap().join(" "),
        "run -f /run/heddle/request/idlrepo.yaml --commit c0ffee --termination-message /dev/termination-log \
         --work-folder /work --timeout=90s --publish-with /run/heddle/api --denied-cidrs=10.0.0.0/8,fd00::/8"
    );
    let variables: Vec<_> = container
        .env
        .unwrap()
        .into_iter()
        .map(|variable| format!("{}={}", variable.name, variable.value.unwrap_or_default()))
        .collect();
    assert_eq!(
        variables,
        [
            "TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "TMPDIR=/work",
            "HEDDLE_LOG=info"
        ]
    );
    let template = job.spec.unwrap().template.metadata.unwrap();
    assert!(template.annotations.unwrap()[metadata::RUN].contains("\"plugin\":\"prost\""));
}

#[test]
fn only_secrets_that_are_named_are_mounted() {
    let pod = pod_of(&built(&idl_repo("shop"), &defaults()));
    let volumes: Vec<_> = pod
        .volumes
        .unwrap()
        .into_iter()
        .map(|volume| volume.name)
        .collect();
    assert_eq!(volumes, ["request", "work", "output", "api"]);
    let mounts: Vec<_> = pod.containers[0].volume_mounts.iter().flatten().collect();
    let writable: Vec<_> = mounts
        .iter()
        .filter(|mount| mount.read_only != Some(true))
        .map(|mount| &mount.mount_path)
        .collect();
    assert_eq!(writable, ["/work"]);
    assert_eq!(mounts.len(), 4);
}

#[test]
fn the_specification_s_resources_come_before_the_operator_s() {
    let mut repo = idl_repo("shop");
    let own: Option<k8s_openapi::api::core::v1::ResourceRequirements> =
        serde_json::from_value(json!({ "limits": { "memory": "2Gi" } })).unwrap();
    assert_eq!(
        pod_of(&built(&repo, &defaults())).containers[0].resources,
        defaults().resources
    );
    repo.spec.job.resources = own.clone();
    assert_eq!(pod_of(&built(&repo, &defaults())).containers[0].resources, own);
}

#[test]
fn the_pod_has_a_token_only_to_publish_and_none_that_lasts() {
    let pod = pod_of(&built(&idl_repo("shop"), &defaults()));
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(pod.service_account_name.as_deref(), Some("shop-heddle-codegen"));
    assert_eq!(
        service_account(&idl_repo("shop")).automount_service_account_token,
        Some(false)
    );
    let tokens = |pod: &PodSpec| {
        let sources = pod
            .volumes
            .iter()
            .flatten()
            .filter_map(|volume| volume.projected.clone());
        let tokens = sources.flat_map(|source| source.sources.unwrap_or_default());
        let tokens = tokens.filter_map(|source| source.service_account_token);
        tokens.map(|token| token.expiration_seconds).collect::<Vec<_>>()
    };
    assert_eq!(tokens(&pod), [Some(600)]);
    let mut quiet = idl_repo("shop");
    quiet.spec.publish.enabled = false;
    assert_eq!(tokens(&pod_of(&built(&quiet, &defaults()))), []);
    let security = pod.containers[0].security_context.clone().unwrap();
    assert_eq!(security.read_only_root_filesystem, Some(true));
    assert_eq!(security.allow_privilege_escalation, Some(false));
    assert_eq!(security.capabilities.unwrap().drop.unwrap(), ["ALL"]);
}

#[test]
fn the_job_outlasts_the_time_that_its_process_keeps_by_itself() {
    let spec = built(&idl_repo("shop"), &defaults()).spec.unwrap();
    // 90 s of spec.timeout, 60 s to start, and 75 s to push, publish and tell.
    assert_eq!(spec.active_deadline_seconds, Some(225));
    assert_eq!(
        spec.template.spec.unwrap().restart_policy.as_deref(),
        Some("Never")
    );
}
