//! Asks an IdlRepo to look at its source now.

use super::super::cloud_event::Origin;
use super::super::event::Event;
use super::Failure;
use heddle_crds::IdlRepo;
use heddle_crds::metadata::{FIELD_MANAGER, REQUESTED_AT, TRACEPARENT};
use heddle_telemetry::ErrorChain;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How often one IdlRepo is asked at most. Events that come meanwhile are answered by the same look.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most characters of the annotation that IdlRepos answer.
const REQUEST_LIMIT: usize = 128;

/// An IdlRepo to ask.
pub(crate) struct IdlRepoSink {
    api: Api<DynamicObject>,
    name: String,
    asked_at: Mutex<Option<Instant>>,
}

impl IdlRepoSink {
    pub(crate) fn new(client: Client, namespace: &str, name: String) -> Self {
        let kind = ApiResource::erase::<IdlRepo>(&());
        Self {
            api: Api::namespaced_with(client, namespace, &kind),
            name,
            asked_at: Mutex::new(None),
        }
    }

    pub(super) async fn send(&self, origin: &Origin, events: &[Event]) -> Result<(), Failure> {
        let Some(event) = events.last() else { return Ok(()) };
        self.wait_for_turn().await;
        // Without a trace, that of an event before goes away.
        let annotations = json!({
            REQUESTED_AT: request(origin, event),
            TRACEPARENT: event.traceparent.as_deref(),
        });
        // Not by server-side apply, which would make an IdlRepo that is not there.
        let patch = json!({ "metadata": { "annotations": annotations } });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let written = tokio::time::timeout(TIMEOUT, self.api.patch_metadata(&self.name, &parameters, &patch));
        match written.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(Failure::Unavailable {
                message: format!("IdlRepo {} does not exist in this namespace", self.name),
                retry_after: None,
            }),
            Ok(Err(error)) => Err(Failure::Unreachable(ErrorChain(&error).to_string())),
            Err(_) => Err(Failure::Unreachable(
                "the API server did not answer in time".into(),
            )),
        }
    }

    async fn wait_for_turn(&self) {
        let asked_at = *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked_at) = asked_at {
            tokio::time::sleep_until((asked_at + INTERVAL).into()).await;
        }
        *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// The same for the same event, so that one which is delivered again asks for nothing new.
fn request(origin: &Origin, event: &Event) -> String {
    let name = origin.source.rsplit('/').next().unwrap_or_default();
    let plain = format!("{name}/{}", event.id);
    if plain.len() <= REQUEST_LIMIT {
        return plain;
    }
    let digest = Sha256::digest(plain);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
