//! The Job of a run: a pure function of what is to be run and of the operator's settings.

#[cfg(test)]
mod tests;

use super::plan::RunRequest;
use super::run::Circumstances;
use super::validate::ValidatedSpec;
use crate::settings::JobDefaults;
use heddle_crds::codegen;
use heddle_crds::idl_repo::IdlRepo;
use heddle_crds::metadata;
use heddle_telemetry::TraceParent;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource,
    EmptyDirVolumeSource, EnvVar, KeyToPath, LocalObjectReference, ObjectFieldSelector, PodSecurityContext,
    PodSpec, PodTemplateSpec, ProjectedVolumeSource, SeccompProfile, SecretVolumeSource, SecurityContext,
    ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// The value of `app.kubernetes.io/managed-by` on everything the operator makes.
pub(crate) const MANAGER: &str = "heddle";

/// The value of `app.kubernetes.io/component` on Jobs, pods, service accounts and rights of runs.
pub(crate) const COMPONENT: &str = "codegen";

/// The user and group that the Job's pod runs as, the same as in its image.
const USER: i64 = 65532;

/// How often the Job tries again by itself after a failure that may pass.
const RETRIES: i32 = 3;

/// How long a finished Job stays if the operator is not there to prune it.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// What a Job gets before `spec.timeout`, which its process keeps by itself: to be scheduled and to pull its image.
const START_ALLOWANCE: Duration = Duration::from_secs(60);

/// What a Job gets after `spec.timeout`: 30 s each for a push in flight and for the publication of what was pushed, and
/// the rest to say how it ended.
const END_ALLOWANCE: Duration = Duration::from_secs(75);

/// How long a token for the API lasts before the kubelet renews it; no shorter time is granted.
const TOKEN_SECONDS: i64 = 600;

/// The ConfigMap with the API server's authority that each namespace has.
const ROOT_AUTHORITY: &str = "kube-root-ca.crt";

/// How long the process has to stop when its pod is deleted.
const TERMINATION_GRACE_SECONDS: i64 = 10;

/// A label's value, which the name of a Job becomes, has at most 63 characters; the hash and a dash are part of it.
const NAME_PREFIX_LIMIT: usize = 52;

/// Hexadecimal digits of the hash in a Job's name.
const NAME_HASH_DIGITS: usize = 10;

/// The name of the Job of a run. It depends on nothing but what the run is, so that a run cannot be started twice.
pub(crate) fn name(idl_repo: &IdlRepo, request: &RunRequest) -> String {
    let uid = idl_repo.uid().unwrap_or_default();
    let identity = format!(
        "{uid}/{}/{}/{}",
        request.target.commit, request.target.digest, request.attempt
    );
    let hash: String = Sha256::digest(identity)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = idl_repo.name_any();
    let prefix = name
        .get(..NAME_PREFIX_LIMIT)
        .unwrap_or(&name)
        .trim_end_matches(['-', '.'])
        .replace('.', "-");
    format!("{prefix}-{}", &hash[..NAME_HASH_DIGITS])
}

/// The name of the service account that an IdlRepo's Jobs run as.
pub(crate) fn service_account_name(idl_repo: &IdlRepo) -> String {
    format!("{}-heddle-codegen", idl_repo.name_any())
}

/// The account that an IdlRepo's Jobs run as. A token of it is mounted only where the run publishes, and only the right to
/// do that is bound to it, see [`super::apply`].
pub(crate) fn service_account(idl_repo: &IdlRepo) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(service_account_name(idl_repo)),
            namespace: idl_repo.namespace(),
            labels: Some(labels(idl_repo)),
            owner_references: idl_repo.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The Job of a run.
pub(crate) fn job(
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    request: &RunRequest,
    defaults: &JobDefaults,
    trace_parent: Option<&TraceParent>,
) -> Job {
    let deadline = spec.timeout + START_ALLOWANCE + END_ALLOWANCE;
    Job {
        metadata: ObjectMeta {
            name: Some(name(idl_repo, request)),
            namespace: idl_repo.namespace(),
            labels: Some(labels(idl_repo)),
            annotations: Some(annotations(request, trace_parent)),
            owner_references: idl_repo.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: i64::try_from(deadline.as_secs()).ok(),
            backoff_limit: Some(RETRIES),
            pod_failure_policy: Some(pod_failure_policy()),
            // Two pods at once could push at once.
            pod_replacement_policy: Some("Failed".into()),
            ttl_seconds_after_finished: i32::try_from(TTL.as_secs()).ok(),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(idl_repo)),
                    annotations: Some(BTreeMap::from([(metadata::RUN.into(), spec.request.clone())])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(idl_repo, spec, request, defaults, trace_parent)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn labels(idl_repo: &IdlRepo) -> BTreeMap<String, String> {
    labels_of(idl_repo, COMPONENT)
}

/// The labels of an object that belongs to an IdlRepo.
pub(crate) fn labels_of(idl_repo: &IdlRepo, component: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (metadata::IDL_REPO.into(), label_value(&idl_repo.name_any())),
        (metadata::MANAGED_BY.into(), MANAGER.into()),
        (metadata::COMPONENT.into(), component.into()),
    ])
}

/// The name of an IdlRepo as the value of a label, which has at most 63 characters: longer ones end in a hash.
pub(crate) fn label_value(name: &str) -> String {
    const LIMIT: usize = 63;
    if name.len() <= LIMIT {
        return name.to_owned();
    }
    let hash: String = Sha256::digest(name)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "{}-{}",
        name.get(..NAME_PREFIX_LIMIT).unwrap_or_default(),
        &hash[..NAME_HASH_DIGITS]
    )
}

fn annotations(request: &RunRequest, trace_parent: Option<&TraceParent>) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        (metadata::SOURCE_COMMIT.into(), request.target.commit.clone()),
        (metadata::SPEC_DIGEST.into(), request.target.digest.clone()),
        (metadata::ATTEMPT.into(), request.attempt.to_string()),
        (metadata::CAUSE.into(), request.cause.as_str().into()),
    ]);
    let Circumstances { digest, requested_at } = &request.circumstances;
    let accepted = request.accepts_breaking.then(|| request.target.commit.clone());
    for (name, value) in [
        (metadata::CIRCUMSTANCES, digest),
        (metadata::REQUESTED_AT, requested_at),
        (metadata::BASELINE, &request.baseline),
        (metadata::ACCEPT_BREAKING, &accepted),
    ] {
        annotations.extend(value.clone().map(|value| (name.into(), value)));
    }
    if let Some(trace_parent) = trace_parent {
        trace_parent.write_annotations(&mut annotations);
    }
    annotations
}

/// A run that says that another try is of no use is not tried again; a pod that the node or the scheduler took away is
/// not held against the run.
fn pod_failure_policy() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "FailJob".into(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(codegen::CONTAINER.into()),
                    operator: "In".into(),
                    values: vec![codegen::EXIT_FAILED],
                }),
                on_pod_conditions: None,
            },
            PodFailurePolicyRule {
                action: "Ignore".into(),
                on_exit_codes: None,
                on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".into(),
                    status: "True".into(),
                }]),
            },
        ],
    }
}

fn pod(
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    request: &RunRequest,
    defaults: &JobDefaults,
    trace_parent: Option<&TraceParent>,
) -> PodSpec {
    let pull_secrets = defaults.image_pull_secrets.iter();
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container(spec, request, defaults, trace_parent)],
        // Variables with the addresses of all services are of no use to the run, and it need not know them.
        enable_service_links: Some(false),
        image_pull_secrets: Some(
            pull_secrets
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect::<Vec<_>>(),
        )
        .filter(|names| !names.is_empty()),
        node_selector: Some(spec.job.node_selector.clone()).filter(|labels| !labels.is_empty()),
        restart_policy: Some("Never".into()),
        security_context: Some(PodSecurityContext {
            fs_group: Some(USER),
            run_as_group: Some(USER),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..Default::default()
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: Some(service_account_name(idl_repo)),
        termination_grace_period_seconds: Some(TERMINATION_GRACE_SECONDS),
        tolerations: Some(spec.job.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
        volumes: Some(volumes(spec, defaults)),
        ..PodSpec::default()
    }
}

fn container(
    spec: &ValidatedSpec,
    request: &RunRequest,
    defaults: &JobDefaults,
    trace_parent: Option<&TraceParent>,
) -> Container {
    Container {
        name: codegen::CONTAINER.into(),
        image: Some(defaults.image.clone()),
        image_pull_policy: Some(defaults.image_pull_policy.as_str().into()),
        args: Some(arguments(spec, request, defaults)),
        env: Some(environment(defaults, trace_parent)),
        resources: spec.job.resources.clone().or_else(|| defaults.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        termination_message_path: Some(codegen::TERMINATION_MESSAGE_FILE.into()),
        termination_message_policy: Some("File".into()),
        volume_mounts: Some(volume_mounts(spec)),
        ..Container::default()
    }
}

fn arguments(spec: &ValidatedSpec, request: &RunRequest, defaults: &JobDefaults) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "run",
        "-f",
        codegen::REQUEST_FILE,
        "--commit",
        &request.target.commit,
        "--termination-message",
        codegen::TERMINATION_MESSAGE_FILE,
        "--work-folder",
        codegen::WORK_FOLDER,
    ]
    .map(Into::into)
    .into();
    arguments.push(format!("--timeout={}s", spec.timeout.as_secs()));
    arguments.extend(
        request
            .baseline
            .iter()
            .map(|commit| format!("--against={commit}")),
    );
    arguments.extend(request.accepts_breaking.then(|| "--accept-breaking".into()));
    if spec.publish {
        arguments.extend(["--publish-with", codegen::API_FOLDER].map(Into::into));
    }
    if let Some(cidrs) = &defaults.denied_cidrs {
        arguments.push(format!(
            "--denied-cidrs={}",
            cidrs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
        ));
    }
    arguments
}

fn environment(defaults: &JobDefaults, trace_parent: Option<&TraceParent>) -> Vec<EnvVar> {
    let parent = trace_parent.map(TraceParent::variables).unwrap_or_default();
    let parent = parent.into_iter().map(|(name, value)| (name.to_owned(), value));
    // Nothing else can be written to.
    let temporary_folder = ("TMPDIR".to_owned(), codegen::WORK_FOLDER.to_owned());
    parent
        .chain([temporary_folder])
        .chain(defaults.environment.iter().cloned())
        .map(|(name, value)| EnvVar {
            name,
            value: Some(value),
            value_from: None,
        })
        .collect()
}

fn secrets(spec: &ValidatedSpec) -> impl Iterator<Item = (&'static str, &'static str, &String)> {
    let source = spec
        .source
        .secret
        .as_ref()
        .map(|name| ("source", codegen::SOURCE_SECRET_FOLDER, name));
    let output = spec
        .output
        .secret
        .as_ref()
        .map(|name| ("output", codegen::OUTPUT_SECRET_FOLDER, name));
    source.into_iter().chain(output)
}

fn volumes(spec: &ValidatedSpec, defaults: &JobDefaults) -> Vec<Volume> {
    let (folder, file) = codegen::REQUEST_FILE.rsplit_once('/').unwrap_or_default();
    debug_assert_eq!(folder, codegen::REQUEST_FOLDER);
    let request = Volume {
        name: "request".into(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: file.into(),
                field_ref: Some(ObjectFieldSelector {
                    field_path: format!("metadata.annotations['{}']", metadata::RUN),
                    api_version: None,
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    };
    let work = Volume {
        name: "work".into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(defaults.work_size_limit.clone())),
            medium: None,
        }),
        ..Volume::default()
    };
    let secrets = secrets(spec).map(|(volume, _, name)| Volume {
        name: volume.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.clone()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    });
    let api = spec.publish.then(api_volume);
    [request, work].into_iter().chain(secrets).chain(api).collect()
}

/// What a run needs to talk to the API: a token of its account that does not last, and whom to trust.
fn api_volume() -> Volume {
    let token = ServiceAccountTokenProjection {
        path: codegen::API_TOKEN.into(),
        expiration_seconds: Some(TOKEN_SECONDS),
        audience: None,
    };
    let authority = ConfigMapProjection {
        name: ROOT_AUTHORITY.into(),
        items: Some(vec![KeyToPath {
            key: codegen::API_AUTHORITY.into(),
            path: codegen::API_AUTHORITY.into(),
            mode: None,
        }]),
        optional: None,
    };
    let sources = vec![
        VolumeProjection {
            service_account_token: Some(token),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            config_map: Some(authority),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name: "api".into(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(sources),
            default_mode: Some(0o440),
        }),
        ..Volume::default()
    }
}

fn volume_mounts(spec: &ValidatedSpec) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    };
    let own = [
        mount("request", codegen::REQUEST_FOLDER, true),
        mount("work", codegen::WORK_FOLDER, false),
    ];
    let secrets = secrets(spec).map(|(volume, folder, _)| mount(volume, folder, true));
    let api = spec.publish.then(|| mount("api", codegen::API_FOLDER, true));
    own.into_iter().chain(secrets).chain(api).collect()
}
