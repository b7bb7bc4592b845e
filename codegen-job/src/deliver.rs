//! The commit: planned on the tip of the output branch, pushed with a lease, planned again when the branch has moved.

use crate::manifest::Owner;
use crate::message::{Facts, compose};
use crate::observe::{ObserveError, observe};
use crate::output::{ObservedOutput, Plan, PlanError, plan};
use crate::plugin::{GeneratedFiles, PluginVersion};
use crate::request::Request;
use crate::source::Fetched;
use crate::stop::{Stop, Stopped, blocking};
use heddle_crds::idl_repo::FileCounts;
use heddle_git_remote::{Cancellation, CommitDetails, CommitId, GitError, OutputBranch, PushOutcome, Remote};
use rand::Rng;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a push is tried before others are left to it.
const TRIES: u32 = 6;
/// How long to wait after the first failed try at most; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// What to deliver, and where.
#[derive(Clone)]
pub struct Delivery {
    /// What was asked for.
    pub request: Arc<Request>,
    /// The output repository.
    pub remote: Remote,
    /// Stops Git operations before the push.
    pub cancellation: Cancellation,
    /// A folder for a bare repository.
    pub folder: PathBuf,
    /// The source commit.
    pub source: Arc<Fetched>,
    /// The files.
    pub generated: Arc<GeneratedFiles>,
    /// What wrote them.
    pub plugins: Arc<Vec<PluginVersion>>,
    /// The breaking changes among them, in the words of the trailer.
    pub breaking: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// The commit that holds the files: new, or there already. Nothing in a repository that stays empty.
    pub commit: Option<CommitId>,
    /// Whether it is new.
    pub committed: bool,
    /// What became of the files.
    pub counts: FileCounts,
}

/// Why it could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Git failed.
    #[error("failed to deliver to {url}")]
    Git {
        /// The output repository.
        url: String,
        /// Why.
        #[source]
        source: GitError,
    },
    /// Others' files are in the way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The server said no.
    #[error(
        "failed to push to branch {branch:?} of {url}: the server refused: {reason}; check branch protection, hooks and the account's rights"
    )]
    Reject {
        /// The output repository.
        url: String,
        /// The branch.
        branch: String,
        /// The server's words.
        reason: String,
    },
    /// Others were faster each time.
    #[error("failed to push to branch {branch:?} of {url}: others pushed to it during each of {TRIES} tries")]
    Move {
        /// The output repository.
        url: String,
        /// The branch.
        branch: String,
    },
    /// The run was stopped before the push.
    #[error(transparent)]
    Stop(#[from] Stopped),
}

/// What one try is about to push.
struct Prepared {
    branch: OutputBranch,
    counts: FileCounts,
    action: Action,
}

enum Action {
    Push(CommitId),
    /// The files are there, but not yet on a branch of this name.
    CreateBranch(CommitId),
    Nothing(Option<CommitId>),
}

/// Delivers the files, or finds that they are there.
///
/// # Errors
/// When others' files are in the way, Git fails, or the server does not take the push.
pub async fn deliver(delivery: &Delivery, stop: &Stop) -> Result<Delivered, DeliverError> {
    let mut branch = open(delivery, stop).await?;
    for attempt in 1..=TRIES {
        let prepared = prepare(delivery, branch, stop).await?;
        let counts = prepared.counts;
        let (commit, committed) = match prepared.action {
            Action::Push(commit) => (commit, true),
            Action::CreateBranch(commit) => (commit, false),
            Action::Nothing(commit) => {
                tracing::info!("nothing has changed");
                return Ok(Delivered {
                    commit,
                    committed: false,
                    counts,
                });
            }
        };
        stop.check()?;
        // From here on the push goes through, whoever wants to stop it: half of one would leave us guessing.
        let (pushed, outcome) = push(prepared.branch, commit).await?;
        if delivery.judge(outcome, attempt)? {
            tracing::info!(%commit, branch = %delivery.request.output.branch, "pushed");
            return Ok(Delivered {
                commit: Some(commit),
                committed,
                counts,
            });
        }
        stop.guard(tokio::time::sleep(wait(attempt))).await?;
        branch = refresh(delivery, pushed, stop).await?;
    }
    Err(DeliverError::Move {
        url: delivery.url(),
        branch: delivery.request.output.branch.clone(),
    })
}

/// The plan and what it was made from, without pushing anything.
///
/// # Errors
/// As [`deliver`].
pub async fn rehearse(delivery: &Delivery, stop: &Stop) -> Result<(Plan, ObservedOutput), DeliverError> {
    let branch = open(delivery, stop).await?;
    let own = delivery.clone();
    stop.guard_blocking(&delivery.cancellation, move || own.plan(&branch))
        .await?
}

async fn open(delivery: &Delivery, stop: &Stop) -> Result<OutputBranch, DeliverError> {
    let Delivery {
        remote,
        folder,
        request,
        ..
    } = delivery.clone();
    let work = move || OutputBranch::open(&remote, &folder, &request.output.branch, &mut |_| {});
    stop.guard_blocking(&delivery.cancellation, work)
        .await?
        .map_err(|error| delivery.fail(error))
}

async fn refresh(
    delivery: &Delivery,
    mut branch: OutputBranch,
    stop: &Stop,
) -> Result<OutputBranch, DeliverError> {
    let work = move || branch.refresh(&mut |_| {}).map(|()| branch);
    stop.guard_blocking(&delivery.cancellation, work)
        .await?
        .map_err(|error| delivery.fail(error))
}

async fn prepare(delivery: &Delivery, branch: OutputBranch, stop: &Stop) -> Result<Prepared, DeliverError> {
    let own = delivery.clone();
    stop.guard_blocking(&delivery.cancellation, move || own.prepare(branch))
        .await?
}

async fn push(
    mut branch: OutputBranch,
    commit: CommitId,
) -> Result<(OutputBranch, Result<PushOutcome, GitError>), Stopped> {
    let work = move || {
        let outcome = branch
            .push(commit)
            .or_else(|error| match branch.refresh(&mut |_| {}) {
                // The push took effect, only its answer got lost.
                Ok(()) if branch.tip() == Some(commit) => Ok(PushOutcome::Pushed),
                _ => Err(error),
            });
        (branch, outcome)
    };
    blocking(work).await
}

impl Delivery {
    fn owner(&self) -> Owner {
        Owner {
            namespace: self.request.namespace.clone(),
            name: self.request.name.clone(),
        }
    }

    fn url(&self) -> String {
        self.request.output.url.to_string()
    }

    fn fail(&self, source: GitError) -> DeliverError {
        DeliverError::Git {
            url: self.url(),
            source,
        }
    }

    fn rejected(&self, reason: String) -> DeliverError {
        DeliverError::Reject {
            url: self.url(),
            branch: self.request.output.branch.clone(),
            reason,
        }
    }

    /// Whether the push took effect. If not, and there is no error, another try may.
    fn judge(&self, outcome: Result<PushOutcome, GitError>, attempt: u32) -> Result<bool, DeliverError> {
        match outcome {
            Ok(PushOutcome::Pushed) => return Ok(true),
            Ok(PushOutcome::Moved { now }) => {
                let now = now.map(tracing::field::display);
                tracing::info!(attempt, now, "the output branch has moved");
            }
            Ok(PushOutcome::Rejected { reason }) => return Err(self.rejected(reason)),
            Err(error) if error.is_transient() && attempt < TRIES => {
                tracing::warn!(attempt, error = %heddle_telemetry::ErrorChain(&error), "a push broke off");
            }
            Err(error) => return Err(self.fail(error)),
        }
        Ok(false)
    }

    fn plan(&self, branch: &OutputBranch) -> Result<(Plan, ObservedOutput), DeliverError> {
        let (owner, root) = (self.owner(), &self.request.output.path);
        let observed = observe(branch, &owner, root, &self.generated).map_err(|error| match error {
            ObserveError::Read(error) => self.fail(error),
            ObserveError::Record(error) => DeliverError::Plan(error),
        })?;
        let plan = plan(&owner, root, &self.generated, &observed)?;
        for path in &plan.reclaimed {
            tracing::warn!(%path, "a generated file had been edited; the edit is overwritten");
        }
        Ok((plan, observed))
    }

    fn prepare(&self, branch: OutputBranch) -> Result<Prepared, DeliverError> {
        let (plan, _) = self.plan(&branch)?;
        let details = self.details(plan.counts);
        let commit = branch
            .commit(&plan.edits, &details)
            .map_err(|error| self.fail(error))?;
        let action = match (commit, branch.base(), branch.tip()) {
            (Some(commit), _, _) => Action::Push(commit),
            (None, Some(base), None) => Action::CreateBranch(base),
            (None, base, _) => Action::Nothing(base),
        };
        Ok(Prepared {
            branch,
            counts: plan.counts,
            action,
        })
    }

    fn details(&self, counts: FileCounts) -> CommitDetails {
        let output = &self.request.output;
        let facts = Facts {
            namespace: &self.request.namespace,
            name: &self.request.name,
            repository: &self.request.source.url,
            selector: &self.request.source.selector,
            commit: self.source.commit,
            subject: &self.source.subject,
            counts,
            plugins: &self.plugins,
            breaking: self.breaking.clone(),
            trace_parent: heddle_telemetry::TraceParent::current().map(|parent| parent.to_string()),
        };
        CommitDetails {
            author: output.author.clone(),
            committer: output.author.clone(),
            time: now(),
            message: compose(&output.template, &facts),
        }
    }
}

/// A clock before 1970 is one that is not set.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Anything up to the limit, so that two who collided do not collide again.
fn wait(attempt: u32) -> Duration {
    let limit = FIRST_WAIT * 2_u32.saturating_pow(attempt - 1);
    limit.mul_f64(rand::rng().random_range(0.2..=1.0))
}
