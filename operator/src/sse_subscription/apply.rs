//! Does what was planned: stops and starts watchers, and claims streams.

use super::SubscriptionContext;
use super::checkpoint::{Checkpoint, CheckpointError, Place, Stored};
use super::observe::Observed;
use super::plan::Plan;
use super::resolve::{Resolved, ResolvedSource};
use super::types::Types;
use super::validate::ValidatedSubscription;
use super::watcher::cloud_event::Origin;
use super::watcher::delivery::Delivery;
use super::watcher::progress::Progress;
use super::watcher::source::Source;
use super::watcher::transcoder::Transcoder;
use super::watcher::{Outcome, Watcher, WatcherPlan};
use super::watchers::Circumstances;
use super::world::StoredSubscription;
use crate::conditions;
use heddle_crds::sse_subscription::Reason;
use heddle_telemetry::ErrorChain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How soon it is looked whether a claim has become free.
const CLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// How soon a watcher is started again that was deposed, or has panicked.
const DEPOSED_DELAY: Duration = Duration::from_secs(1);

/// The most events of one batch where no sink takes one in a request.
const INTERNAL_BATCH: usize = 1024;

type Problem = conditions::Problem<Reason>;

/// What was done.
#[derive(Debug, PartialEq)]
pub(crate) enum Applied {
    /// Another replica has its say.
    Nothing,
    /// It is looked again then.
    Again(Duration),
    /// No watcher runs, and this is why.
    Resting(Problem),
    /// A watcher runs.
    Watching,
    /// It runs by older types, and this is what is wrong with those that it is to go by.
    WatchingDespite(Problem),
}

/// Does what was planned.
pub(crate) async fn apply(
    context: &SubscriptionContext,
    key: &str,
    observed: Observed,
    plan: Plan,
) -> Result<Applied, CheckpointError> {
    Ok(match plan {
        Plan::Leave => {
            context.watchers.stop(key).await;
            Applied::Nothing
        }
        Plan::Rest(problem) => {
            context.watchers.stop(key).await;
            Applied::Resting(problem)
        }
        Plan::StayEnded(ended) => Applied::Resting(Problem {
            reason: ended.reason,
            message: ended.message,
        }),
        Plan::Wait => Applied::Again(CLAIM_INTERVAL),
        Plan::Keep => Applied::Watching,
        Plan::Swap => {
            if let Some(Ok(types)) = observed.types {
                swap(context, key, types);
            }
            Applied::Watching
        }
        Plan::KeepDespite(problem) => Applied::WatchingDespite(problem),
        Plan::Stop => match context.watchers.stop(key).await {
            Some(Outcome::Deposed) => Applied::Again(DEPOSED_DELAY),
            _ => Applied::Again(Duration::ZERO),
        },
        Plan::Start {
            circumstances,
            before,
        } => {
            let before = before.map(|before| *before);
            start(context, key, observed, circumstances, before).await?
        }
    })
}

fn swap(context: &SubscriptionContext, key: &str, types: Arc<Types>) {
    let (digest, commit) = (&types.descriptors.digest, &types.descriptors.source_revision);
    tracing::info!(
        subscription = key,
        digest,
        commit,
        "events are transcoded by other types"
    );
    context.watchers.swap(key, types);
}

async fn start(
    context: &SubscriptionContext,
    key: &str,
    observed: Observed,
    circumstances: Circumstances,
    before: Option<Stored>,
) -> Result<Applied, CheckpointError> {
    let (Ok(validated), Some(found), Some(own)) = (observed.validated, observed.found, observed.view.own)
    else {
        return Ok(Applied::Nothing);
    };
    let stored = &observed.stored;
    let resolved = context
        .sinks
        .resolve(stored.namespace(), &validated, &found.secrets);
    let resolved = match resolved {
        Ok(resolved) => resolved,
        Err(problem) => return Ok(Applied::Resting(problem)),
    };
    let checkpoint = Checkpoint::of(context.client.clone(), &stored.metadata);
    let Some(claimed) = Box::pin(claim(&checkpoint, before, &own)).await? else {
        return Ok(Applied::Again(CLAIM_INTERVAL));
    };
    let types = observed
        .types
        .and_then(Result::ok)
        .map(|types| watch::channel(types).0);
    let watcher = Start {
        context,
        key,
        stored,
        validated: &validated,
        types,
        circumstances,
        checkpoint,
        claimed,
    };
    Ok(watcher.start(resolved))
}

/// The place of a stream that only this process may go on with from now on. Nothing, if another one was faster.
async fn claim(
    checkpoint: &Checkpoint,
    before: Option<Stored>,
    own: &str,
) -> Result<Option<Stored>, CheckpointError> {
    let place = before
        .as_ref()
        .map(|before| before.place.clone())
        .unwrap_or_default();
    let place = Place {
        owner: Some(own.to_owned()),
        ended: None,
        ..place
    };
    match checkpoint.write(before.as_ref(), place).await {
        Ok(claimed) => Ok(Some(claimed)),
        Err(CheckpointError::Outdated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A watcher that is about to be started.
struct Start<'a> {
    context: &'a SubscriptionContext,
    key: &'a str,
    stored: &'a StoredSubscription,
    validated: &'a ValidatedSubscription,
    /// Where the watcher gets those from that it transcodes by.
    types: Option<watch::Sender<Arc<Types>>>,
    circumstances: Circumstances,
    checkpoint: Checkpoint,
    claimed: Stored,
}

impl Start<'_> {
    fn start(self, resolved: Resolved) -> Applied {
        let Resolved {
            source,
            sinks,
            dead_letter,
        } = resolved;
        let spec = &self.validated.spec;
        let place = &self.claimed.place;
        // A stream that has no place yet begins where the specification says.
        let resume_after: Arc<str> = match (place.last_event_id.as_str(), &spec.source.last_event_id) {
            ("", Some(id)) => id.as_str().into(),
            (id, _) => id.into(),
        };
        let progress = Arc::new(Progress::new(
            self.key.to_owned(),
            self.context.news.clone(),
            Arc::clone(&self.context.metrics.subscriptions),
            Arc::clone(&resume_after),
            &place.counts,
            place.last_event_at.as_ref().map(|time| time.0),
        ));
        let source = match self.source(source, &resume_after) {
            Ok(source) => source,
            Err(problem) => return Applied::Resting(problem),
        };
        let delivery = Delivery {
            origin: self.origin(),
            transcoder: self.transcoder(),
            sinks,
            dead_letter,
            retries: spec.delivery.retries,
            delays: self.validated.times.retry,
            fence: self.context.fence.clone(),
            progress: Arc::clone(&progress),
        };
        let watcher = Box::new(Watcher::new(
            self.watcher_plan(delivery),
            source,
            self.checkpoint,
            self.claimed,
            Arc::clone(&progress),
            resume_after,
        ));
        let watchers = &self.context.watchers;
        let (key, circumstances) = (self.key.to_owned(), self.circumstances);
        watchers.start(key, circumstances, self.types, progress, watcher);
        Applied::Watching
    }

    fn source(&self, resolved: ResolvedSource, resume_after: &Arc<str>) -> Result<Source, Problem> {
        let sources = &self.context.sources;
        Source::new(self.validated, resolved, sources, resume_after).map_err(|error| Problem {
            reason: Reason::InvalidSpec,
            message: format!("{}.", ErrorChain(&error)),
        })
    }

    fn transcoder(&self) -> Option<Transcoder> {
        let transcoding = self.validated.spec.transcoding.clone()?;
        let types = self.types.as_ref()?.subscribe();
        Some(Transcoder::new(types, transcoding, self.stored.namespace()))
    }

    fn origin(&self) -> Origin {
        let (namespace, name) = (self.stored.namespace(), self.stored.name());
        let mut subject = self.validated.url.clone();
        subject.set_query(None);
        subject.set_fragment(None);
        let source = format!("/apis/heddle.dev/v1alpha1/namespaces/{namespace}/ssesubscriptions/{name}");
        Origin::new(&source, subject.as_str())
    }

    fn watcher_plan(&self, delivery: Delivery) -> WatcherPlan {
        let (spec, settings) = (&self.validated.spec, &self.context.settings);
        let has_http = spec.sinks.iter().any(|sink| sink.http.is_some());
        let asked = usize::try_from(spec.delivery.batch.max_events).unwrap_or(usize::MAX);
        WatcherPlan {
            filter: Arc::clone(&self.validated.filter),
            delivery: Arc::new(delivery),
            batch_events: if has_http {
                asked.max(1)
            } else {
                asked.max(INTERNAL_BATCH)
            },
            batch_delay: self.validated.times.max_delay.unwrap_or_default(),
            in_flight: match spec.delivery.ordered {
                true => 1,
                false => usize::try_from(spec.delivery.in_flight).unwrap_or(1).max(1),
            },
            buffer_bytes: settings.buffer_bytes,
            checkpoint_interval: settings.checkpoint_interval,
            trace_ratio: settings.trace_ratio,
            generation: self.circumstances.generation,
            requested_at: self.circumstances.requested_at.clone(),
        }
    }
}
