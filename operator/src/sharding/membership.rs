//! Who is there.

use super::fence::Fence;
use super::member_lease::{MemberLeaseError, MemberLeases};
use super::rendezvous;
use crate::context::sleep_until;
use crate::health::Heartbeat;
use crate::settings::LeaseSettings;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A member renews this often within its Lease's duration, and looks at those of the others as often.
const RENEWALS: u32 = 5;

/// The share of the Lease's duration after which a member that could not renew stops, well before others take over.
const RENEW_SHARE: f64 = 2.0 / 3.0;

/// A Lease that nobody has renewed for so many times its duration is deleted: its pod is gone for good.
const FORGOTTEN_AFTER: u32 = 20;

/// Who is there, as one member sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct View {
    /// The identity under which this process may claim objects. None while it is no member.
    pub(crate) own: Option<Arc<str>>,
    /// The replica of each identity that is there, this one included.
    members: BTreeMap<Arc<str>, Arc<str>>,
}

impl View {
    /// One that is alone.
    pub(crate) fn alone(identity: &str, replica: &str) -> Self {
        let identity = Arc::<str>::from(identity);
        Self {
            own: Some(Arc::clone(&identity)),
            members: BTreeMap::from([(identity, replica.into())]),
        }
    }

    /// Whether that process is there, as far as can be told. One that is not never acts again under this identity.
    pub(crate) fn is_there(&self, identity: &str) -> bool {
        self.members.contains_key(identity)
    }

    /// Whether this process is to look after an object, if nobody else still does.
    pub(crate) fn is_mine(&self, uid: &str) -> bool {
        let Some(own) = &self.own else { return false };
        let own = self.members.get(own).map(|replica| &**replica);
        // By replica, so that one that was started anew gets back what it had.
        own.is_some() && rendezvous::owner(uid, self.members.values().map(|replica| &**replica)) == own
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }
}

/// This process's membership.
pub(crate) struct Membership {
    leases: MemberLeases,
    replica: Arc<str>,
    duration: Duration,
    fence: Fence,
    view: watch::Sender<View>,
    observed: Observed,
}

/// Each Lease as it was seen last, and when it was first seen so, by name.
type Observed = BTreeMap<String, (LeaseSpec, Instant)>;

/// The identity under which a process renews, and when it last did.
struct Held {
    identity: Arc<str>,
    renewed_at: Instant,
}

impl Membership {
    /// Takes part as `replica`, a name that no other process has at the same time.
    pub(crate) fn new(
        client: Client,
        settings: &LeaseSettings,
        replica: &str,
    ) -> (Self, watch::Receiver<View>, Fence) {
        let (view, receiver) = watch::channel(View::default());
        let fence = Fence::closed();
        let membership = Self {
            leases: MemberLeases::new(client, settings, replica),
            replica: replica.into(),
            duration: settings.duration,
            fence: fence.clone(),
            view,
            observed: Observed::new(),
        };
        (membership, receiver, fence)
    }

    /// Renews and looks until `stop` is cancelled, which is to be done when everything this process held has been let go.
    /// The Lease is then deleted, so that nobody waits for its end.
    pub(crate) async fn run(mut self, heartbeat: Heartbeat, stop: CancellationToken) {
        let interval = self.duration / RENEWALS;
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut held = None::<Held>;
        loop {
            heartbeat.beat();
            held = held.filter(|held| !self.has_lapsed(held));
            if held.is_none() {
                self.leave();
            }
            let lapse = held.as_ref().map(|held| held.renewed_at + self.patience());
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(lapse) => continue,
                turned = self.turn(&mut held, interval) => {
                    if let Err(error) = turned {
                        tracing::warn!(error = %ErrorChain(&error), "membership not renewed");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
        }
        self.leave();
        self.release(interval).await;
    }

    fn patience(&self) -> Duration {
        self.duration.mul_f64(RENEW_SHARE)
    }

    fn has_lapsed(&self, held: &Held) -> bool {
        let has_lapsed = held.renewed_at.elapsed() >= self.patience();
        if has_lapsed {
            tracing::error!(
                identity = &*held.identity,
                "membership lost: it could not be renewed in time"
            );
        }
        has_lapsed
    }

    fn leave(&self) {
        self.fence.close();
        self.view.send_if_modified(|view| {
            let was_member = view.own.is_some();
            view.own = None;
            was_member
        });
    }

    /// One round: looks, renews, and tells what it has seen.
    async fn turn(&mut self, held: &mut Option<Held>, timeout: Duration) -> Result<(), MemberLeaseError> {
        let listed = self.leases.list(timeout).await?;
        let own = self.leases.own(&listed).cloned();
        if held
            .as_ref()
            .is_some_and(|held| holder(own.as_ref()) != Some(&held.identity))
        {
            tracing::error!("membership lost: somebody has taken or deleted the Lease");
            *held = None;
            self.leave();
        }
        // Who has lapsed comes back as somebody else: what others have taken over meanwhile must not look like its own.
        let identity = match &*held {
            Some(held) => Arc::clone(&held.identity),
            None => new_identity(&self.replica),
        };
        let asked_at = Instant::now();
        self.leases.renew(&identity, own.as_ref(), timeout).await?;
        self.fence.extend(asked_at + self.patience());
        let is_new = held.is_none();
        *held = Some(Held {
            identity: Arc::clone(&identity),
            // From before the request, since the server may have taken the renewal as early as then.
            renewed_at: asked_at,
        });
        if is_new {
            tracing::info!(identity = &*identity, "membership acquired");
        }
        let others = self.look(&listed, own.as_ref(), Instant::now()).await;
        let mut members = others;
        members.insert(Arc::clone(&identity), Arc::clone(&self.replica));
        let seen = View {
            own: Some(identity),
            members,
        };
        self.view.send_if_modified(|view| {
            let is_news = *view != seen;
            if is_news {
                tracing::info!(members = seen.len(), "members of the release changed");
                *view = seen;
            }
            is_news
        });
        Ok(())
    }

    /// The others that are there. Leases of those that are gone for long are deleted.
    async fn look(
        &mut self,
        listed: &[Lease],
        own: Option<&Lease>,
        now: Instant,
    ) -> BTreeMap<Arc<str>, Arc<str>> {
        let name = |lease: &Lease| lease.metadata.name.clone().unwrap_or_default();
        let own = own.map(name);
        let mut there = BTreeMap::new();
        let mut observed = Observed::new();
        for lease in listed.iter().filter(|lease| Some(name(lease)) != own) {
            let spec = lease.spec.clone().unwrap_or_default();
            let since = match self.observed.remove(&name(lease)) {
                Some((before, since)) if before == spec => since,
                _ => now,
            };
            let duration = duration(&spec);
            if now.duration_since(since) <= duration {
                if let Some(identity) = &spec.holder_identity {
                    there.insert(identity.as_str().into(), replica_of(identity).into());
                }
            } else if now.duration_since(since) > duration * FORGOTTEN_AFTER
                && let Err(error) = self.leases.delete(lease).await
            {
                tracing::debug!(error = %ErrorChain(&error), "the Lease of a member that is gone was not deleted");
            }
            observed.insert(name(lease), (spec, since));
        }
        self.observed = observed;
        there
    }

    async fn release(&self, timeout: Duration) {
        let released = async {
            let listed = self.leases.list(timeout).await?;
            match self.leases.own(&listed) {
                Some(own) => self.leases.delete(own).await,
                None => Ok(()),
            }
        };
        match released.await {
            Ok(()) => tracing::info!("membership released"),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "membership not released; it will expire");
            }
        }
    }
}

fn holder(lease: Option<&Lease>) -> Option<&str> {
    lease?.spec.as_ref()?.holder_identity.as_deref()
}

fn duration(spec: &LeaseSpec) -> Duration {
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// A name that no process ever had.
pub(crate) fn new_identity(replica: &str) -> Arc<str> {
    format!("{replica}/{:016x}", rand::random::<u64>()).into()
}

fn replica_of(identity: &str) -> &str {
    identity.rsplit_once('/').map_or(identity, |(replica, _)| replica)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl View {
        /// One of a test's own: identities and their replicas.
        pub(crate) fn of(own: &str, members: &[(&str, &str)]) -> Self {
            let members = members.iter();
            Self {
                own: Some(own.into()),
                members: members
                    .map(|(identity, replica)| (Arc::from(*identity), Arc::from(*replica)))
                    .collect(),
            }
        }
    }

    fn view(own: Option<&str>, members: &[&str]) -> View {
        View {
            own: own.map(Arc::from),
            members: members
                .iter()
                .map(|identity| (Arc::from(*identity), Arc::from(replica_of(identity))))
                .collect(),
        }
    }

    #[test]
    fn each_object_is_for_exactly_one_of_those_that_agree_on_who_is_there() {
        let members = ["a/1", "b/2", "c/3"];
        for object in (0..100).map(|number| format!("object-{number}")) {
            let takers = members
                .iter()
                .filter(|own| view(Some(own), &members).is_mine(&object))
                .count();
            assert_eq!(takers, 1, "{object}");
        }
    }

    #[test]
    fn who_is_no_member_looks_after_nothing_and_one_that_comes_back_gets_what_it_had() {
        assert!(!view(None, &["a/1"]).is_mine("x"));
        assert!(View::alone("a/1", "a").is_mine("x"));
        for object in ["x", "y", "z"] {
            assert_eq!(
                view(Some("a/1"), &["a/1", "b/2"]).is_mine(object),
                view(Some("a/9"), &["a/9", "b/2"]).is_mine(object)
            );
        }
    }

    #[test]
    fn identities_differ_and_name_their_replica() {
        let (first, second) = (new_identity("pod-0"), new_identity("pod-0"));
        assert_ne!(first, second);
        assert_eq!(replica_of(&first), "pod-0");
    }
}
