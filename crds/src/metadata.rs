//! Names of the labels and annotations that Heddle reads and writes, and of its field manager.

/// The owner of fields that the operator applies (server-side apply).
pub const FIELD_MANAGER: &str = "heddle";

/// Annotation people set to any new value, usually a time stamp, to have an object looked at right now. On a Job: the
/// value that it was started under.
pub const REQUESTED_AT: &str = "heddle.dev/requestedAt";

/// Annotation with the W3C `traceparent` of the change that made Heddle write an object.
pub const TRACEPARENT: &str = "heddle.dev/traceparent";

/// Annotation on a Job: the full id of the source commit it generates from.
pub const SOURCE_COMMIT: &str = "heddle.dev/source-commit";

/// Annotation on a Job: the digest of what the specification says about the output, see
/// [`crate::idl_repo::IdlRepoSpec::digest`].
pub const SPEC_DIGEST: &str = "heddle.dev/spec-digest";

/// Annotation on a Job: which try at this commit and specification it is, counted from 1.
pub const ATTEMPT: &str = "heddle.dev/attempt";

/// Annotation on a Job: why it was started, in the words of the metric.
pub const CAUSE: &str = "heddle.dev/cause";

/// Annotation on a Job: a digest of what it was started under, see
/// [`crate::idl_repo::LastRun::circumstances`].
pub const CIRCUMSTANCES: &str = "heddle.dev/circumstances";

/// Annotation on a pod that holds the IdlRepo it works for, as JSON; mounted as a file by the downward API.
pub const RUN: &str = "heddle.dev/run";

/// Label on every object that belongs to an IdlRepo: the IdlRepo's name.
pub const IDL_REPO: &str = "heddle.dev/idlrepo";

/// The recommended label `app.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The recommended label `app.kubernetes.io/component`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
