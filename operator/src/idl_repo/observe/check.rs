//! Asks the source for its newest commit.

use super::{ObservedSecrets, Problem, reason};
use crate::context::Context;
use crate::idl_repo::validate::ValidatedSpec;
use crate::source::{Stopping, Turn};
use heddle_crds::condition::{MESSAGE_LIMIT, truncate};
use heddle_git_remote::{GitError, Remote, Resolved};
use heddle_telemetry::ErrorChain;

/// What the source said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Check {
    Found {
        /// The full id.
        commit: String,
        /// The full name of the branch or tag that led there, if one did.
        reference: Option<String>,
    },
    Failed(Problem),
}

/// Asks the source when it is its turn, which takes some time.
pub(crate) async fn check(
    context: &Context,
    spec: &ValidatedSpec,
    secrets: &ObservedSecrets,
    turn: Turn,
) -> Result<Check, Stopping> {
    let credentials = match &secrets.source {
        Ok(credentials) => credentials.clone(),
        Err(problem) => return Ok(Check::Failed(problem.clone())),
    };
    let remote = Remote::new(spec.source.url.clone()).with_credentials(credentials);
    let check = match context
        .source
        .resolve(turn, remote, spec.source.selector.clone())
        .await?
    {
        Ok(Resolved { commit, reference }) => Check::Found {
            commit: commit.to_string(),
            reference,
        },
        Err(error) => Check::Failed(problem(&error)),
    };
    context.metrics.count_check(&check);
    Ok(check)
}

fn problem(error: &GitError) -> Problem {
    let mut message = ErrorChain(error).to_string();
    truncate(&mut message, MESSAGE_LIMIT);
    Problem {
        reason: reason(error.kind()),
        message,
    }
}
