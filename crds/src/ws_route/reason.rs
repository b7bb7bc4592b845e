//! The types of a WsRoute's conditions, and every reason that they can have.

use crate::condition::condition_types;
use crate::reason::reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

condition_types! {
    /// A type of condition of a WsRoute.
    enum ConditionType;

    /// Every ready pod that the route selects serves this generation of it.
    Ready,
    /// Sidecars are being brought up to date. Present only while true (kstatus).
    Reconciling,
    /// Nothing will be tried until the specification or an object it names changes. Present only while true (kstatus).
    Stalled,
    /// The specification can work, and no older route claims the same requests on the same pods.
    Accepted,
    /// Everything that the specification names exists and can be used: Secrets, an IdlRepo and its published types.
    ResolvedRefs,
    /// Every ready pod's sidecar has acknowledged this generation.
    Programmed,
}

reasons! {
    /// Why a condition of a WsRoute has its status.
    enum Reason;

    /// The specification can work, and nothing contests its requests.
    Accepted = NotNeeded,
    /// Everything that the specification names was found.
    ResolvedRefs = NotNeeded,
    /// Every ready pod's sidecar has acknowledged this generation.
    Programmed = NotNeeded,
    /// Heddle has not looked at this yet.
    Pending = NotNeeded,
    /// `spec.suspend` is true: sidecars keep what they have.
    Suspended = NotNeeded,
    /// The specification cannot work as it is.
    InvalidSpec = OnChange,
    /// An older route claims the same requests on pods that both select, and wins.
    Conflicted = OnChange,
    /// A Secret that the specification names does not exist.
    SecretNotFound = OnChange,
    /// A Secret lacks a key, or one of its values cannot be used.
    SecretInvalid = OnChange,
    /// `spec.transcoding` names an IdlRepo that does not exist.
    IdlRepoNotFound = OnChange,
    /// The IdlRepo has not published its descriptor set yet, or what it published cannot be read.
    DescriptorsUnavailable = Backoff,
    /// The published descriptor set has no message type of that name.
    MessageTypeNotFound = OnChange,
    /// No pod that the route selects is ready.
    NoReadyPods = Backoff,
    /// Ready pods have no sidecar: they are older than the route, or were made while the webhook was away.
    SidecarMissing = Backoff,
    /// Ready pods have no sidecar and get none: the selectors of the chart's `webhook.namespaceSelector` or `webhook.objectSelector`
    /// leave them out.
    SidecarExcluded = OnChange,
    /// Sidecars are connected and have not acknowledged this generation yet.
    SidecarPending = Backoff,
    /// Sidecars of ready pods are not connected to the operator.
    SidecarNotConnected = Backoff,
    /// A sidecar cannot serve this generation; the message says which and why.
    SidecarRefused = Backoff,
    /// Something else went wrong; the message says what.
    InternalError = Backoff,
}
