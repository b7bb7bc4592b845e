//! Reads and writes the Leases of members.

use crate::settings::LeaseSettings;
use heddle_crds::metadata;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemberLeaseError {
    #[error("failed to list the Leases of members")]
    List(#[source] kube::Error),
    #[error("failed to write Lease {name}")]
    Write {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to hear from the API server within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// The Leases of all members, as one of them sees them.
pub(super) struct MemberLeases {
    api: Api<Lease>,
    /// What all of them are replicas of.
    group: String,
    /// The name of this replica's own.
    name: String,
    duration: Duration,
}

impl MemberLeases {
    pub(super) fn new(client: Client, settings: &LeaseSettings, replica: &str) -> Self {
        Self {
            api: Api::namespaced(client, &settings.namespace),
            group: settings.name.clone(),
            name: format!("{}-{}", settings.name, object_name(replica)),
            duration: settings.duration,
        }
    }

    /// All there are, this replica's own among them.
    pub(super) async fn list(&self, timeout: Duration) -> Result<Vec<Lease>, MemberLeaseError> {
        let selector = format!("{}={}", metadata::MEMBER_OF, self.group);
        let parameters = ListParams::default().labels(&selector);
        match tokio::time::timeout(timeout, self.api.list(&parameters)).await {
            Ok(Ok(list)) => Ok(list.items),
            Ok(Err(error)) => Err(MemberLeaseError::List(error)),
            Err(_) => Err(MemberLeaseError::Timeout(timeout)),
        }
    }

    /// Takes or renews this replica's own. Only its predecessors of the same name can have held it, which are gone: a name
    /// is given to one process at a time.
    pub(super) async fn renew(
        &self,
        identity: &str,
        before: Option<&Lease>,
        timeout: Duration,
    ) -> Result<(), MemberLeaseError> {
        let lease = self.held(identity, before);
        let parameters = PostParams::default();
        let written = async {
            match before {
                Some(_) => self.api.replace(&self.name, &parameters, &lease).await,
                None => self.api.create(&parameters, &lease).await,
            }
        };
        match tokio::time::timeout(timeout, written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(self.write_error(source)),
            Err(_) => Err(MemberLeaseError::Timeout(timeout)),
        }
    }

    /// Deletes one, if it is still as it was read.
    pub(super) async fn delete(&self, lease: &Lease) -> Result<(), MemberLeaseError> {
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: lease.metadata.resource_version.clone(),
                uid: lease.metadata.uid.clone(),
            }),
            ..DeleteParams::default()
        };
        match self.api.delete(name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            Err(source) => Err(self.write_error(source)),
        }
    }

    /// This replica's own among those that were listed.
    pub(super) fn own<'a>(&self, leases: &'a [Lease]) -> Option<&'a Lease> {
        leases
            .iter()
            .find(|lease| lease.metadata.name.as_deref() == Some(&self.name))
    }

    fn write_error(&self, source: kube::Error) -> MemberLeaseError {
        MemberLeaseError::Write {
            name: self.name.clone(),
            source,
        }
    }

    fn held(&self, identity: &str, before: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = before.and_then(|before| before.spec.as_ref());
        let is_renewal = spec.is_some_and(|spec| spec.holder_identity.as_deref() == Some(identity));
        let labels = [
            (metadata::MEMBER_OF.to_owned(), self.group.clone()),
            (metadata::MANAGED_BY.to_owned(), "heddle".to_owned()),
        ];
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(BTreeMap::from(labels)),
                resource_version: before.and_then(|before| before.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: match (is_renewal, spec) {
                    (true, Some(spec)) => spec.acquire_time.clone(),
                    _ => Some(now.clone()),
                },
                holder_identity: Some(identity.to_owned()),
                lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// The name of a replica, which may be that of a host, as part of a name of an object.
fn object_name(replica: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let name: String = replica
        .to_lowercase()
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '-' })
        .collect();
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_replica_makes_a_name_of_an_object() {
        assert_eq!(object_name("heddle-7d4b9-x2x"), "heddle-7d4b9-x2x");
        assert_eq!(object_name("Host.local_01ab"), "host-local-01ab");
        assert_eq!(object_name("_a_"), "a");
    }
}
