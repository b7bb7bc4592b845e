//! Routes from the operator: the client's side of the configuration stream.
//!
//! What was served last is kept on disk, and served from the start while the operator is away. A configuration that arrives
//! is brought into effect, kept, and acknowledged, in this order: what was acknowledged survives a restart.

mod link;
mod merge;
mod store;

use crate::config::{Applied, Configurator, RouteSet};
use heddle_route_config::protocol::{
    Acknowledgement, Configuration, Hello, RouteError, RouteErrorKind, RouteResult,
};
use heddle_telemetry::{ContinueTrace, ErrorChain, TraceParent};
use http::Uri;
use link::{Link, Received};
use merge::Merged;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Kept, Store};
use tracing::{Instrument, info_span};

pub(crate) use store::StoreError;

/// How often what could not be served is tried again: a Secret may have been mounted meanwhile.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How the operator is reached.
#[derive(Clone, Debug)]
pub(crate) struct StreamSettings {
    /// Where the stream is served, without a path.
    pub(crate) url: Uri,
    /// The authorities, in PEM, that the operator's certificate may be signed by, until it names others.
    pub(crate) trust_bundle: String,
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
    /// The descriptor sets of IdlRepos that routes go by.
    sets: BTreeMap<String, Arc<[u8]>>,
    retry_at: Option<Instant>,
}

impl ConfigStream {
    /// Reads what is kept. The stream is connected when it is asked for what comes.
    pub(crate) fn open(settings: &StreamSettings) -> Result<Self, StoreError> {
        let store = Store::open(&settings.state_dir)?;
        let (kept, sets) = match store.read() {
            Ok(Some((kept, sets))) => (Some(kept), sets),
            Ok(None) => (None, BTreeMap::new()),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "what was kept cannot be used");
                (None, BTreeMap::new())
            }
        };
        let bundle = kept.as_ref().map(|kept| kept.configuration.trust_bundle.clone());
        Ok(Self {
            link: Link::start(settings, bundle),
            store,
            kept,
            sets,
            retry_at: None,
        })
    }

    /// Serves what is kept. Whether there is anything.
    pub(crate) async fn serve_kept(&mut self, configurator: &mut Configurator) -> bool {
        if let Some(kept) = &self.kept {
            let merged = Merged::kept(kept);
            let applied = configurator.apply(self.route_set(&merged)).await;
            let acknowledgement = acknowledgement(&kept.configuration, &merged, &applied);
            report(&acknowledgement, "kept routes are served");
            // What fails is sent again by the operator, who is told of nothing.
            let works = acknowledgement.routes.iter().all(|route| route.error.is_none());
            self.say_hello(works.then_some(acknowledgement));
        } else {
            self.say_hello(None);
        }
        self.kept.is_some()
    }

    fn say_hello(&self, applied: Option<Acknowledgement>) {
        let descriptors = self.kept.iter().flat_map(|kept| &kept.configuration.descriptors);
        self.link.set_hello(Hello {
            sidecar_version: env!("CARGO_PKG_VERSION").to_owned(),
            applied,
            descriptors: descriptors.map(|reference| reference.digest.clone()).collect(),
        });
    }

    /// Waits for what comes next. Nothing is lost when it is not waited for to the end.
    pub(crate) async fn next(&mut self) -> Received {
        self.link.next().await
    }

    /// Serves what has come, keeps it, and says so.
    pub(crate) async fn serve(&mut self, received: Received, configurator: &mut Configurator) {
        let Received { configuration, sets } = received;
        let span = info_span!("configuration.apply", version = configuration.version);
        let parent = configuration.traceparent.as_deref();
        if let Some(parent) = parent.and_then(|parent| parent.parse::<TraceParent>().ok()) {
            // Without telemetry, as in some tests, there is no trace to go on with.
            span.continue_from(&parent).ok();
        }
        self.take_sets(&configuration, &sets);
        self.bring_into_effect(configuration, configurator)
            .instrument(span)
            .await;
    }

    async fn bring_into_effect(&mut self, configuration: Configuration, configurator: &mut Configurator) {
        let merged = Merged::new(&configuration, self.kept.as_ref());
        let set = self.route_set(&merged);
        self.sets.clone_from(&set.descriptors);
        let applied = configurator.apply(set).await;
        let acknowledgement = acknowledgement(&configuration, &merged, &applied);
        report(&acknowledgement, "routes are served");
        let works = acknowledgement.routes.iter().all(|route| route.error.is_none());
        self.retry_at = (!works).then(|| Instant::now() + RETRY_INTERVAL);
        let kept = Kept {
            served: merged.served(&acknowledgement, self.kept.as_ref()),
            configuration,
        };
        if let Err(error) = self.store.write(&kept, &self.sets) {
            // The next configuration is another chance; until then a restart goes back to an older one.
            tracing::error!(error = %ErrorChain(&error), "what is served cannot be kept");
        }
        self.link.trust(&kept.configuration.trust_bundle);
        self.kept = Some(kept);
        self.say_hello(Some(acknowledgement.clone()));
        self.link.acknowledge(acknowledgement);
    }

    /// Tries again what could not be served, when it is time.
    pub(crate) async fn retry(&mut self, configurator: &mut Configurator) {
        let is_due = self.retry_at.is_some_and(|at| at <= Instant::now());
        let Some(kept) = self.kept.as_ref().filter(|_| is_due) else {
            return;
        };
        let configuration = kept.configuration.clone();
        self.bring_into_effect(configuration, configurator).await;
    }

    /// Sets that routes still go by stay, although the operator does not name them while their IdlRepo is away.
    fn take_sets(&mut self, configuration: &Configuration, sets: &BTreeMap<String, Arc<[u8]>>) {
        let former: Vec<_> = self
            .kept
            .iter()
            .flat_map(|kept| &kept.configuration.descriptors)
            .collect();
        for reference in &configuration.descriptors {
            // What another IdlRepo has published is not sent again.
            let known = || {
                let same = former.iter().find(|former| former.digest == reference.digest)?;
                self.sets.get(&same.idl_repo)
            };
            if let Some(set) = sets.get(&reference.digest).or_else(known).cloned() {
                self.sets.insert(reference.idl_repo.clone(), set);
            }
        }
    }

    fn route_set(&self, merged: &Merged) -> RouteSet {
        let used = |name: &String| {
            let transcodings = merged
                .routes()
                .filter_map(|(_, route)| route.transcoding.as_ref());
            transcodings
                .into_iter()
                .any(|transcoding| transcoding.idl_repo == *name)
        };
        let sets = self.sets.iter().filter(|(name, _)| used(name));
        RouteSet {
            routes: merged.routes().map(|(_, route)| route.clone()).collect(),
            descriptors: sets.map(|(name, set)| (name.clone(), Arc::clone(set))).collect(),
        }
    }
}

/// What became of each route of a configuration.
fn acknowledgement(configuration: &Configuration, merged: &Merged, applied: &[Applied]) -> Acknowledgement {
    let result = |sent: &heddle_route_config::protocol::SentRoute| {
        let applied = applied.iter().find(|applied| applied.id.name == sent.name());
        let unreadable = merged.unreadable(sent.name());
        let error = unreadable
            .map(|error| (RouteErrorKind::Invalid, error))
            .or_else(|| {
                let error = applied?.error.as_ref()?;
                Some((error.kind, error.message.as_str()))
            });
        RouteResult {
            name: sent.name().to_owned(),
            uid: sent.uid().map(str::to_owned),
            generation: applied.and_then(|applied| applied.generation),
            error: error.map(|(kind, message)| RouteError::new(sent.generation(), kind, message)),
        }
    };
    Acknowledgement {
        version: configuration.version.clone(),
        routes: configuration.routes.iter().map(result).collect(),
    }
}

fn report(acknowledgement: &Acknowledgement, what: &'static str) {
    for route in &acknowledgement.routes {
        if let Some(error) = &route.error {
            tracing::error!(
                route = route.name,
                error = error.message,
                "failed to apply a route"
            );
        }
    }
    let refused = acknowledgement
        .routes
        .iter()
        .filter(|route| route.error.is_some())
        .count();
    let (routes, version) = (acknowledgement.routes.len(), acknowledgement.version.as_str());
    tracing::info!(routes, refused, version, "{what}");
}
