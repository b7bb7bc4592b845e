//! Which sidecars are connected, what each should have, what it has acknowledged, and which of them serve a route. The
//! controller writes what should be and the sessions what is; neither knows the other.

use super::broadcast::Unreached;
use bytes::Bytes;
use heddle_crds::sse_subscription::Reason;
use heddle_route_config::protocol::{
    Acknowledgement, Broadcast, BroadcastResult, Configuration, DescriptorsReference, Hello, RouteResult,
    ToSidecar, line, parts,
};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How long a sidecar whose connection has ended counts as connected: it may be about to connect again.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Broadcasts that wait for one stream.
const BROADCASTS_WAITING: usize = 64;

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

/// Who serves a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Audience {
    /// Why not every ready pod does.
    pub(crate) trouble: Option<String>,
    /// The pods whose sidecars are connected.
    pub(crate) members: Vec<Member>,
}

/// A pod whose sidecar is to serve a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) pod: PodId,
    pub(crate) is_ready: bool,
}

/// A sidecar that was asked for a broadcast.
#[derive(Debug)]
pub(super) struct Asked {
    /// The name of its pod.
    pub(super) pod: String,
    pub(super) is_ready: bool,
    /// Nothing if it could not be asked.
    pub(super) answer: Option<oneshot::Receiver<BroadcastResult>>,
}

/// A broadcast on its way into a stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) number: u64,
    pub(super) line: Bytes,
    pub(super) answer: oneshot::Sender<BroadcastResult>,
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
    /// By namespaces and names of routes.
    audiences: HashMap<String, HashMap<String, Audience>>,
    /// Of the last broadcast. It begins anywhere, so that no answer to another leader is taken for one to this.
    broadcasts: u64,
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
    /// Of a sidecar that takes them.
    broadcasts: Option<mpsc::Sender<Outgoing>>,
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
    pub(super) broadcasts: mpsc::Receiver<Outgoing>,
}

impl Sidecars {
    pub(crate) fn new(connected: Gauge) -> Self {
        connected.set(0);
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                broadcasts: rand::random(),
                ..State::default()
            }),
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
    /// connected keeps what it has, and the rest is forgotten. `audiences` are those of all routes of the namespace.
    pub(crate) fn desire(
        &self,
        namespace: &str,
        desired: &HashMap<PodId, Arc<Desired>>,
        audiences: HashMap<String, Audience>,
    ) {
        let mut state = self.state();
        match audiences.is_empty() {
            true => state.audiences.remove(namespace),
            false => state.audiences.insert(namespace.to_owned(), audiences),
        };
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

    /// Sends a broadcast to every sidecar of its route.
    pub(super) fn ask(&self, mut broadcast: Broadcast) -> Result<Vec<Asked>, Unreached> {
        let mut state = self.state();
        state.broadcasts = state.broadcasts.wrapping_add(1);
        let number = state.broadcasts;
        broadcast.number = number;
        let members = state.members(&broadcast.namespace, &broadcast.route)?;
        let line = Bytes::from(line(&ToSidecar::Broadcast(broadcast)));
        let asked = members.iter().map(|member| Asked {
            pod: member.pod.name.clone(),
            is_ready: member.is_ready,
            answer: state.link(member).and_then(|link| link.send(number, &line)),
        });
        Ok(asked.collect())
    }

    /// A sidecar has connected. An older connection of the same pod ends.
    pub(super) fn connect(&self, pod: PodId, hello: Hello) -> Connection {
        let mut state = self.state();
        state.links += 1;
        let number = state.links;
        let superseded = CancellationToken::new();
        let (sender, broadcasts) = mpsc::channel(BROADCASTS_WAITING);
        let link = Link {
            number,
            superseded: superseded.clone(),
            broadcasts: hello.takes_broadcasts.then_some(sender),
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
            broadcasts,
        }
    }

    fn note_change(&self, state: &mut State, namespace: &str) {
        state.changed.insert(namespace.to_owned());
        self.0.changed.notify_one();
    }
}

impl State {
    /// Whose sidecars serve a route, if all of those in ready pods do.
    fn members(&self, namespace: &str, route: &str) -> Result<&[Member], Unreached> {
        let routes = self.audiences.get(namespace);
        let Some(audience) = routes.and_then(|routes| routes.get(route)) else {
            let message = format!("WsRoute {route} does not exist in this namespace");
            return Err(Unreached::new(Reason::RouteNotFound, message));
        };
        if let Some(trouble) = &audience.trouble {
            let trouble = trouble.trim_end_matches('.');
            let message = format!("WsRoute {route} is not programmed: {trouble}");
            return Err(Unreached::new(Reason::RouteNotProgrammed, message));
        }
        let is_outdated = |member: &&Member| {
            let link = self.link(member);
            member.is_ready && link.is_some_and(|link| link.broadcasts.is_none())
        };
        if let Some(outdated) = audience.members.iter().find(is_outdated) {
            let message = format!(
                "the sidecar of pod {} is of a version that takes no messages for all sessions; it gets another one when \
                 the pod is made anew",
                outdated.pod.name
            );
            return Err(Unreached::new(Reason::SidecarOutdated, message));
        }
        Ok(&audience.members)
    }

    fn link(&self, member: &Member) -> Option<&Link> {
        self.pods.get(&member.pod)?.link.as_ref()
    }
}

impl Link {
    /// Sends a broadcast, if there is room for it.
    fn send(&self, number: u64, line: &Bytes) -> Option<oneshot::Receiver<BroadcastResult>> {
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing {
            number,
            line: line.clone(),
            answer,
        };
        let sent = self.broadcasts.as_ref()?.try_send(outgoing);
        sent.is_ok().then_some(answered)
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
        sidecars.desire("shop", &all, HashMap::new());
        assert!(early.desired.has_changed().unwrap());
        assert_eq!(version(&mut early).as_ref(), Some(&wanted.version));
        // The same again is no news.
        sidecars.desire("shop", &all, HashMap::new());
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

    fn broadcast() -> Broadcast {
        Broadcast {
            namespace: "shop".into(),
            route: "chat".into(),
            ..Broadcast::default()
        }
    }

    fn audience(trouble: Option<&str>, members: &[(&str, bool)]) -> HashMap<String, Audience> {
        let members = members.iter().map(|(name, is_ready)| Member {
            pod: pod(name),
            is_ready: *is_ready,
        });
        let audience = Audience {
            trouble: trouble.map(str::to_owned),
            members: members.collect(),
        };
        HashMap::from([("chat".to_owned(), audience)])
    }

    #[test]
    fn a_broadcast_goes_to_every_sidecar_of_a_route_that_is_programmed_and_none_is_too_old() {
        let sidecars = Sidecars::new(Gauge::default());
        let reason = || sidecars.ask(broadcast()).map(drop).unwrap_err().reason;
        let none = HashMap::new();
        assert_eq!(reason(), Reason::RouteNotFound);
        sidecars.desire("shop", &none, audience(Some("Not yet."), &[]));
        assert_eq!(reason(), Reason::RouteNotProgrammed);
        let newer = || Hello {
            takes_broadcasts: true,
            ..Hello::default()
        };
        let _old = sidecars.connect(pod("old"), Hello::default());
        let mut connection = sidecars.connect(pod("a"), newer());
        sidecars.desire("shop", &none, audience(None, &[("a", true), ("old", true)]));
        assert_eq!(reason(), Reason::SidecarOutdated);
        // One that is about to end says nothing about the route, nor does one that is away.
        let members = [("a", true), ("old", false), ("away", true)];
        sidecars.desire("shop", &none, audience(None, &members));
        let asked = sidecars.ask(broadcast()).unwrap();
        let asked: Vec<_> = asked
            .iter()
            .map(|asked| (asked.pod.as_str(), asked.answer.is_some()))
            .collect();
        assert_eq!(asked, [("a", true), ("old", false), ("away", false)]);
        assert!(connection.broadcasts.try_recv().is_ok());
        sidecars.desire("shop", &none, HashMap::new());
        assert_eq!(reason(), Reason::RouteNotFound);
    }

    #[test]
    fn a_stream_that_takes_no_more_broadcasts_is_not_waited_for() {
        let sidecars = Sidecars::new(Gauge::default());
        let hello = Hello {
            takes_broadcasts: true,
            ..Hello::default()
        };
        let connection = sidecars.connect(pod("a"), hello);
        sidecars.desire("shop", &HashMap::new(), audience(None, &[("a", true)]));
        let ask = || sidecars.ask(broadcast()).unwrap().remove(0).answer;
        let waiting: Vec<_> = (0..BROADCASTS_WAITING).map(|_| ask().unwrap()).collect();
        assert!(ask().is_none());
        drop(connection);
        for mut answer in waiting {
            assert!(
                answer.try_recv().is_err(),
                "whoever waits learns that the stream has ended"
            );
        }
    }
}
