//! Every read of a reconcile.

use super::SubscriptionContext;
use super::checkpoint::{Checkpoint, CheckpointError, Stored};
use super::resolve::{Secrets, secret_names};
use super::types::{self, Types};
use super::validate::{InvalidSpec, ValidatedSubscription, validate};
use super::watchers::RunningWatcher;
use super::world::StoredSubscription;
use crate::conditions;
use crate::descriptors::FetchError;
use crate::sharding::View;
use futures::future::try_join_all;
use heddle_crds::sse_subscription::{Reason, Transcoding};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObserveError {
    #[error("failed to read Secret {name}")]
    Secret {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Types(#[from] FetchError),
}

type Problem = conditions::Problem<Reason>;

/// A subscription and what decides about it.
pub(crate) struct Observed {
    pub(crate) stored: Arc<StoredSubscription>,
    pub(crate) view: View,
    pub(crate) validated: Result<ValidatedSubscription, Invalid>,
    pub(crate) running: Option<RunningWatcher>,
    /// What was read for a watcher that is to be started; nothing, if one runs by what is known.
    pub(crate) found: Option<Found>,
    /// The types to transcode by, if that is asked for.
    pub(crate) types: Option<Result<Arc<Types>, Problem>>,
}

/// Why a subscription cannot be worked with.
#[derive(Debug)]
pub(crate) enum Invalid {
    Object(String),
    Spec(InvalidSpec),
}

/// What a watcher is started by.
pub(crate) struct Found {
    pub(crate) secrets: Secrets,
    pub(crate) digest: [u8; 32],
    /// Read unless a watcher runs, which knows better.
    pub(crate) checkpoint: Result<Option<Stored>, CheckpointError>,
}

/// Reads what is needed to decide.
pub(crate) async fn observe(
    context: &SubscriptionContext,
    key: &str,
    stored: Arc<StoredSubscription>,
) -> Result<Observed, ObserveError> {
    let view = context.view.borrow().clone();
    let running = context.watchers.find(key);
    let validated = match &stored.spec {
        Ok(spec) => validate(spec).map_err(Invalid::Spec),
        Err(error) => Err(Invalid::Object(error.clone())),
    };
    let is_wanted =
        |validated: &&ValidatedSubscription| view.is_mine(stored.uid()) && !validated.spec.suspend;
    let wanted = validated.as_ref().ok().filter(is_wanted);
    let found = match wanted {
        Some(validated) => {
            let is_outdated = context.world.take_outdated(key) || !is_current(&stored, running.as_ref());
            match is_outdated {
                true => Some(read(context, &stored, validated, running.is_some()).await?),
                false => None,
            }
        }
        None => None,
    };
    let transcoding = wanted.and_then(|validated| validated.spec.transcoding.as_ref());
    let types = match transcoding {
        Some(transcoding) => Some(read_types(context, &stored, transcoding, running.as_ref()).await?),
        None => None,
    };
    Ok(Observed {
        stored,
        view,
        validated,
        running,
        found,
        types,
    })
}

/// Nothing is read as long as a watcher that is to go on goes by what is published.
async fn read_types(
    context: &SubscriptionContext,
    stored: &StoredSubscription,
    transcoding: &Transcoding,
    running: Option<&RunningWatcher>,
) -> Result<Result<Arc<Types>, Problem>, FetchError> {
    let namespace = stored.namespace();
    let index = context.world.index(namespace, &transcoding.idl_repo_ref.name);
    let current = running.filter(|_| is_current(stored, running));
    if let (Some(types), Some(index)) = (current.and_then(|current| current.types.as_ref()), &index)
        && types.descriptors.digest == index.digest
    {
        return Ok(Ok(Arc::clone(types)));
    }
    types::read(
        &context.types,
        &context.client,
        namespace,
        transcoding,
        index.as_ref(),
    )
    .await
}

/// Whether a watcher works by the object as it is now.
fn is_current(stored: &StoredSubscription, running: Option<&RunningWatcher>) -> bool {
    running.is_some_and(|running| {
        let circumstances = &running.circumstances;
        !running.has_ended
            && circumstances.uid == stored.uid()
            && circumstances.generation == stored.generation()
            && circumstances.requested_at.as_ref() == stored.requested_at()
    })
}

async fn read(
    context: &SubscriptionContext,
    stored: &StoredSubscription,
    validated: &ValidatedSubscription,
    is_running: bool,
) -> Result<Found, ObserveError> {
    let api = Api::<Secret>::namespaced(context.client.clone(), stored.namespace());
    let reads = secret_names(&validated.spec).into_iter().map(|name| async {
        match api.get_opt(&name).await {
            Ok(secret) => Ok((name, secret)),
            Err(source) => Err(ObserveError::Secret { name, source }),
        }
    });
    let secrets: Secrets = try_join_all(reads).await?.into_iter().collect();
    let checkpoint = Checkpoint::of(context.client.clone(), &stored.metadata);
    Ok(Found {
        digest: digest(&secrets),
        secrets,
        checkpoint: match is_running {
            true => Ok(None),
            false => checkpoint.read().await,
        },
    })
}

/// Tells whether what Secrets hold has changed, without holding it.
fn digest(secrets: &Secrets) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (name, secret) in secrets {
        add(name.as_bytes());
        let data = secret.as_ref().and_then(|secret| secret.data.as_ref());
        for (key, value) in data.into_iter().flatten() {
            add(key.as_bytes());
            add(&value.0);
        }
    }
    hash.finalize().into()
}
