//! Where a stream has come to, and who may go on with it: one ConfigMap for each subscription.
//!
//! Every write names the version that was read or written last, so that of two that take themselves for the owner at most
//! one writes. It is an object of its own since a status is seen by everybody who watches subscriptions, with every change,
//! and is lost when objects are restored from a backup.

use heddle_crds::SseSubscription;
use heddle_crds::metadata::{FIELD_MANAGER, MANAGED_BY, SSE_SUBSCRIPTION};
use heddle_crds::sse_subscription::{Counts, Reason};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The key of the ConfigMap.
const KEY: &str = "checkpoint.json";

/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a stream has come to, and who goes on with it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Place {
    /// The identity of the process that may go on. Nobody, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// Up to which everything is dealt with. Empty before the first id.
    pub(crate) last_event_id: String,
    pub(crate) counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_event_at: Option<Time>,
    /// Why the stream does not go on, until somebody changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<Ended>,
}

/// Why a stream does not go on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// The generation of the subscription that ended, and what was asked for by `heddle.dev/requestedAt`.
    pub(crate) generation: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requested_at: Option<String>,
}

/// A place as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) place: Place,
    version: String,
}

/// Why a place could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("failed to read ConfigMap {name}")]
    Get {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to write ConfigMap {name}")]
    Write {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to hear from the API server about ConfigMap {name} within {} s", TIMEOUT.as_secs())]
    Timeout { name: String },
    #[error("failed to write ConfigMap {name}: somebody else has written or deleted it since it was read")]
    Outdated { name: String },
    #[error(
        "failed to use ConfigMap {name}: it does not belong to this SseSubscription; delete or rename it"
    )]
    Foreign { name: String },
    #[error(
        "failed to read ConfigMap {name}: {KEY} in it is no checkpoint; mend it, or delete it to begin anew"
    )]
    Parse {
        name: String,
        #[source]
        source: serde_json::Error,
    },
}

/// The checkpoint of one subscription. It is held for as long as a watcher runs, and so what can be made of it is not in it.
#[derive(Clone)]
pub(crate) struct Checkpoint {
    client: Client,
    namespace: String,
    subscription: String,
    /// Of the subscription.
    uid: String,
}

impl Checkpoint {
    /// Of this object, which the API server has stored.
    pub(crate) fn of(client: Client, object: &ObjectMeta) -> Self {
        Self {
            client,
            namespace: object.namespace.clone().unwrap_or_default(),
            subscription: object.name.clone().unwrap_or_default(),
            uid: object.uid.clone().unwrap_or_default(),
        }
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn name(&self) -> String {
        format!("{}-checkpoint", self.subscription)
    }

    /// What is stored.
    pub(crate) async fn read(&self) -> Result<Option<Stored>, CheckpointError> {
        let read = tokio::time::timeout(TIMEOUT, self.api().get_opt(&self.name())).await;
        let read = read.map_err(|_| self.timeout())?;
        let found = read.map_err(|source| CheckpointError::Get {
            name: self.name(),
            source,
        })?;
        found.map(|found| self.parse(found)).transpose()
    }

    /// Writes `place` if what is stored is still `before`.
    pub(crate) async fn write(
        &self,
        before: Option<&Stored>,
        place: Place,
    ) -> Result<Stored, CheckpointError> {
        // Plain structs with string keys have no way to fail.
        let text = serde_json::to_string(&place).unwrap_or_default();
        let written = match before {
            Some(before) => tokio::time::timeout(TIMEOUT, self.replace(before, &text)).await,
            None => tokio::time::timeout(TIMEOUT, self.create(text)).await,
        };
        let written = match written.map_err(|_| self.timeout())? {
            Ok(written) => written,
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
                return Err(CheckpointError::Outdated { name: self.name() });
            }
            Err(source) => {
                return Err(CheckpointError::Write {
                    name: self.name(),
                    source,
                });
            }
        };
        Ok(Stored {
            place,
            version: written.metadata.resource_version.unwrap_or_default(),
        })
    }

    /// The same for an owner who has written `before`. Whether a write that was not answered has been made is found out here:
    /// as nobody else has its identity, what is there under it is its own.
    pub(crate) async fn write_as_owner(
        &self,
        before: &Stored,
        place: Place,
    ) -> Result<Stored, CheckpointError> {
        let outdated = match self.write(Some(before), place.clone()).await {
            Err(error @ CheckpointError::Outdated { .. }) => error,
            written => return written,
        };
        match self.read().await? {
            Some(found) if found.place.owner == before.place.owner => self.write(Some(&found), place).await,
            _ => Err(outdated),
        }
    }

    async fn create(&self, text: String) -> Result<ConfigMap, kube::Error> {
        let labels = [
            (SSE_SUBSCRIPTION.to_owned(), label(&self.subscription)),
            (MANAGED_BY.to_owned(), "heddle".to_owned()),
        ];
        let config_map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name()),
                labels: Some(BTreeMap::from(labels)),
                owner_references: Some(vec![self.owner()]),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
            ..ConfigMap::default()
        };
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        self.api().create(&parameters, &config_map).await
    }

    fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: SseSubscription::api_version(&()).into(),
            kind: SseSubscription::kind(&()).into(),
            name: self.subscription.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }
    }

    async fn replace(&self, before: &Stored, text: &str) -> Result<ConfigMap, kube::Error> {
        let patch = json!({ "metadata": { "resourceVersion": before.version }, "data": { KEY: text } });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        self.api()
            .patch(&self.name(), &parameters, &Patch::Merge(&patch))
            .await
    }

    fn parse(&self, found: ConfigMap) -> Result<Stored, CheckpointError> {
        let owners = found.metadata.owner_references.unwrap_or_default();
        if !owners.iter().any(|owner| owner.uid == self.uid) {
            return Err(CheckpointError::Foreign { name: self.name() });
        }
        let text = found.data.as_ref().and_then(|data| data.get(KEY));
        let place = match text {
            Some(text) => serde_json::from_str(text).map_err(|source| CheckpointError::Parse {
                name: self.name(),
                source,
            })?,
            None => Place::default(),
        };
        Ok(Stored {
            place,
            version: found.metadata.resource_version.unwrap_or_default(),
        })
    }

    fn timeout(&self) -> CheckpointError {
        CheckpointError::Timeout { name: self.name() }
    }
}

/// A name as the value of a label, which is shorter.
fn label(name: &str) -> String {
    const LIMIT: usize = 63;
    let cut = &name[..name.floor_char_boundary(LIMIT)];
    cut.trim_end_matches(|last: char| !last.is_ascii_alphanumeric())
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Stored {
        pub(crate) fn for_test(place: Place) -> Self {
            Self {
                place,
                version: "1".into(),
            }
        }
    }

    #[test]
    fn a_place_is_read_as_it_was_written_and_missing_fields_are_empty() {
        let place = Place {
            owner: Some("pod/1".into()),
            last_event_id: "42".into(),
            ended: Some(Ended {
                reason: Reason::EndedByServer,
                message: "it answered 204".into(),
                generation: 3,
                requested_at: None,
            }),
            ..Place::default()
        };
        let text = serde_json::to_string(&place).unwrap();
        assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), place);
        assert_eq!(serde_json::from_str::<Place>("{}").unwrap(), Place::default());
    }

    #[test]
    fn long_names_make_labels() {
        assert_eq!(label("pushes"), "pushes");
        assert_eq!(label(&format!("{}.b", "a".repeat(62))), "a".repeat(62));
    }
}
