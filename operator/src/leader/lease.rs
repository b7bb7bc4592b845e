//! Reads and writes the Lease.

use crate::settings::LeaseSettings;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::time::{Duration, Instant};

/// What came of an attempt to hold the Lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Attempt {
    /// This replica holds it.
    Held,
    /// That one does.
    HeldBy(String),
}

/// Why the Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    #[error("failed to read Lease {name}")]
    Get {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to write Lease {name}")]
    Write {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to write Lease {name}: somebody else has written it since it was read")]
    Outdated { name: String },
    #[error("failed to hear from the API server within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// The Lease as one replica sees it.
pub(super) struct LeaseClient {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    /// What was seen last, and when it was first seen so.
    observed: Option<(LeaseSpec, Instant)>,
}

impl LeaseClient {
    pub(super) fn new(client: Client, settings: &LeaseSettings, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, &settings.namespace),
            name: settings.name.clone(),
            identity,
            duration: settings.duration,
            observed: None,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Takes the Lease if it is free or has run out, or renews it if this replica holds it.
    pub(super) async fn acquire_or_renew(&mut self, timeout: Duration) -> Result<Attempt, LeaseError> {
        tokio::time::timeout(timeout, self.attempt())
            .await
            .unwrap_or(Err(LeaseError::Timeout(timeout)))
    }

    async fn attempt(&mut self) -> Result<Attempt, LeaseError> {
        let Some(lease) = self.read().await? else {
            return self.create().await;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let since = self.observe(&spec);
        match spec
            .holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
        {
            Some(holder) if holder != self.identity && !has_run_out(&spec, since, Instant::now()) => {
                Ok(Attempt::HeldBy(holder.to_owned()))
            }
            _ => self.write(lease).await,
        }
    }

    /// Gives the Lease back if this replica holds it.
    pub(super) async fn release(&mut self, timeout: Duration) -> Result<(), LeaseError> {
        let released = async {
            let Some(mut lease) = self.read().await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.replace(&lease).await.map(drop)
        };
        tokio::time::timeout(timeout, released)
            .await
            .unwrap_or(Err(LeaseError::Timeout(timeout)))
    }

    async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        let read = self.api.get_opt(&self.name).await;
        read.map_err(|source| LeaseError::Get {
            name: self.name.clone(),
            source,
        })
    }

    /// Since when the Lease has been as it is, by this replica's clock.
    fn observe(&mut self, spec: &LeaseSpec) -> Instant {
        match &self.observed {
            Some((observed, since)) if observed == spec => *since,
            _ => {
                let now = Instant::now();
                self.observed = Some((spec.clone(), now));
                now
            }
        }
    }

    async fn create(&self) -> Result<Attempt, LeaseError> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(held(
                &self.identity,
                self.duration,
                &LeaseSpec::default(),
                Timestamp::now(),
            )),
        };
        match self.api.create(&PostParams::default(), &lease).await {
            Ok(_) => Ok(Attempt::Held),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(LeaseError::Outdated {
                name: self.name.clone(),
            }),
            Err(source) => Err(LeaseError::Write {
                name: self.name.clone(),
                source,
            }),
        }
    }

    async fn write(&self, mut lease: Lease) -> Result<Attempt, LeaseError> {
        let before = lease.spec.take().unwrap_or_default();
        lease.spec = Some(held(&self.identity, self.duration, &before, Timestamp::now()));
        self.replace(&lease).await.map(|()| Attempt::Held)
    }

    /// Writes the Lease if it is still as it was read.
    async fn replace(&self, lease: &Lease) -> Result<(), LeaseError> {
        match self.api.replace(&self.name, &PostParams::default(), lease).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Err(LeaseError::Outdated {
                name: self.name.clone(),
            }),
            Err(source) => Err(LeaseError::Write {
                name: self.name.clone(),
                source,
            }),
        }
    }
}

/// Whether the holder has been silent for longer than it promised.
fn has_run_out(spec: &LeaseSpec, since: Instant, now: Instant) -> bool {
    let seconds = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    now.duration_since(since) > Duration::from_secs(seconds.unwrap_or(0))
}

/// The Lease, held by `identity` from `now` on, after it was as in `before`.
fn held(identity: &str, duration: Duration, before: &LeaseSpec, now: Timestamp) -> LeaseSpec {
    let is_renewal = before.holder_identity.as_deref() == Some(identity);
    let transitions = before.lease_transitions.unwrap_or(0);
    LeaseSpec {
        acquire_time: match is_renewal {
            true => before.acquire_time.clone(),
            false => Some(MicroTime(now)),
        },
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
        lease_transitions: Some(if is_renewal {
            transitions
        } else {
            transitions.saturating_add(1)
        }),
        renew_time: Some(MicroTime(now)),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_given_its_time_by_the_clock_of_who_waits() {
        let spec = LeaseSpec {
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        let since = Instant::now();
        assert!(!has_run_out(&spec, since, since + Duration::from_secs(15)));
        assert!(has_run_out(&spec, since, since + Duration::from_secs(16)));
    }

    #[test]
    fn only_a_change_of_the_holder_is_a_transition() {
        let (first, second) = (
            Timestamp::from_second(1).unwrap(),
            Timestamp::from_second(2).unwrap(),
        );
        let taken = held("a", Duration::from_secs(15), &LeaseSpec::default(), first);
        let renewed = held("a", Duration::from_secs(15), &taken, second);
        assert_eq!(
            (renewed.lease_transitions, renewed.acquire_time.clone()),
            (Some(1), taken.acquire_time)
        );
        assert_eq!(renewed.renew_time, Some(MicroTime(second)));
        let lost = held("b", Duration::from_secs(15), &renewed, second);
        assert_eq!(
            (lost.lease_transitions, lost.acquire_time),
            (Some(2), Some(MicroTime(second)))
        );
    }
}
