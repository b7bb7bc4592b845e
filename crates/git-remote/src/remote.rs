//! Everything that is needed to talk to one remote.

use std::path::PathBuf;
use std::time::Instant;

use crate::{AddressPolicy, Cancellation, Credentials, GitError, Limits, RemoteUrl};

/// A remote repository, how to authenticate to it, and what talking to it may cost. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote {
    pub(crate) url: RemoteUrl,
    pub(crate) credentials: Credentials,
    pub(crate) policy: AddressPolicy,
    pub(crate) limits: Limits,
    pub(crate) cancellation: Cancellation,
    pub(crate) trace_parent: Option<String>,
    pub(crate) spool_directory: Option<PathBuf>,
    pub(crate) deadline: Option<Instant>,
}

impl Remote {
    /// A remote without credentials, with the default [`AddressPolicy`] and [`Limits`].
    #[must_use]
    pub fn new(url: RemoteUrl) -> Self {
        Self {
            url,
            credentials: Credentials::default(),
            policy: AddressPolicy::default(),
            limits: Limits::default(),
            cancellation: Cancellation::default(),
            trace_parent: None,
            spool_directory: None,
            deadline: None,
        }
    }

    /// Authenticates with `credentials`, and trusts what they say about the server.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Connects only to addresses that `policy` permits.
    #[must_use]
    pub fn with_address_policy(mut self, policy: AddressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Bounds every operation by `limits`.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Stops every operation once `cancellation` is cancelled.
    #[must_use]
    pub fn with_cancellation(mut self, cancellation: Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// Sends `trace_parent` as the `traceparent` header (W3C Trace Context) with https requests. Text that is not in
    /// that format is left out rather than sent.
    #[must_use]
    pub fn with_trace_parent(mut self, trace_parent: Option<String>) -> Self {
        self.trace_parent = trace_parent.filter(|text| is_trace_parent(text));
        self
    }

    /// Ends every operation at `deadline`, whenever it started; [`Limits::total_timeout`] counts for each anew.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Keeps requests over https that are larger than 8 MiB, such as big pushes, in `directory` while they are sent.
    /// Without this it is the system's directory for temporary files. Nothing is left in it.
    #[must_use]
    pub fn with_spool_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.spool_directory = Some(directory.into());
        self
    }

    /// Where the remote is.
    #[must_use]
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// Fails when the credentials cannot be used with this URL, before anything is sent.
    ///
    /// # Errors
    /// [`crate::GitErrorKind::InvalidCredentials`], naming the key of the Secret that is missing.
    pub fn check(&self) -> Result<(), GitError> {
        self.credentials.check_for(&self.url)
    }
}

/// Version 00 of the format: version, trace id, span id and flags in lower-case hexadecimal.
fn is_trace_parent(text: &str) -> bool {
    let hexadecimal = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    text.split('-').map(str::len).eq([2, 32, 16, 2]) && text.split('-').all(hexadecimal)
}
