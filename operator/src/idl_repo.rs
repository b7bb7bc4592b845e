//! The controller of `IdlRepo`: keeps the generated code of a repository of IDL up to date.

mod apply;
mod controller;
mod job;
mod notice;
mod observe;
mod plan;
mod run;
mod schedule;
mod status;
mod validate;

use crate::context::{Context, DeadlinePassed, now};
use crate::events;
use crate::source::{Stopping, Turn};
use apply::Applied;
use futures::FutureExt;
use futures::future::BoxFuture;
use heddle_crds::IdlRepoStatus;
use heddle_crds::idl_repo::IdlRepo;
use heddle_telemetry::TraceParent;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use kube::runtime::controller::Action;
use notice::Notice;
use observe::{ObserveError, Observed, ObservedSecrets, Stored};
use plan::{Plan, RunNews, Step};
use rand::Rng;
use status::WriteStatusError;
use std::time::Duration;
use tracing::{Instrument, Span, info_span};
use validate::{InvalidSpec, ValidatedSpec, validate};

pub(crate) use controller::{Controller, Synced, run};
pub(crate) use observe::Check;
pub(crate) use plan::Cause;

/// How soon to look again at a run that another process has started: right away, but not in a tight loop.
const STARTED_BEFORE_DELAY: Duration = Duration::from_secs(1);

/// How long the turn to ask a source is waited for before the object is looked at without its answer for the first time.
const PATIENCE_MINIMUM: Duration = Duration::from_secs(1);

/// How long it is waited for between such looks at most.
const PATIENCE_LIMIT: Duration = Duration::from_secs(60);

/// Why a reconcile failed. What is wrong with an IdlRepo, its source or its runs is none of these: that is reported in
/// its status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Observe(#[from] observe::ObserveError),
    #[error(transparent)]
    Apply(#[from] apply::ApplyError),
    #[error(transparent)]
    WriteStatus(#[from] WriteStatusError),
    #[error(transparent)]
    Deadline(#[from] DeadlinePassed),
    #[error("failed to reconcile: it panicked, which is logged with its place")]
    Panic,
}

impl ReconcileError {
    /// For metrics.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Apply(_) => "apply",
            Self::WriteStatus(WriteStatusError::Outdated) => "outdated",
            Self::WriteStatus(_) => "status",
            Self::Deadline(_) => "deadline",
            Self::Panic => "panic",
        }
    }
}

/// What a first look at an object comes to.
enum Look {
    /// There is nothing more to do.
    Settled(Action),
    /// There may be.
    Subject(Box<Subject>),
}

/// An IdlRepo that can be worked with.
struct Subject {
    idl_repo: IdlRepo,
    spec: ValidatedSpec,
    secrets: ObservedSecrets,
    check_is_due: bool,
}

/// Brings one IdlRepo a step further, and says when to look at it again.
async fn reconcile(context: &Context, name: &str, namespace: &str) -> Result<Action, ReconcileError> {
    let mut queue = None;
    let mut patience = PATIENCE_MINIMUM;
    loop {
        let subject = match context.work(look(context, name, namespace)).await? {
            Look::Settled(action) => return Ok(action),
            Look::Subject(subject) => *subject,
        };
        if !subject.check_is_due {
            return context.work(advance(context, subject, None)).await;
        }
        if let Some(problem) = subject.secrets.source_problem() {
            let check = Check::Failed(problem.clone());
            return context.work(advance(context, subject, Some(check))).await;
        }
        // Outside of the work that is bounded: many others may want to ask the same host.
        let mut place = Place::kept_or_new(context, queue.take(), subject.spec.source.url.host());
        match tokio::time::timeout(patience, &mut place.turn).await {
            Ok(turn) => {
                let turn = turn.map_err(ObserveError::Ask)?;
                let check = observe::check(context, &subject.spec, &subject.secrets, turn).await;
                let check = check.map_err(ObserveError::Ask)?;
                return context.work(advance(context, subject, Some(check))).await;
            }
            // A host that is busy must not keep the end of a run, or a change of the specification, from being seen.
            Err(_) => context.work(advance(context, subject, None)).await.map(drop)?,
        }
        queue = Some(place);
        patience = next_patience(patience);
    }
}

/// A place in the queue of those that want to ask a host.
struct Place<'a> {
    host: String,
    turn: BoxFuture<'a, Result<Turn, Stopping>>,
}

impl<'a> Place<'a> {
    /// The place held so far, unless another host is to be asked now.
    fn kept_or_new(context: &'a Context, held: Option<Self>, host: &str) -> Self {
        held.filter(|place| place.host == host).unwrap_or_else(|| Self {
            host: host.to_owned(),
            turn: {
                let host = host.to_owned();
                async move { context.source.wait_for_turn(&host).await }.boxed()
            },
        })
    }
}

/// Twice as long, at most [`PATIENCE_LIMIT`], with some of it taken away at random: many wait at the same time.
fn next_patience(patience: Duration) -> Duration {
    let longer = (patience * 2).min(PATIENCE_LIMIT);
    longer.mul_f64(rand::rng().random_range(0.75..=1.0))
}

async fn look(context: &Context, name: &str, namespace: &str) -> Result<Look, ReconcileError> {
    let idl_repo = match observe::stored(context, name, namespace).await? {
        None => return Ok(Look::Settled(Action::await_change())),
        Some(Stored::IdlRepo(idl_repo)) => *idl_repo,
        Some(Stored::Unreadable {
            metadata,
            status,
            error,
        }) => {
            let after = status::status_of_unreadable(status.as_deref(), &error, metadata.generation, now());
            return refuse(context, &metadata, status.as_deref(), &after, &RunNews::default()).await;
        }
    };
    // Its Jobs are garbage-collected with it.
    if idl_repo.metadata.deletion_timestamp.is_some() {
        return Ok(Look::Settled(Action::await_change()));
    }
    let spec = match validate(&idl_repo) {
        Ok(spec) => spec,
        Err(invalid) => return refuse_specification(context, &idl_repo, &invalid).await,
    };
    let secrets = observe::secrets(context, &idl_repo, &spec).await?;
    let check_is_due = plan::check_is_due(
        &idl_repo,
        &spec,
        &secrets.version,
        &context.settings_version,
        now(),
    );
    Ok(Look::Subject(Box::new(Subject {
        idl_repo,
        spec,
        secrets,
        check_is_due,
    })))
}

async fn advance(
    context: &Context,
    subject: Subject,
    check: Option<Check>,
) -> Result<Action, ReconcileError> {
    let Subject {
        idl_repo,
        spec,
        secrets,
        check_is_due,
    } = subject;
    // The answer may have taken long; what was asked for may no longer be wanted.
    if check.is_some() && !observe::is_current(context, &idl_repo).await? {
        return Err(WriteStatusError::Outdated.into());
    }
    let now = now();
    let runs = observe::runs(context, &idl_repo).await?;
    let publication = observe::publication(context, &idl_repo).await?;
    let observed = Observed {
        runs,
        secrets,
        publication,
        settings_version: context.settings_version.clone(),
        awaits_source: check_is_due && check.is_none(),
        check,
    };
    let mut plan = plan::plan(&idl_repo, &spec, &observed, now);
    let span = change_span(&plan);
    let trace_parent = TraceParent::of(&span);
    let applying = apply::apply(context, &idl_repo, &spec, &plan, trace_parent.as_ref());
    let applied = applying.instrument(span.clone()).await?;
    plan.absorb(&applied);
    let after = status::status(&spec, &observed, &plan, idl_repo.metadata.generation, now);
    let before = idl_repo.status.as_ref();
    status::write_if_changed(&context.client, &idl_repo.metadata, before, &after).await?;
    count(context, &plan, &applied);
    tell(
        context,
        &idl_repo.metadata,
        notice::notices(before, &after, &plan, &applied),
        span,
    )
    .await;
    Ok(next(context, &idl_repo, &plan, &applied))
}

async fn refuse_specification(
    context: &Context,
    idl_repo: &IdlRepo,
    invalid: &InvalidSpec,
) -> Result<Look, ReconcileError> {
    // A run by an earlier specification goes on: it delivers what was right when it started.
    let runs = observe::runs(context, idl_repo).await?;
    let mut record = idl_repo.status.clone().unwrap_or_default();
    let news = plan::add_runs(&mut record, &idl_repo.spec.digest(), &runs, now());
    let after = status::status_of_invalid(record, invalid, idl_repo.metadata.generation, now());
    refuse(
        context,
        &idl_repo.metadata,
        idl_repo.status.as_ref(),
        &after,
        &news,
    )
    .await
}

async fn refuse(
    context: &Context,
    metadata: &ObjectMeta,
    before: Option<&IdlRepoStatus>,
    after: &IdlRepoStatus,
    news: &RunNews,
) -> Result<Look, ReconcileError> {
    status::write_if_changed(&context.client, metadata, before, after).await?;
    count_news(context, news);
    let mut notices = notice::of_runs(news, after);
    notices.extend(notice::of_refusal(before, after));
    tell(context, metadata, notices, Span::none()).await;
    let is_running = after
        .last_run
        .as_ref()
        .is_some_and(|run| run.finished_at.is_none());
    Ok(Look::Settled(match is_running {
        true => Action::requeue(plan::RUN_REFRESH),
        false => Action::await_change(),
    }))
}

/// The span of what the plan changes. A new run starts a trace of its own, unless whoever asked for it has begun one; another
/// attempt goes on with the first one's.
fn change_span(plan: &Plan) -> Span {
    match &plan.step {
        Step::Start(request) => match &request.trace_parent {
            Some(parent) => notice::continued(parent),
            None => info_span!(parent: None, "idl_repo.change", cause = request.cause.as_str()),
        },
        _ => Span::none(),
    }
}

async fn tell(context: &Context, metadata: &ObjectMeta, notices: Vec<Notice>, span: Span) {
    if notices.is_empty() {
        return;
    }
    let span = match span.is_none() {
        true => info_span!(parent: None, "idl_repo.change"),
        false => span,
    };
    let reference = events::reference::<IdlRepo>(metadata);
    for notice in notices {
        notice.tell(context, &reference, &span).await;
    }
}

fn count(context: &Context, plan: &Plan, applied: &Applied) {
    count_news(context, &plan.news);
    if let (Applied::Started(_), Step::Start(request)) = (applied, &plan.step) {
        context.metrics.count_run_started(request.cause);
    }
}

fn count_news(context: &Context, news: &RunNews) {
    for finished in &news.finished {
        context.metrics.count_run_finished(&finished.run);
    }
    if let Some(cause) = news.taken_over.as_ref().and_then(|run| run.cause) {
        context.metrics.count_run_started(cause);
    }
}

fn next(context: &Context, idl_repo: &IdlRepo, plan: &Plan, applied: &Applied) -> Action {
    let object = key(&idl_repo.name_any(), idl_repo.namespace().as_deref());
    if let Applied::Refused(_) = applied {
        return Action::requeue(context.refusals.add(&object));
    }
    context.refusals.clear(&object);
    Action::requeue(match applied {
        Applied::StartedBefore => STARTED_BEFORE_DELAY,
        _ => Duration::try_from(plan.wake_at.duration_since(Timestamp::now())).unwrap_or_default(),
    })
}

/// How an object is called where its failures are counted.
fn key(name: &str, namespace: Option<&str>) -> String {
    format!("{}/{name}", namespace.unwrap_or_default())
}
