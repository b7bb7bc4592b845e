//! Routes from the operator: the client's side of the configuration stream.
//!
//! What was served last is kept on disk, and served from the start while the operator is away. A configuration that arrives
//! is brought into effect, kept, and acknowledged, in this order: what was acknowledged survives a restart.

mod link;
mod merge;
mod store;

use crate::backoff::Retry;
use crate::broadcast;
use crate::config::{Applied, Configurator, DescriptorSets, Reporter};
use heddle_route_config::protocol::{
    Acknowledgement, Broadcast, BroadcastError, BroadcastResult, Configuration, Hello, RouteError,
    RouteResult, SentRoute,
};
use heddle_telemetry::{ContinueTrace, ErrorChain, TraceParent};
use http::Uri;
use link::Link;
use merge::Merged;
use std::path::PathBuf;
use store::{Kept, Store};
use tokio::task::JoinSet;
use tracing::{Instrument, info_span};

pub(crate) use link::{Arrived, Received};
pub(crate) use store::StoreError;

/// Broadcasts whose sessions have not all looked yet.
const BROADCASTS_LIMIT: usize = 64;

/// How the operator is reached.
#[derive(Clone, Debug)]
pub(crate) struct StreamSettings {
    /// Where the stream is served, without a path.
    pub(crate) url: Uri,
    /// The authorities, in PEM, that the operator's certificate may be signed by, until it names others.
    pub(crate) trust_bundle: String,
    /// Authorities besides, if somebody keeps them in a file: the only way to hear of one when none that is trusted serves.
    pub(crate) trust_bundle_file: Option<PathBuf>,
    /// A service-account token, which the kubelet keeps fresh.
    pub(crate) token_file: PathBuf,
    /// Where what was served last is kept.
    pub(crate) state_dir: PathBuf,
}

/// The stream, and what came over it.
pub(crate) struct ConfigStream {
    link: Link,
    store: Store,
    kept: Option<Kept>,
    /// All that routes go by and that the newest configuration names. The operator counts on these.
    sets: DescriptorSets,
    retry: Retry,
    /// What the operator was told last.
    acknowledged: Option<Acknowledgement>,
    reporter: Reporter,
    /// Whether there is something to keep that is not on disk yet.
    unsaved: bool,
    /// Each is answered when its sessions have looked.
    broadcasts: JoinSet<BroadcastResult>,
}

impl ConfigStream {
    /// Reads what is kept. The stream is connected when it is asked for what comes.
    pub(crate) fn open(settings: &StreamSettings) -> Result<Self, StoreError> {
        let store = Store::open(&settings.state_dir)?;
        let (kept, sets) = match store.read() {
            Ok(Some((kept, sets))) => (Some(kept), sets),
            Ok(None) => (None, DescriptorSets::new()),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "what was kept cannot be used");
                (None, DescriptorSets::new())
            }
        };
        let bundle = kept.as_ref().map(|kept| kept.configuration.trust_bundle.clone());
        Ok(Self {
            link: Link::start(settings, bundle),
            store,
            kept,
            sets,
            retry: Retry::default(),
            acknowledged: None,
            reporter: Reporter::default(),
            unsaved: false,
            broadcasts: JoinSet::new(),
        })
    }

    /// Serves what is kept, and connects to the operator. What became of it, if there was anything.
    pub(crate) async fn serve_kept(&mut self, configurator: &mut Configurator) -> Option<Vec<Applied>> {
        let Some(configuration) = self.kept.as_ref().map(|kept| kept.configuration.clone()) else {
            self.link.begin(self.hello(None));
            return None;
        };
        let (applied, acknowledgement) = self.apply(&configuration, configurator).await;
        log_served(&acknowledgement, "kept routes are served");
        // Otherwise the operator is to send it again, with what may have been lost.
        let is_whole = acknowledgement.is_whole() && self.has_all_sets(&configuration);
        self.link.begin(self.hello(is_whole.then_some(acknowledgement)));
        Some(applied)
    }

    fn hello(&self, applied: Option<Acknowledgement>) -> Hello {
        Hello {
            sidecar_version: env!("CARGO_PKG_VERSION").to_owned(),
            applied,
            descriptors: self.sets.keys().cloned().collect(),
            takes_broadcasts: true,
        }
    }

    fn has_all_sets(&self, configuration: &Configuration) -> bool {
        let mut named = configuration.descriptors.iter();
        named.all(|reference| self.sets.contains_key(&reference.digest))
    }

    /// Waits for what comes next, and answers broadcasts meanwhile. Nothing is lost when it is not waited for to the end.
    pub(crate) async fn next(&mut self) -> Arrived {
        loop {
            tokio::select! {
                arrived = self.link.next() => return arrived,
                Some(answered) = self.broadcasts.join_next() => {
                    // Whoever waits for an answer that a panic has eaten asks again.
                    if let Ok(result) = answered {
                        self.link.answer(result);
                    }
                }
            }
        }
    }

    /// Queues messages for all sessions of a route.
    pub(crate) fn broadcast(&mut self, broadcast: &Broadcast, configurator: &Configurator) {
        let number = broadcast.number;
        let queued = match self.broadcasts.len() < BROADCASTS_LIMIT {
            true => broadcast::queue(configurator.shared(), broadcast),
            false => Err(BroadcastError::Busy),
        };
        match queued {
            Ok(reach) => drop(self.broadcasts.spawn(broadcast::pace(number, reach))),
            Err(error) => self.link.answer(BroadcastResult {
                number,
                sessions: 0,
                error: Some(error),
            }),
        }
    }

    /// Serves what has come, keeps it, and says so. What became of it.
    pub(crate) async fn serve(
        &mut self,
        received: Received,
        configurator: &mut Configurator,
    ) -> Vec<Applied> {
        let Received { configuration, sets } = received;
        let span = info_span!("configuration.apply", version = configuration.version);
        let parent = configuration.traceparent.as_deref();
        if let Some(parent) = parent.and_then(|parent| parent.parse::<TraceParent>().ok()) {
            // Without telemetry, as in some tests, there is no trace to go on with.
            span.continue_from(&parent).ok();
        }
        self.unsaved |= !sets.is_empty();
        self.sets.extend(sets);
        self.retry.reset();
        let serve = async {
            let (applied, acknowledgement) = self.apply(&configuration, configurator).await;
            log_served(&acknowledgement, "routes are served");
            self.acknowledge(&configuration, acknowledgement);
            applied
        };
        serve.instrument(span).await
    }

    /// Tries again what could not be served, when it is time. What became of it.
    pub(crate) async fn retry(&mut self, configurator: &mut Configurator) -> Option<Vec<Applied>> {
        let kept = self.kept.as_ref().filter(|_| self.retry.is_due())?;
        let configuration = kept.configuration.clone();
        let (applied, acknowledgement) = self.apply(&configuration, configurator).await;
        // The operator looks at all routes again for each acknowledgement.
        if self.acknowledged.as_ref() != Some(&acknowledgement) {
            self.acknowledge(&configuration, acknowledgement);
        }
        Some(applied)
    }

    /// Brings a configuration into effect, and keeps what is served of it.
    async fn apply(
        &mut self,
        configuration: &Configuration,
        configurator: &mut Configurator,
    ) -> (Vec<Applied>, Acknowledgement) {
        let merged = Merged::new(configuration, self.kept.as_ref());
        let applied = configurator.apply(merged.route_set(&self.sets)).await;
        let applied = merged.with_unreadable(applied);
        let acknowledgement = acknowledgement(configuration, &applied);
        self.reporter.report(&applied);
        self.retry.note(applied.iter().all(|route| route.error.is_none()));
        let kept = Kept {
            served: merged.served(&applied),
            configuration: configuration.clone(),
        };
        self.sets
            .retain(|digest, _| store::needs(&kept.configuration, &kept.served, digest));
        self.unsaved |= self.kept.as_ref() != Some(&kept);
        if self.unsaved {
            self.save(&kept);
        }
        self.kept = Some(kept);
        (applied, acknowledgement)
    }

    fn save(&mut self, kept: &Kept) {
        let saved = self.store.write(kept, &self.sets);
        self.unsaved = saved.is_err();
        if let Err(error) = saved {
            // The next configuration is another chance; until then a restart goes back to an older one.
            tracing::error!(error = %ErrorChain(&error), "what is served cannot be kept");
        }
    }

    fn acknowledge(&mut self, configuration: &Configuration, acknowledgement: Acknowledgement) {
        self.link.trust(&configuration.trust_bundle);
        let applied = self.has_all_sets(configuration).then(|| acknowledgement.clone());
        self.acknowledged = Some(acknowledgement.clone());
        self.link.acknowledge(self.hello(applied), acknowledgement);
    }
}

/// What became of each route of a configuration.
fn acknowledgement(configuration: &Configuration, applied: &[Applied]) -> Acknowledgement {
    let result = |sent: &SentRoute| {
        let applied = applied.iter().find(|applied| applied.id.name == sent.name());
        let error = applied.and_then(|applied| applied.error.as_ref());
        RouteResult {
            name: sent.name().to_owned(),
            uid: sent.uid().map(str::to_owned),
            generation: applied.and_then(|applied| applied.generation),
            error: error.map(|error| RouteError::new(sent.generation(), error.kind, error.message.as_str())),
        }
    };
    Acknowledgement {
        version: configuration.version.clone(),
        routes: configuration.routes.iter().map(result).collect(),
    }
}

fn log_served(acknowledgement: &Acknowledgement, what: &'static str) {
    let refused = acknowledgement
        .routes
        .iter()
        .filter(|route| route.error.is_some())
        .count();
    let (routes, version) = (acknowledgement.routes.len(), acknowledgement.version.as_str());
    tracing::info!(routes, refused, version, "{what}");
}

#[cfg(test)]
mod tests;
