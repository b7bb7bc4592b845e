//! Names of the labels and annotations that Heddle reads and writes, and of its field manager.

/// The owner of fields that the operator applies (server-side apply).
pub const FIELD_MANAGER: &str = "heddle";

/// Annotation people set to any new value, usually a time stamp, to have an object looked at right now. On a Job: the
/// value that it was started under.
pub const REQUESTED_AT: &str = "heddle.dev/requestedAt";

/// Annotation people set to the full id of a commit with breaking changes to let exactly that one through, once. On a
/// Job: the commit that it lets through.
pub const ACCEPT_BREAKING: &str = "heddle.dev/accept-breaking";

/// Annotation on a Job: the full id of the source commit that its own is compared with.
pub const BASELINE: &str = "heddle.dev/baseline";

/// Annotation on the index of a published descriptor set: the digest of the set, so that who watches metadata sees it.
pub const DESCRIPTORS_DIGEST: &str = "heddle.dev/descriptors-digest";

/// Annotation on the index of a published descriptor set: how many ConfigMaps hold it.
pub const DESCRIPTORS_CHUNKS: &str = "heddle.dev/descriptors-chunks";

/// Annotation on the index of a published descriptor set: the ConfigMaps with its chunks, separated by commas.
pub const DESCRIPTORS_SLOTS: &str = "heddle.dev/descriptors-slots";

/// Annotation on the index of a published descriptor set: its size in bytes before it was compressed.
pub const DESCRIPTORS_BYTES: &str = "heddle.dev/descriptors-bytes";

/// Annotation on the index of a published descriptor set: how it is compressed.
pub const DESCRIPTORS_COMPRESSION: &str = "heddle.dev/descriptors-compression";

/// Annotation with the W3C `traceparent` of the change that made Heddle write an object. On an IdlRepo: that of whoever has
/// set [`REQUESTED_AT`], which the run that answers it goes on with.
pub const TRACEPARENT: &str = "heddle.dev/traceparent";

/// Annotation on a Job: the full id of the source commit it generates from. On a published descriptor set: that it
/// describes.
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

/// Label on the checkpoint of an SseSubscription: the SseSubscription's name.
pub const SSE_SUBSCRIPTION: &str = "heddle.dev/ssesubscription";

/// Label on the Lease by which a replica of the operator says that it is there: the release that it is a replica of.
pub const MEMBER_OF: &str = "heddle.dev/member-of";

/// The recommended label `app.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The recommended label `app.kubernetes.io/component`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
