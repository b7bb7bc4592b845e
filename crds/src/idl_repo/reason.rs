//! The types of an IdlRepo's conditions, and every reason that they can have.

use crate::condition::condition_types;
use crate::reason::reasons;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

condition_types! {
    /// A type of condition of an IdlRepo.
    enum ConditionType;

    /// The generated code is delivered for the newest source commit and this specification.
    Ready,
    /// Work is under way. Present only while true (kstatus).
    Reconciling,
    /// Nothing will be tried until the specification or an object it names changes. Present only while true (kstatus).
    Stalled,
    /// The source answers and has the commit that is asked for.
    SourceReady,
    /// The newest source commit breaks nobody's work, by `spec.compatibility`. Present only with that.
    Compatible,
    /// The newest run delivered its code, or found that nothing had changed.
    Generated,
    /// The descriptor set of what was delivered is in the cluster. Absent where `spec.publish.enabled` is false.
    Published,
}

reasons! {
    /// Why a condition of an IdlRepo has its status.
    enum Reason;

    /// The code for the newest source commit is delivered.
    Succeeded = NotNeeded,
    /// The source answered and its commit is known.
    RevisionFound = NotNeeded,
    /// The code was generated and pushed as a commit.
    Committed = NotNeeded,
    /// The code was generated and is what the output repository has already.
    Unchanged = NotNeeded,
    /// Compared with the commit that was delivered before, the delivered one breaks nothing.
    NoBreakingChanges = NotNeeded,
    /// There is no delivered commit to compare with, or it is the delivered one.
    NothingToCompare = NotNeeded,
    /// The delivered commit has breaking changes, which `heddle.dev/accept-breaking` has let through.
    BreakingChangesAccepted = NotNeeded,
    /// The delivered commit has breaking changes, which `spec.compatibility.policy` `Warn` lets through.
    BreakingChangesAllowed = NotNeeded,
    /// The newest run ended before it compared anything.
    NotCompared = NotNeeded,
    /// The descriptor set of the delivered commit is in the cluster.
    DescriptorsPublished = NotNeeded,
    /// A run is in progress.
    Running = NotNeeded,
    /// Heddle has not looked at this yet.
    Pending = NotNeeded,
    /// `spec.suspend` is true, and there is something that would be done otherwise.
    Suspended = NotNeeded,
    /// The specification cannot work as it is.
    InvalidSpec = OnChange,
    /// A Secret that the specification names does not exist.
    SecretNotFound = OnChange,
    /// A Secret lacks a key, or one of its values cannot be used.
    SecretInvalid = OnChange,
    /// The name of the repository's host cannot be resolved.
    HostUnknown = Backoff,
    /// The host does not answer.
    ConnectionFailed = Backoff,
    /// The host took too long to answer, or the run took longer than `spec.timeout`.
    TimedOut = Backoff,
    /// The server's certificate is not signed by a trusted authority.
    TlsNotTrusted = Backoff,
    /// The ssh server's key is not in `known_hosts`.
    HostKeyNotTrusted = OnChange,
    /// The server refused the credentials, or there are none.
    AuthenticationFailed = Backoff,
    /// The server has no such repository, or hides it from these credentials.
    RepositoryNotFound = Backoff,
    /// The repository has no such branch, tag, version or commit.
    RefNotFound = Backoff,
    /// The address is one that the operator's policy refuses.
    AddressRefused = Backoff,
    /// The repository, or what is generated from it, is larger than a limit allows.
    LimitExceeded = OnChange,
    /// No `.proto` file matches `source.include` and `source.exclude`.
    NoProtoFiles = OnChange,
    /// The IDL does not compile.
    CompilationFailed = OnChange,
    /// An imported file is in none of the import roots.
    ImportNotFound = OnChange,
    /// The codegen image has no such plugin.
    PluginNotFound = OnChange,
    /// The commit has breaking changes, and `spec.compatibility.policy` refuses them.
    BreakingChanges = OnChange,
    /// The commit that was delivered last is no longer in the source, or does not compile by this specification, so
    /// that nothing can be compared with it.
    BaselineUnavailable = OnChange,
    /// A plugin reported an error, broke off, or exceeded a limit.
    PluginFailed = OnChange,
    /// A generated file would replace one that Heddle did not write.
    OutputConflict = OnChange,
    /// The server refused the push: a protected branch, a hook, or missing rights.
    PushRejected = Backoff,
    /// Others kept pushing to the output branch in mid-run, more often than the run tried.
    OutputMoved = Backoff,
    /// The code is delivered, and its descriptor set could not be written to the cluster.
    PublicationFailed = Backoff,
    /// The ConfigMaps of the descriptor set, or the right to write to them, are not there yet: there were fewer than it
    /// needs, which the next try makes, or the API server refuses one, or its name is taken.
    PublicationUnprepared = Backoff,
    /// The published descriptor set, or a part of it, has been deleted.
    PublicationLost = Backoff,
    /// The Job's pod could not start or was ended from outside: image, quota, memory, node.
    JobFailed = Backoff,
    /// Something else went wrong; the message says what.
    InternalError = Backoff,
}
