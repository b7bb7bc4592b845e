//! The types of an SseSubscription's conditions, and every reason that they can have.

use crate::condition::condition_types;
use crate::reason::reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

condition_types! {
    /// A type of condition of an SseSubscription.
    enum ConditionType;

    /// The source is connected, and sinks acknowledge what it sends.
    Ready,
    /// Something is being tried. Present only while true (kstatus).
    Reconciling,
    /// Nothing will be tried until the specification or an object it names changes. Present only while true (kstatus).
    Stalled,
    /// The connection to the source is open.
    Connected,
    /// Sinks acknowledge what they get.
    Delivering,
}

reasons! {
    /// Why a condition of an SseSubscription has its status.
    enum Reason;

    /// The connection to the source is open, and sinks acknowledge.
    Streaming = NotNeeded,
    /// The connection to the source is open.
    Connected = NotNeeded,
    /// No sink has failed since its last acknowledgement.
    Delivering = NotNeeded,
    /// Heddle has not looked at this yet.
    Pending = NotNeeded,
    /// `spec.suspend` is true: the connection is closed, and the stream's place is kept.
    Suspended = NotNeeded,
    /// The connection is being opened.
    Connecting = Backoff,
    /// Another replica of the operator still holds the connection, or was lost a moment ago.
    HandingOver = Backoff,
    /// The specification cannot work as it is.
    InvalidSpec = OnChange,
    /// `spec.filter.cel` cannot be compiled.
    FilterInvalid = OnChange,
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
    /// The data of an event is no JSON of the message type, and there is no dead letter for it: the stream waits, and the
    /// event is tried again, at once when the IdlRepo publishes other types.
    DataInvalid = Backoff,
    /// The source answered 204 No Content: there is nothing more to come.
    EndedByServer = OnChange,
    /// The source answered with a status that is no success.
    RefusedByServer = Backoff,
    /// The source answered 401 or 403: it wants other credentials.
    Unauthorized = Backoff,
    /// The source answered 429 Too Many Requests.
    RateLimited = Backoff,
    /// The source answered with another type than `text/event-stream`.
    NotAnEventStream = Backoff,
    /// The source redirects in a circle, too often, or to an address that cannot be followed.
    RedirectRefused = Backoff,
    /// The certificate of the source could not be verified, or it did not take ours.
    TlsNotTrusted = Backoff,
    /// The address is in a network that the operator's settings forbid.
    AddressRefused = Backoff,
    /// The source could not be reached.
    Unreachable = Backoff,
    /// The source has sent nothing for longer than `readTimeout`, or did not answer within `connectTimeout`.
    TimedOut = Backoff,
    /// The connection broke or was closed.
    ConnectionLost = Backoff,
    /// An event or a line of the stream is longer than `maxEventBytes`.
    EventTooLarge = Backoff,
    /// A sink does not acknowledge; the message says which and why. Deliveries are tried again.
    SinkFailing = Backoff,
    /// A WsRoute that a sink names does not exist.
    RouteNotFound = Backoff,
    /// A WsRoute that a sink names is not served by all of its ready pods.
    RouteNotProgrammed = Backoff,
    /// A sidecar of a WsRoute that a sink names is too old to take events. Its pod has to be made anew.
    SidecarOutdated = Backoff,
    /// A sink answered 410 Gone: it never wants an event again.
    SinkGone = OnChange,
    /// The checkpoint could not be read or written, or a ConfigMap of its name belongs to somebody else.
    CheckpointFailed = Backoff,
    /// Something else went wrong; the message says what.
    InternalError = Backoff,
}
