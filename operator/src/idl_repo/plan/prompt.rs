//! What makes Heddle look and try at once: how the world differs from what was answered, and from what runs were
//! started under.

use super::ValidatedSpec;
use crate::idl_repo::observe::Observed;
use crate::idl_repo::run::Circumstances;
use heddle_crds::condition::truncate;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoStatus};
use heddle_crds::metadata;
use heddle_telemetry::TraceParent;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

/// Hexadecimal digits of the digest of circumstances.
const DIGEST_DIGITS: usize = 32;

/// The most bytes of an annotation that a message repeats.
const SHOWN_BYTES: usize = 64;

/// Something that makes Heddle look and try at once, whatever failed before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Prompt {
    SpecificationChanged,
    SecretChanged,
    /// Those of the operator. They prompt only what has failed: an upgrade must not ask all sources at once.
    SettingsChanged,
    Requested,
}

/// What has changed since the source was asked, if anything.
pub(crate) fn prompt(idl_repo: &IdlRepo, secrets_version: &str, settings_version: &str) -> Option<Prompt> {
    let status = idl_repo.status.as_ref();
    let handled = status.and_then(|status| status.last_handled_requested_at.as_deref());
    let observed_secrets = status.and_then(|status| status.observed_secrets.as_deref());
    let observed_settings = status.and_then(|status| status.observed_settings.as_deref());
    let check_failed = status.is_some_and(|status| status.failed_checks.is_some());
    if requested_at(idl_repo).is_some_and(|requested| Some(requested.as_str()) != handled) {
        Some(Prompt::Requested)
    } else if status.and_then(|status| status.observed_generation) != idl_repo.metadata.generation {
        Some(Prompt::SpecificationChanged)
    } else if observed_secrets != Some(secrets_version) {
        Some(Prompt::SecretChanged)
    } else if check_failed && observed_settings != Some(settings_version) {
        Some(Prompt::SettingsChanged)
    } else {
        None
    }
}

/// Whether the source is to be asked now.
pub(crate) fn check_is_due(
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
    secrets_version: &str,
    settings_version: &str,
    now: Timestamp,
) -> bool {
    if spec.suspended {
        return false;
    }
    let status = idl_repo.status.as_ref();
    // Without a time and with a commit nothing is due: a failure that only a change can mend takes the time away.
    let time_has_come = match status.and_then(|status| status.next_check_at.as_ref()) {
        Some(next) => next.0 <= now,
        None => status.is_none_or(|status| status.failed_checks.is_none()),
    };
    time_has_come || prompt(idl_repo, secrets_version, settings_version).is_some()
}

/// The value of `heddle.dev/requestedAt`, as long as the status can hold.
pub(crate) fn requested_at(idl_repo: &IdlRepo) -> Option<String> {
    const LIMIT: usize = 256;
    let value = idl_repo.annotations().get(metadata::REQUESTED_AT)?;
    Some(value.chars().take(LIMIT).collect())
}

/// The value of `heddle.dev/accept-breaking`.
pub(super) fn accept_breaking(idl_repo: &IdlRepo) -> Option<&str> {
    let annotations = idl_repo.metadata.annotations.as_ref()?;
    annotations.get(metadata::ACCEPT_BREAKING).map(String::as_str)
}

/// Whether breaking changes of `commit` are let through. Only its full id does that: it takes seconds to make another
/// commit with the same first digits. And only once.
pub(super) fn accepts_breaking(idl_repo: &IdlRepo, record: &IdlRepoStatus, commit: &str) -> bool {
    let annotated = accept_breaking(idl_repo);
    annotated == Some(commit) && annotated != record.last_handled_accept_breaking.as_deref()
}

/// The value of `heddle.dev/accept-breaking` when it is neither the newest commit's full id nor one that was used.
pub(super) fn ignored_acceptance(idl_repo: &IdlRepo, record: &IdlRepoStatus) -> Option<String> {
    let annotated = accept_breaking(idl_repo)?;
    let known = [&record.observed_revision, &record.last_handled_accept_breaking];
    let is_known = known.into_iter().any(|known| known.as_deref() == Some(annotated));
    let mut value = annotated.to_owned();
    truncate(&mut value, SHOWN_BYTES);
    (!is_known).then_some(value)
}

/// The field manager that has set `heddle.dev/accept-breaking`: all that the API tells of who it was.
pub(super) fn who_accepted(idl_repo: &IdlRepo) -> Option<String> {
    manager_of(idl_repo, metadata::ACCEPT_BREAKING)
}

/// The trace of who has set `heddle.dev/requestedAt`: that in `heddle.dev/traceparent`, if the same field manager has set it.
/// One that somebody else left there before has nothing to do with the request.
pub(super) fn trace_of_request(idl_repo: &IdlRepo) -> Option<TraceParent> {
    let requester = manager_of(idl_repo, metadata::REQUESTED_AT)?;
    let tracer = manager_of(idl_repo, metadata::TRACEPARENT)?;
    (requester == tracer)
        .then(|| TraceParent::from_annotations(idl_repo.annotations()))
        .flatten()
}

/// The field manager that has set an annotation.
fn manager_of(idl_repo: &IdlRepo, annotation: &str) -> Option<String> {
    let field = format!("f:{annotation}");
    let managers = idl_repo.metadata.managed_fields.as_ref()?;
    let entry = managers.iter().find(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| !fields["f:metadata"]["f:annotations"][&field].is_null())
    });
    entry?.manager.clone()
}

/// What a run of `commit` is started under now. A prompt that comes in mid-run is answered by a check of the source and
/// gone; that the run worked under other circumstances is what remains of it.
pub(crate) fn circumstances(
    idl_repo: &IdlRepo,
    observed: &Observed,
    record: &IdlRepoStatus,
    commit: &str,
) -> Circumstances {
    let requested_at = requested_at(idl_repo);
    let parts = (
        idl_repo.metadata.generation,
        &observed.secrets.version,
        &observed.settings_version,
        &requested_at,
        accepts_breaking(idl_repo, record, commit),
        record.descriptor_slots,
    );
    // Serialising numbers and strings to memory has no way to fail.
    let bytes = serde_json::to_vec(&parts).unwrap_or_default();
    let mut digest: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digest.truncate(DIGEST_DIGITS);
    Circumstances {
        digest: Some(digest),
        requested_at,
    }
}
