//! The controller of `SseSubscription`: keeps a watcher for each that is this replica's share, and says how it does.
//!
//! It runs on every replica. Who looks after a subscription also writes its status.

mod apply;
mod checkpoint;
mod connector;
mod controller;
mod notice;
mod observe;
mod plan;
mod resolve;
mod status;
mod tls;
mod types;
mod validate;
mod watcher;
mod watchers;
mod world;

use crate::broadcaster::Broadcaster;
use crate::context::{DeadlinePassed, now};
use crate::metrics::Metrics;
use crate::settings::SubscriptionsSettings;
use crate::sharding::{Fence, View};
use crate::write_status::{self, WriteStatusError};
use apply::Applied;
use checkpoint::CheckpointError;
use heddle_crds::SseSubscription;
use kube::Client;
use observe::ObserveError;
use resolve::SinkFactory;
use status::Watched;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tls::TlsMaterialError;
use tokio::sync::watch;
use types::TypesCache;
use watcher::progress::News;
use watcher::source::Sources;
use watchers::Watchers;
use world::{StoredSubscription, World};

pub(crate) use controller::{Controller, Synced, run};
pub(crate) use validate::validate;

/// How long one look at a subscription may take.
const WORK_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the status of one subscription is written at most.
const STATUS_INTERVAL: Duration = Duration::from_millis(2500);

/// How soon it is looked again for an IdlRepo, which is not watched.
const UNRESOLVED_DELAY: Duration = Duration::from_secs(30);

/// What every reconcile needs.
pub(crate) struct SubscriptionContext {
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) settings: SubscriptionsSettings,
    /// Who is there.
    pub(crate) view: watch::Receiver<View>,
    /// Until when this replica may act.
    pub(crate) fence: Fence,
    /// Who reports events: the name of the pod.
    pub(crate) instance: String,
    world: World,
    watchers: Watchers,
    news: News,
    sinks: SinkFactory,
    sources: Sources,
    types: TypesCache,
    /// When the status of each was written last, while that is of interest.
    written_at: Mutex<BTreeMap<String, Instant>>,
}

/// Why no connection could be made to any source or sink.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("failed to prepare connections to sinks")]
    Sinks(#[from] TlsMaterialError),
    #[error("failed to prepare connections to sources")]
    Sources(#[from] heddle_sse_client::TlsError),
}

/// Why a reconcile failed. What is wrong with a subscription is none of these: that is reported in its status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    WriteStatus(#[from] WriteStatusError),
    #[error(transparent)]
    Deadline(#[from] DeadlinePassed),
}

impl ReconcileError {
    /// For metrics.
    fn class(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Checkpoint(_) => "checkpoint",
            Self::WriteStatus(_) => "status",
            Self::Deadline(_) => "deadline",
        }
    }
}

impl SubscriptionContext {
    pub(crate) fn new(
        client: Client,
        metrics: Metrics,
        settings: SubscriptionsSettings,
        broadcaster: Broadcaster,
        view: watch::Receiver<View>,
        fence: Fence,
        instance: String,
    ) -> Result<Self, PrepareError> {
        Ok(Self {
            sinks: SinkFactory::new(client.clone(), settings.policy.clone(), broadcaster)?,
            sources: Sources::new(settings.policy.clone())?,
            client,
            metrics,
            settings,
            view,
            fence,
            instance,
            world: World::default(),
            watchers: Watchers::default(),
            news: News::default(),
            types: TypesCache::default(),
            written_at: Mutex::default(),
        })
    }

    /// How long the next status of a subscription has to wait.
    fn status_wait(&self, key: &str, now: Instant) -> Option<Duration> {
        let written_at = self.written_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = *written_at.get(key)? + STATUS_INTERVAL;
        due.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn note_written(&self, key: &str, now: Instant) {
        let mut written_at = self.written_at.lock().unwrap_or_else(PoisonError::into_inner);
        written_at.retain(|_, at| now.duration_since(*at) < STATUS_INTERVAL);
        written_at.insert(key.to_owned(), now);
    }
}

/// Brings a subscription up to date. When to look again, if nothing happens.
async fn reconcile(context: &SubscriptionContext, key: &str) -> Result<Option<Duration>, ReconcileError> {
    tokio::time::timeout(WORK_TIMEOUT, advance(context, key))
        .await
        .unwrap_or(Err(DeadlinePassed.into()))
}

async fn advance(context: &SubscriptionContext, key: &str) -> Result<Option<Duration>, ReconcileError> {
    let Some(stored) = context.world.subscription(key) else {
        context.watchers.stop(key).await;
        return Ok(None);
    };
    // One after the other, each with room of its own: together they would have the room of the largest for as long as any of
    // them waits, and what is allocated for long in between would lie scattered over it.
    let observed = Box::pin(observe::observe(context, key, Arc::clone(&stored))).await?;
    let plan = plan::plan(&observed);
    let is_unresolved = matches!(observed.types, Some(Err(_)));
    let applied = Box::pin(apply::apply(context, key, observed, plan)).await?;
    let subscriptions = &context.metrics.subscriptions;
    subscriptions
        .watched
        .set(i64::try_from(context.watchers.len()).unwrap_or(i64::MAX));
    match applied {
        Applied::Nothing => Ok(None),
        Applied::Again(delay) => Ok(Some(delay)),
        Applied::Resting(_) | Applied::Watching | Applied::WatchingDespite(_) => {
            let again = Box::pin(write_status(context, key, &stored, &applied)).await?;
            Ok(again.or(is_unresolved.then_some(UNRESOLVED_DELAY)))
        }
    }
}

/// Writes the status of a subscription if it is new and its turn, and tells of it. How soon to try again, if it is not.
async fn write_status(
    context: &SubscriptionContext,
    key: &str,
    stored: &StoredSubscription,
    applied: &Applied,
) -> Result<Option<Duration>, ReconcileError> {
    let watched = context.watchers.find(key).map(|running| Watched {
        told: running.progress.told(),
        counts: running.progress.counts(),
        descriptors: running.types.map(|types| types.descriptors.clone()),
    });
    let before = stored.status.as_ref();
    let after = status::status(stored, applied, watched.as_ref(), &context.instance, now());
    if before == Some(&after) {
        return Ok(None);
    }
    if let Some(wait) = context.status_wait(key, Instant::now()) {
        return Ok(Some(wait));
    }
    context.note_written(key, Instant::now());
    let metadata = &stored.metadata;
    match write_status::write_if_changed::<SseSubscription, _>(&context.client, metadata, before, &after)
        .await
    {
        Ok(written) => {
            if let Some(written) = written {
                context
                    .world
                    .note_written(key, metadata.resource_version.as_deref(), written);
            }
            if let Some(notice) = notice::notice(before, &after) {
                notice.tell(context, metadata).await;
            }
            Ok(None)
        }
        // The watch brings what is there now.
        Err(WriteStatusError::Outdated) => Ok(Some(STATUS_INTERVAL)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_crds::SseSubscriptionSpec;
    use std::mem::size_of;
    use watcher::Watcher;
    use watcher::sink::http::HttpSink;

    fn watching_bytes<F>(_: impl FnOnce(Box<Watcher>, tokio_util::sync::CancellationToken) -> F) -> usize {
        size_of::<Watcher>() + size_of::<F>()
    }

    fn looking_bytes<'a, F>(_: fn(&'a SubscriptionContext, &'a str) -> F) -> usize {
        size_of::<F>()
    }

    /// There are ten thousand of each; what is seldom there or soon over has a box of its own.
    #[test]
    fn what_is_held_for_a_subscription_that_has_nothing_to_do_is_small() {
        let sizes = [
            ("what the watch has brought", size_of::<StoredSubscription>(), 720),
            ("a specification", size_of::<SseSubscriptionSpec>(), 680),
            ("a sink", size_of::<HttpSink>(), 256),
            ("a watcher and its task", watching_bytes(Watcher::run), 1400),
        ];
        for (what, bytes, limit) in sizes {
            assert!(bytes <= limit, "{what} takes {bytes} bytes, and not {limit}");
        }
    }

    #[test]
    fn a_reconcile_has_room_for_each_of_its_steps_only_while_that_runs() {
        let bytes = looking_bytes(reconcile);
        assert!(bytes <= 2048, "{bytes} bytes");
    }
}
