//! Every way in which a run can fail, as the status and people see it.

use crate::compile::CompileError;
use crate::deliver::DeliverError;
use crate::gate::GateError;
use crate::plugin::PluginError;
use crate::publish::{PublishError, ReadPublishedError};
use crate::redact::Redactor;
use crate::request::RequestError;
use crate::select::SelectError;
use crate::source::LocalError;
use crate::stop::Stopped;
use heddle_crds::codegen;
use heddle_crds::idl_repo::{Reason, RunError};
use heddle_git_remote::{GitError, GitErrorKind};
use heddle_telemetry::ErrorChain;
use std::path::PathBuf;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The IdlRepo cannot be worked on.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A Secret cannot be used.
    #[error("failed to use the Secret of the {which} repository")]
    Credentials {
        /// `source` or `output`.
        which: &'static str,
        /// Why not.
        #[source]
        source: GitError,
    },
    /// The source could not be fetched.
    #[error("failed to fetch the source {url}")]
    Source {
        /// The source repository.
        url: String,
        /// Why.
        #[source]
        source: GitError,
    },
    /// The working directory could not be read.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Nothing to compile.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It breaks others.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// No code.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Code, but no commit.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// A commit, but nothing in the cluster.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Nothing in the cluster to read.
    #[error(transparent)]
    ReadPublished(#[from] ReadPublishedError),
    /// Stopped in between.
    #[error(transparent)]
    Stop(#[from] Stopped),
    /// The folder to work in cannot be used.
    #[error("failed to write to the work folder {}", folder.display())]
    Work {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Standard output broke.
    #[error("failed to print the result")]
    Print(#[source] std::io::Error),
}

impl Failure {
    /// Why, in one word.
    pub fn reason(&self) -> Reason {
        if let Some(stopped) = self.stopped() {
            return stopped_reason(stopped);
        }
        match self {
            Self::Request(error) => error.reason(),
            Self::Credentials { source, .. } | Self::Source { source, .. } => git_reason(source),
            Self::Local(error) => error.reason(),
            Self::Select(error) => error.reason(),
            Self::Compile(error) => error.reason(),
            Self::Gate(error) => error.reason(),
            Self::Plugin(error) => error.reason(),
            Self::Publish(error) => error.reason(),
            Self::Deliver(error) => deliver_reason(error),
            Self::Stop(stopped) => stopped_reason(*stopped),
            Self::Work { .. } | Self::Print(_) | Self::ReadPublished(_) => Reason::InternalError,
        }
    }

    /// For the status: what is wrong, where, and what to do, without secrets.
    pub fn to_run_error(&self, redactor: &Redactor) -> RunError {
        RunError {
            reason: self.reason(),
            message: redactor.redact(&ErrorChain(self).to_string()),
        }
    }

    /// The exit code that the Job's failure policy acts on.
    pub fn exit_code(&self) -> i32 {
        codegen::exit_code(self.reason())
    }

    /// What a person at a terminal can do about it.
    pub fn hint(&self) -> &'static str {
        match self.reason() {
            Reason::CompilationFailed | Reason::ImportNotFound | Reason::NoProtoFiles => {
                "`heddle-codegen check -f … --local-source .` compiles a checkout without pushing it"
            }
            Reason::BreakingChanges => {
                "`heddle-codegen check -f … --local-source . --against main` finds them before they are pushed"
            }
            Reason::BaselineUnavailable => {
                "--against takes a commit, a branch or tag, or a file with a descriptor set"
            }
            Reason::PluginNotFound => {
                "put the executable protoc-gen-<name> into the plugin folder or on PATH; `heddle-codegen plugins` lists \
                 what is found"
            }
            Reason::PluginFailed => {
                "options of plugins go into spec.generate[].options; what a plugin has to read outside the system's \
                 directories is named by --plugin-reads"
            }
            Reason::AuthenticationFailed
            | Reason::SecretInvalid
            | Reason::HostKeyNotTrusted
            | Reason::TlsNotTrusted => {
                "--source-secret and --output-secret take a folder with a file for each key of the Secret: username and \
                 password, or bearerToken, and ca.crt; identity and known_hosts for ssh"
            }
            Reason::AddressRefused => "--denied-cidrs= with nothing after it permits every address",
            Reason::InvalidSpec => "`kubectl explain idlrepo.spec` tells the fields",
            Reason::OutputConflict => "--dry-run shows what would be written",
            _ => "HEDDLE_LOG=debug in the environment tells more",
        }
    }

    fn stopped(&self) -> Option<Stopped> {
        match self {
            Self::Stop(stopped) | Self::Deliver(DeliverError::Stop(stopped)) => Some(*stopped),
            Self::Plugin(error) => error.stopped(),
            Self::Gate(GateError::Baseline { source, .. }) => source.stopped(),
            _ => None,
        }
    }
}

fn stopped_reason(stopped: Stopped) -> Reason {
    match stopped {
        // Ended from outside; the operator knows best why.
        Stopped::Cancelled => Reason::JobFailed,
        Stopped::TimedOut(_) => Reason::TimedOut,
        Stopped::BrokeOff => Reason::InternalError,
    }
}

fn deliver_reason(error: &DeliverError) -> Reason {
    match error {
        DeliverError::Git { source, .. } => git_reason(source),
        DeliverError::Plan(error) => error.reason(),
        DeliverError::Reject { .. } => Reason::PushRejected,
        DeliverError::Move { .. } => Reason::OutputMoved,
        DeliverError::Stop(stopped) => stopped_reason(*stopped),
    }
}

fn git_reason(error: &GitError) -> Reason {
    match error.kind() {
        GitErrorKind::HostUnknown => Reason::HostUnknown,
        GitErrorKind::ConnectionFailed | GitErrorKind::RedirectRefused => Reason::ConnectionFailed,
        GitErrorKind::Timeout => Reason::TimedOut,
        GitErrorKind::TlsNotTrusted => Reason::TlsNotTrusted,
        GitErrorKind::HostKeyNotTrusted => Reason::HostKeyNotTrusted,
        GitErrorKind::AuthenticationFailed => Reason::AuthenticationFailed,
        GitErrorKind::RepositoryNotFound => Reason::RepositoryNotFound,
        GitErrorKind::ReferenceNotFound | GitErrorKind::CommitNotFound => Reason::RefNotFound,
        GitErrorKind::AddressRefused => Reason::AddressRefused,
        GitErrorKind::LimitExceeded => Reason::LimitExceeded,
        // Git is only ever cancelled because the run was.
        GitErrorKind::Cancelled => stopped_reason(Stopped::Cancelled),
        GitErrorKind::Rejected => Reason::PushRejected,
        GitErrorKind::InvalidUrl => Reason::InvalidSpec,
        GitErrorKind::InvalidCredentials => Reason::SecretInvalid,
        _ => Reason::InternalError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_run_has_the_same_reason_whoever_notices_first() {
        let git = || GitError::Cancel {
            remote: "https://git.example/idl.git".into(),
        };
        let url = String::from("https://git.example/idl.git");
        let failures = [
            Failure::Stop(Stopped::Cancelled),
            Failure::Source {
                url: url.clone(),
                source: git(),
            },
            Failure::Deliver(DeliverError::Git { url, source: git() }),
        ];
        for failure in failures {
            assert_eq!(failure.reason(), Reason::JobFailed, "{failure}");
            assert_eq!(failure.exit_code(), codegen::EXIT_TEMPORARY);
        }
    }
}
