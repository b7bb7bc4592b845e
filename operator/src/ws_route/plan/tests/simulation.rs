//! A namespace in miniature: people edit routes, pods come and go, sidecars connect, acknowledge and break off, leaders follow
//! each other. What must hold anyhow, holds; and what it costs is counted.

use super::*;
use crate::ws_route::takeover::Awaiting;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How many histories are tried, each from its own seed.
const HISTORIES: u64 = 60;

/// How long each is.
const STEPS: usize = 150;

/// How many undisturbed steps may pass until nothing is written any more.
const SETTLE_STEPS: usize = 8;

/// How many steps a new leader awaits sidecars for.
const TAKEOVER_STEPS: usize = 3;

/// A sidecar as it is, whatever the operator knows of it.
#[derive(Clone, Default)]
struct Sidecar {
    /// Of each route the generation that it serves.
    serves: BTreeMap<String, i64>,
    /// What the operator has been told, if it has been since it leads.
    said: Option<Arc<Acknowledged>>,
    presence: Presence,
}

struct Cluster {
    routes: BTreeMap<String, ObservedRoute>,
    pods: BTreeMap<String, ObservedPod>,
    sidecars: BTreeMap<String, Sidecar>,
    /// How many steps the leader awaits sidecars for yet.
    takeover: usize,
    leads_since: i64,
    now: i64,
    random: StdRng,
    /// How many statuses were written.
    writes: usize,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        Self {
            routes: BTreeMap::new(),
            pods: BTreeMap::new(),
            sidecars: BTreeMap::new(),
            takeover: 0,
            leads_since: 0,
            now: 1_800_000_000,
            random: StdRng::seed_from_u64(seed),
            writes: 0,
        }
    }

    /// A namespace in which everything is as it should be.
    fn settled(routes: usize, pods: usize) -> Self {
        let mut cluster = Self::new(0);
        for number in 0..routes {
            let name = format!("r{number:03}");
            let path = json!([{ "path": { "value": format!("/{name}") } }]);
            let route = route(&name, 1, &[("matches", path)]);
            cluster.routes.insert(name, route);
        }
        for number in 0..pods {
            cluster.add_pod(&format!("p{number:02}"));
        }
        cluster.settle();
        cluster
    }

    fn add_pod(&mut self, name: &str) {
        self.pods.insert(name.into(), pod(name, "chat"));
        let connected = Sidecar {
            presence: Presence::Connected,
            ..Sidecar::default()
        };
        self.sidecars.insert(name.into(), connected);
    }

    fn name(&mut self, of: &str, count: u32) -> String {
        format!("{of}{}", self.random.random_range(0..count))
    }

    /// People and machines do something.
    fn disturb(&mut self) {
        let (route, pod) = (self.name("r", 4), self.name("p", 5));
        match self.random.random_range(0..10) {
            0 | 1 => self.edit(&route),
            2 => {
                self.routes.remove(&route);
            }
            3 => self.add_pod(&pod),
            4 => {
                self.pods.remove(&pod);
                self.sidecars.remove(&pod);
            }
            5 => {
                let ready = self.random.random_ratio(2, 3);
                if let Some(pod) = self.pods.get_mut(&pod) {
                    pod.ready = ready;
                }
            }
            6 => {
                let injection = match self.random.random_range(0..4) {
                    0 => Injection::Missing,
                    1 => Injection::Excluded,
                    _ => Injection::Done,
                };
                if let Some(pod) = self.pods.get_mut(&pod) {
                    pod.injection = injection;
                }
            }
            7 => {
                if let Some(sidecar) = self.sidecars.get_mut(&pod) {
                    sidecar.presence = Presence::Gone;
                }
            }
            8 => self.change_leader(),
            _ => self.connect_all(),
        }
    }

    /// Makes a route, or another generation of it, good or bad.
    fn edit(&mut self, name: &str) {
        let path = json!([{ "path": { "value": format!("/{}", self.random.random_range(0..3)) } }]);
        let mut changes = vec![("matches", path)];
        if self.random.random_ratio(1, 5) {
            changes.push(("suspend", json!(true)));
        }
        if self.random.random_ratio(1, 5) {
            changes.push(("forwarding", json!({ "trustedProxies": ["10.0.0.0/40"] })));
        }
        let before = self.routes.get(name);
        let generation = before
            .and_then(|route| route.stored.metadata.generation)
            .unwrap_or(0)
            + 1;
        let status = before.and_then(|route| route.stored.status.clone());
        let uid = before.map_or_else(|| format!("{name}-{}", self.now), |route| uid(route).to_owned());
        let mut edited = route(name, self.now, &changes);
        let mut object = edited.stored.object.as_ref().unwrap().clone();
        object.metadata.generation = Some(generation);
        object.metadata.uid = Some(uid);
        edited.spec = validate(&object).map_err(|error| error.to_string());
        edited.stored = Arc::new(StoredRoute {
            metadata: object.metadata.clone(),
            object: Ok(object),
            status,
        });
        self.routes.insert(name.into(), edited);
    }

    /// What a process knows of sidecars goes with it.
    fn change_leader(&mut self) {
        self.takeover = TAKEOVER_STEPS;
        self.leads_since = self.now;
        for sidecar in self.sidecars.values_mut() {
            sidecar.presence = Presence::Unseen;
            sidecar.said = None;
        }
    }

    fn connect_all(&mut self) {
        let names: Vec<_> = self.sidecars.keys().cloned().collect();
        for name in names {
            self.connect(&name);
        }
    }

    /// A sidecar connects, and says what it has.
    fn connect(&mut self, name: &str) {
        let observed: Vec<_> = self.routes.values().cloned().collect();
        let sidecar = self.sidecars.get_mut(name).unwrap();
        if sidecar.presence != Presence::Connected {
            sidecar.presence = Presence::Connected;
            sidecar.said = Some(Arc::new(said(&observed, &sidecar.serves, "hello")));
        }
    }

    fn observed(&self) -> Observed {
        let pods = self.pods.iter().map(|(name, pod)| {
            let sidecar = &self.sidecars[name];
            ObservedPod {
                sidecar: ObservedSidecar {
                    presence: sidecar.presence,
                    acknowledged: sidecar.said.clone(),
                },
                ..pod.clone()
            }
        });
        let mut observed = observed(self.routes.values().cloned().collect(), pods.collect());
        observed.awaiting = (self.takeover > 0).then(|| Awaiting {
            left: Duration::from_secs(1),
            until: Timestamp::from_second(self.leads_since + 30).unwrap(),
        });
        observed
    }

    /// One reconcile. Sidecars take what is sent, and a part of them says so; with `killed` statuses stay unwritten.
    fn reconcile(&mut self, answers_percent: u32, killed: bool) {
        self.takeover = self.takeover.saturating_sub(1);
        let observed = self.observed();
        let plan = plan(&observed);
        for configuration in &plan.configurations {
            for pod in &configuration.pods {
                self.apply(
                    &pod.name,
                    &configuration.configuration.routes,
                    &observed.routes,
                    answers_percent,
                );
            }
        }
        let now = Timestamp::from_second(self.now).unwrap();
        for (route, planned) in observed.routes.iter().zip(&plan.routes) {
            let status = status::status(route, planned, Some("t".into()), now);
            check_claims(&observed, route, &status);
            if killed || route.stored.status.as_ref() == Some(&status) {
                continue;
            }
            self.writes += 1;
            let name = route.stored.metadata.name.clone().unwrap();
            let mut stored = StoredRoute::clone(&route.stored);
            stored.status = Some(status);
            self.routes.get_mut(&name).unwrap().stored = Arc::new(stored);
        }
        self.now += 1;
    }

    fn apply(&mut self, pod: &str, sent: &[SentRoute], routes: &[ObservedRoute], answers_percent: u32) {
        let answers = self.random.random_ratio(answers_percent, 100);
        let sidecar = self.sidecars.get_mut(pod).unwrap();
        if sidecar.presence != Presence::Connected || !answers {
            return;
        }
        let before = std::mem::take(&mut sidecar.serves);
        for route in sent {
            // Another object of the name is another route; uids are unique here.
            let key = route.uid().unwrap().to_owned();
            let kept = before.get(&key).copied().filter(|_| route.held == Held::Yes);
            if let Some(generation) = kept.or(route.route().is_ok().then(|| route.generation())) {
                sidecar.serves.insert(key, generation);
            }
        }
        for (uid, generation) in before {
            let is_broken = routes
                .iter()
                .any(|route| self::uid(route) == uid && route.spec.is_err());
            assert!(
                !is_broken || sidecar.serves.get(&uid) == Some(&generation),
                "{uid} is taken from {pod}"
            );
        }
        sidecar.said = Some(Arc::new(said(routes, &sidecar.serves, "applied")));
    }

    /// Everybody goes home; how many statuses the last of the steps has written.
    fn settle(&mut self) -> usize {
        let mut last = 0;
        for _ in 0..SETTLE_STEPS {
            self.connect_all();
            let before = self.writes;
            self.reconcile(100, false);
            last = self.writes - before;
        }
        last
    }
}

fn uid(route: &ObservedRoute) -> &str {
    route.stored.metadata.uid.as_deref().unwrap()
}

fn said(routes: &[ObservedRoute], serves: &BTreeMap<String, i64>, version: &str) -> Acknowledged {
    let results = routes.iter().filter_map(|route| {
        Some(RouteResult {
            name: route.stored.metadata.name.clone().unwrap(),
            uid: route.stored.metadata.uid.clone(),
            generation: Some(*serves.get(uid(route))?),
            error: None,
        })
    });
    let said = Acknowledgement {
        version: version.into(),
        routes: results.collect(),
    };
    said.into()
}

/// `Programmed` is true only of what every ready pod has acknowledged, or what was said by the last leader and nobody has
/// contradicted; and `Ready` is true only with it.
fn check_claims(observed: &Observed, route: &ObservedRoute, status: &WsRouteStatus) {
    let is_true = |type_| condition(status, type_).0 == ConditionStatus::True;
    assert!(!is_true("Ready") || (is_true("Programmed") && is_true("Accepted")));
    let both = ["Reconciling", "Stalled"].map(|type_| find(&status.conditions, type_).is_some());
    assert_ne!(both, [true, true]);
    if !is_true("Programmed") {
        return;
    }
    let generation = route.stored.metadata.generation;
    assert_eq!(
        find(&status.conditions, "Programmed")
            .unwrap()
            .observed_generation,
        generation
    );
    let spec = route.spec.as_ref().expect("what is invalid is not programmed");
    for pod in observed
        .pods
        .iter()
        .filter(|pod| pod.ready && spec.selects(&pod.labels))
    {
        let acknowledged =
            progress::acknowledged(route, pod).is_some_and(|result| result.generation == generation);
        let is_awaited = observed.awaiting.is_some() && pod.sidecar.presence == Presence::Unseen;
        assert!(
            pod.has_sidecar() && (acknowledged || is_awaited),
            "{pod:#?} {status:#?}"
        );
    }
}

#[test]
fn whatever_happens_nothing_is_claimed_that_is_not_so_and_in_the_end_nothing_is_written() {
    for seed in 0..HISTORIES {
        let mut cluster = Cluster::new(seed);
        for _ in 0..STEPS {
            cluster.disturb();
            let killed = cluster.random.random_ratio(1, 5);
            cluster.reconcile(60, killed);
        }
        assert_eq!(cluster.settle(), 0, "seed {seed}: statuses go on changing");
        let observed = cluster.observed();
        let plan = plan(&observed);
        for (route, planned) in observed.routes.iter().zip(&plan.routes) {
            let status = route.stored.status.as_ref().unwrap();
            let ready = || observed.pods.iter().filter(|pod| pod.ready);
            let everywhere = ready().count() > 0 && ready().all(|pod| pod.has_sidecar());
            if everywhere && planned.refusal.is_none() && !planned.suspended {
                let (programmed, reason) = condition(status, "Programmed");
                assert_eq!(programmed, ConditionStatus::True, "seed {seed}: {reason}");
            }
        }
    }
}

const MANY_ROUTES: usize = 500;
const MANY_PODS: usize = 20;

#[test]
fn one_change_among_many_routes_and_pods_writes_each_status_once_at_most() {
    let mut cluster = Cluster::settled(MANY_ROUTES, MANY_PODS);
    let writes = |cluster: &mut Cluster, change: &dyn Fn(&mut Cluster)| {
        let before = cluster.writes;
        change(cluster);
        cluster.reconcile(100, false);
        cluster.writes - before
    };
    assert_eq!(writes(&mut cluster, &|_| {}), 0, "nothing has changed");
    // A pod that is not ready becomes so: a count of each route, and no more than that.
    let unready = |cluster: &mut Cluster| cluster.pods.get_mut("p00").unwrap().ready = false;
    assert_eq!(writes(&mut cluster, &unready), MANY_ROUTES);
    assert_eq!(writes(&mut cluster, &|_| {}), 0);
    // A route that is edited is written, and no other one.
    let edit = |cluster: &mut Cluster| {
        let route = cluster.routes.get_mut("r007").unwrap();
        let mut object = route.stored.object.as_ref().unwrap().clone();
        object.metadata.generation = Some(3);
        route.stored = Arc::new(StoredRoute {
            metadata: object.metadata.clone(),
            object: Ok(object),
            status: route.stored.status.clone(),
        });
    };
    assert_eq!(writes(&mut cluster, &edit), 1);
    assert_eq!(writes(&mut cluster, &|_| {}), 1, "acknowledged");
    // A new leader, to which sidecars come one after another: that they are awaited is said once, and that they are there.
    let before = cluster.writes;
    cluster.change_leader();
    cluster.takeover = MANY_PODS * 2;
    cluster.reconcile(100, false);
    for number in 0..MANY_PODS {
        cluster.connect(&format!("p{number:02}"));
        // Several come within the time that makes changes one.
        if number % 4 == 3 {
            cluster.reconcile(100, false);
        }
    }
    let after = cluster.writes - before;
    assert!(after <= 2 * MANY_ROUTES, "{after} statuses were written");
}
