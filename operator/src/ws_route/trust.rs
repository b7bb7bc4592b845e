//! Has every namespace with routes hold the authorities that its sidecars are to trust: kubelets bring them into pods, also
//! into those that trust nobody any more who serves the configuration stream.

use super::WsRouteContext;
use super::observe::Observed;
use super::sidecar::{TRUST_CONFIG_MAP, TRUST_KEY};
use heddle_crds::metadata::{COMPONENT, FIELD_MANAGER, MANAGED_BY};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is written again, in case that somebody has deleted it or written over it.
const INTERVAL: Duration = Duration::from_secs(600);

/// Why a namespace does not hold it.
#[derive(Debug, thiserror::Error)]
#[error("failed to write ConfigMap {TRUST_CONFIG_MAP}")]
pub(crate) struct TrustError(#[source] kube::Error);

/// What each namespace was given last, and when.
#[derive(Debug, Default)]
pub(crate) struct Given(Mutex<HashMap<String, (Arc<str>, Instant)>>);

impl Given {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Arc<str>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long what the namespace was given is good for; nothing if it is to be given `bundle` now.
    fn good_for(&self, namespace: &str, bundle: &Arc<str>) -> Option<Duration> {
        let given = self.lock();
        let (_, at) = given.get(namespace).filter(|(last, _)| last == bundle)?;
        INTERVAL.checked_sub(at.elapsed())
    }
}

/// Writes it if it is not as it should be. When to look again. What was written stays when the last route goes: sidecars
/// still have to hear of the next one.
pub(crate) async fn give(
    context: &WsRouteContext,
    namespace: &str,
    observed: &Observed,
) -> Result<Option<Duration>, TrustError> {
    let bundle = &observed.trust_bundle;
    if observed.routes.is_empty() || bundle.is_empty() {
        context.given.lock().remove(namespace);
        return Ok(None);
    }
    if let Some(left) = context.given.good_for(namespace, bundle) {
        return Ok(Some(left));
    }
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let written = Patch::Apply(config_map(namespace, bundle));
    api.patch(TRUST_CONFIG_MAP, &parameters, &written)
        .await
        .map_err(TrustError)?;
    let given = (Arc::clone(bundle), Instant::now());
    context.given.lock().insert(namespace.to_owned(), given);
    Ok(Some(INTERVAL))
}

fn config_map(namespace: &str, bundle: &str) -> ConfigMap {
    let labels = [(MANAGED_BY, FIELD_MANAGER), (COMPONENT, "trust")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(TRUST_CONFIG_MAP.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(TRUST_KEY.to_owned(), bundle.to_owned())])),
        ..ConfigMap::default()
    }
}
