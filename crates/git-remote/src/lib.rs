//! Git remotes over https and ssh: listing references, shallow fetches by commit, pushes with a lease.
//!
//! libgit2 does the Git part. The network part is ours: each [`Remote`] carries its own credentials, trust,
//! [`AddressPolicy`] and [`Limits`], so that many repositories with different certificate authorities can be handled
//! at once in one process, and every failure says whose fault it is ([`GitErrorKind`]).
//!
//! All calls block; asynchronous callers run them on a blocking thread and stop them by [`Cancellation`].

mod address;
mod cancellation;
mod commit_id;
mod credentials;
mod error;
mod fetch;
mod libgit2;
mod limits;
mod output;
mod push;
mod reference;
mod remote;
mod selector;
mod session;
mod snapshot;
mod text;
mod transport;
mod tree;
mod url;

pub use address::AddressPolicy;
pub use cancellation::Cancellation;
pub use commit_id::{CommitId, ParseCommitIdError};
pub use credentials::{Credentials, SecretKey, secrets_of_login};
pub use error::{GitError, GitErrorKind};
pub use fetch::{FetchProgress, fetch_commit};
pub use limits::Limits;
pub use output::{CommitDetails, Edit, Edits, OutputBranch, Signature};
pub use push::PushOutcome;
pub use reference::{Reference, list_references};
pub use remote::Remote;
pub use selector::{Resolved, Selector, resolve};
pub use snapshot::{FileEntry, FileKind, Snapshot};
pub use url::RemoteUrl;
