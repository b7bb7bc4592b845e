//! Which sidecars are connected, what each should have, and what it has acknowledged. The controller writes what should be
//! and the sessions what is; neither knows the other.

use bytes::Bytes;
use heddle_route_config::protocol::{
    Acknowledgement, Configuration, DescriptorsReference, Hello, RouteResult, ToSidecar, line, parts,
};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How long a sidecar whose connection has ended counts as connected: it may be about to connect again.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// One pod; another one of the same name has another uid.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct PodId {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// A published descriptor set, ready to be sent.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pub(crate) reference: DescriptorsReference,
    pub(crate) source_commit: String,
    pub(super) lines: Vec<Bytes>,
}

impl Descriptors {
    /// From the bytes as they are published.
    pub(crate) fn new(
        reference: DescriptorsReference,
        source_commit: String,
        bytes: u64,
        compressed: &[u8],
    ) -> Self {
        let lines = parts(&reference.digest, bytes, compressed)
            .into_iter()
            .map(|part| line(&ToSidecar::DescriptorsPart(part)).into())
            .collect();
        Self {
            reference,
            source_commit,
            lines,
        }
    }
}

/// What a sidecar should have. Pods with the same routes share one.
#[derive(Debug)]
pub(crate) struct Desired {
    pub(crate) version: String,
    pub(super) line: Bytes,
    pub(super) descriptors: Vec<Arc<Descriptors>>,
}

impl Desired {
    pub(crate) fn new(configuration: Configuration, descriptors: Vec<Arc<Descriptors>>) -> Self {
        Self {
            version: configuration.version.clone(),
            line: line(&ToSidecar::Configuration(configuration)).into(),
            descriptors,
        }
    }
}

/// How far one sidecar is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ObservedSidecar {
    pub(crate) presence: Presence,
    pub(crate) acknowledged: Option<Arc<Acknowledged>>,
}

/// What a sidecar has said of a configuration. Every route asks every pod, so that it has to be found at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Acknowledged {
    pub(crate) version: String,
    routes: HashMap<String, RouteResult>,
}

impl From<Acknowledgement> for Acknowledged {
    fn from(Acknowledgement { version, routes }: Acknowledgement) -> Self {
        let routes = routes.into_iter().map(|route| (route.name.clone(), route));
        Self {
            version,
            routes: routes.collect(),
        }
    }
}

impl Acknowledged {
    /// What became of a route.
    pub(crate) fn of(&self, route: &str) -> Option<&RouteResult> {
        self.routes.get(route)
    }
}

/// Whether a sidecar is there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Presence {
    /// It has not been since this process began to lead.
    #[default]
    Unseen,
    Connected,
    /// It has just gone, and counts as connected for so long.
    Lingering(Duration),
    Gone,
}

impl Presence {
    /// Whether it counts as connected.
    pub(crate) fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::Lingering(_))
    }
}

/// All sidecars. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Sidecars(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    connected: Gauge,
}

#[derive(Debug, Default)]
struct State {
    pods: HashMap<PodId, Entry>,
    /// The namespaces in which something has happened since the controller looked.
    changed: BTreeSet<String>,
    links: u64,
}

#[derive(Debug)]
struct Entry {
    /// Nothing until the controller knows: a sidecar keeps what it has until then.
    desired: watch::Sender<Option<Arc<Desired>>>,
    link: Option<Link>,
    gone_at: Option<Instant>,
    acknowledged: Option<Arc<Acknowledged>>,
}

#[derive(Debug)]
struct Link {
    number: u64,
    superseded: CancellationToken,
}

/// The connection of a sidecar, for as long as it lasts.
#[derive(Debug)]
pub(super) struct Connection {
    pod: PodId,
    number: u64,
    sidecars: Sidecars,
    pub(super) desired: watch::Receiver<Option<Arc<Desired>>>,
    /// Cancelled when the same pod connects anew.
    pub(super) superseded: CancellationToken,
}

impl Sidecars {
    pub(crate) fn new(connected: Gauge) -> Self {
        connected.set(0);
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            connected,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has happened, and says in which namespaces.
    pub(crate) async fn changed(&self) -> BTreeSet<String> {
        loop {
            let notified = self.0.changed.notified();
            let changed = std::mem::take(&mut self.state().changed);
            if !changed.is_empty() {
                return changed;
            }
            notified.await;
        }
    }

    /// How far the sidecars of a namespace are.
    pub(crate) fn of_namespace(&self, namespace: &str) -> HashMap<PodId, ObservedSidecar> {
        let state = self.state();
        let of_namespace = state.pods.iter().filter(|(pod, _)| pod.namespace == namespace);
        of_namespace
            .map(|(pod, entry)| {
                let observed = ObservedSidecar {
                    presence: entry.presence(),
                    acknowledged: entry.acknowledged.clone(),
                };
                (pod.clone(), observed)
            })
            .collect()
    }

    /// Says what the sidecars of a namespace should have. Pods that are not named are gone or not known yet: what is
    /// connected keeps what it has, and the rest is forgotten.
    pub(crate) fn desire(&self, namespace: &str, desired: &HashMap<PodId, Arc<Desired>>) {
        let mut state = self.state();
        state.pods.retain(|pod, entry| {
            pod.namespace != namespace || desired.contains_key(pod) || entry.presence().is_connected()
        });
        for (pod, wanted) in desired {
            let entry = state.pods.entry(pod.clone()).or_insert_with(Entry::new);
            entry.desired.send_if_modified(|current| {
                let is_new = current.as_ref().map(|current| &current.version) != Some(&wanted.version);
                if is_new {
                    *current = Some(Arc::clone(wanted));
                }
                is_new
            });
        }
    }

    /// A sidecar has connected. An older connection of the same pod ends.
    pub(super) fn connect(&self, pod: PodId, hello: Hello) -> Connection {
        let mut state = self.state();
        state.links += 1;
        let number = state.links;
        let superseded = CancellationToken::new();
        let link = Link {
            number,
            superseded: superseded.clone(),
        };
        let entry = state.pods.entry(pod.clone()).or_insert_with(Entry::new);
        match entry.link.replace(link) {
            Some(older) => older.superseded.cancel(),
            None => {
                self.0.connected.inc();
            }
        }
        entry.gone_at = None;
        entry.acknowledged = hello.applied.map(|applied| Arc::new(applied.into()));
        let mut desired = entry.desired.subscribe();
        desired.mark_changed();
        self.note_change(&mut state, &pod.namespace);
        Connection {
            pod,
            number,
            sidecars: self.clone(),
            desired,
            superseded,
        }
    }

    fn note_change(&self, state: &mut State, namespace: &str) {
        state.changed.insert(namespace.to_owned());
        self.0.changed.notify_one();
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            desired: watch::channel(None).0,
            link: None,
            gone_at: None,
            acknowledged: None,
        }
    }

    fn presence(&self) -> Presence {
        match (&self.link, self.gone_at) {
            (Some(_), _) => Presence::Connected,
            (None, None) => Presence::Unseen,
            (None, Some(at)) => match GRACE.checked_sub(at.elapsed()) {
                Some(left) if !left.is_zero() => Presence::Lingering(left),
                _ => Presence::Gone,
            },
        }
    }
}

impl Connection {
    /// The sidecar says what became of a configuration.
    pub(super) fn acknowledge(&self, acknowledgement: Acknowledgement) {
        let mut state = self.sidecars.state();
        let Some(entry) = state.pods.get_mut(&self.pod) else {
            return;
        };
        if entry.link.as_ref().is_some_and(|link| link.number == self.number) {
            entry.acknowledged = Some(Arc::new(acknowledgement.into()));
            self.sidecars.note_change(&mut state, &self.pod.namespace);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.sidecars.state();
        let Some(entry) = state.pods.get_mut(&self.pod) else {
            return;
        };
        if entry.link.as_ref().is_some_and(|link| link.number == self.number) {
            entry.link = None;
            entry.gone_at = Some(Instant::now());
            self.sidecars.0.connected.dec();
            self.sidecars.note_change(&mut state, &self.pod.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> PodId {
        PodId {
            namespace: "shop".into(),
            name: name.into(),
            uid: name.into(),
        }
    }

    fn desired(bundle: &str) -> Arc<Desired> {
        let configuration = Configuration::new(Vec::new(), Vec::new(), bundle.into(), None);
        Arc::new(Desired::new(configuration, Vec::new()))
    }

    fn version(connection: &mut Connection) -> Option<String> {
        connection
            .desired
            .borrow_and_update()
            .as_ref()
            .map(|desired| desired.version.clone())
    }

    #[tokio::test]
    async fn a_sidecar_that_connects_first_waits_and_one_that_connects_later_is_served_at_once() {
        let sidecars = Sidecars::new(Gauge::default());
        let mut early = sidecars.connect(pod("a"), Hello::default());
        assert_eq!(sidecars.changed().await, BTreeSet::from(["shop".to_owned()]));
        assert_eq!(version(&mut early), None);
        let wanted = desired("one");
        let all = HashMap::from([(pod("a"), Arc::clone(&wanted)), (pod("b"), Arc::clone(&wanted))]);
        sidecars.desire("shop", &all);
        assert!(early.desired.has_changed().unwrap());
        assert_eq!(version(&mut early).as_ref(), Some(&wanted.version));
        // The same again is no news.
        sidecars.desire("shop", &all);
        assert!(!early.desired.has_changed().unwrap());
        let mut late = sidecars.connect(pod("b"), Hello::default());
        assert!(late.desired.has_changed().unwrap());
        assert_eq!(version(&mut late).as_ref(), Some(&wanted.version));
    }

    #[test]
    fn the_newest_connection_of_a_pod_counts_and_the_end_of_an_older_one_says_nothing() {
        let gauge = Gauge::default();
        let sidecars = Sidecars::new(gauge.clone());
        let older = sidecars.connect(pod("a"), Hello::default());
        let newer = sidecars.connect(pod("a"), Hello::default());
        assert!(older.superseded.is_cancelled() && !newer.superseded.is_cancelled());
        older.acknowledge(Acknowledgement::default());
        assert_eq!(sidecars.of_namespace("shop")[&pod("a")].acknowledged, None);
        drop(older);
        assert_eq!(gauge.get(), 1);
        newer.acknowledge(Acknowledgement::default());
        drop(newer);
        assert_eq!(gauge.get(), 0);
        let observed = &sidecars.of_namespace("shop")[&pod("a")];
        assert!(
            matches!(observed.presence, Presence::Lingering(_)),
            "{observed:?}"
        );
        assert!(observed.acknowledged.is_some());
    }
}
