//! Finds out which pods the API server does not ask the webhook about: they get no sidecar, however often they are made anew.

use super::ObserveError;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old what is known may be: neither namespaces nor the webhook's configuration are watched.
const AGE_LIMIT: Duration = Duration::from_secs(20);

/// Which pods of a namespace the webhook's selectors leave out. None, as far as is known, by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclusion {
    namespace: bool,
    objects: Option<Selector>,
}

/// What is known of namespaces, and since when.
#[derive(Debug, Default)]
pub(crate) struct ExclusionsCache(Mutex<BTreeMap<String, (Instant, Exclusion)>>);

impl Exclusion {
    /// By the selectors of a webhook and the labels of the namespace.
    fn new(webhook: &MutatingWebhook, namespace: &BTreeMap<String, String>) -> Self {
        // What the API server has admitted can be read.
        let read = |selector: &LabelSelector| Selector::try_from(selector.clone()).ok();
        let of_namespaces = webhook.namespace_selector.as_ref().and_then(read);
        Self {
            namespace: of_namespaces.is_some_and(|selector| !selector.matches(namespace)),
            objects: webhook.object_selector.as_ref().and_then(read),
        }
    }

    /// Whether a pod with these labels is left out.
    pub(super) fn covers(&self, labels: &BTreeMap<String, String>) -> bool {
        let by_labels = self
            .objects
            .as_ref()
            .is_some_and(|selector| !selector.matches(labels));
        self.namespace || by_labels
    }
}

impl ExclusionsCache {
    /// What the MutatingWebhookConfiguration of that name leaves out of a namespace.
    pub(super) async fn read(
        &self,
        client: &Client,
        configuration: &str,
        namespace: &str,
    ) -> Result<Exclusion, ObserveError> {
        if let Some(known) = self.known(namespace) {
            return Ok(known);
        }
        let exclusion = fetch(client, configuration, namespace).await?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (at, _)| at.elapsed() < AGE_LIMIT);
        all.insert(namespace.to_owned(), (Instant::now(), exclusion.clone()));
        Ok(exclusion)
    }

    fn known(&self, namespace: &str) -> Option<Exclusion> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, exclusion) = all.get(namespace)?;
        (at.elapsed() < AGE_LIMIT).then(|| exclusion.clone())
    }
}

async fn fetch(client: &Client, configuration: &str, namespace: &str) -> Result<Exclusion, ObserveError> {
    let configurations = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let found = configurations.get_opt(configuration).await;
    let found = found.map_err(|source| ObserveError::WebhookConfiguration {
        name: configuration.to_owned(),
        source,
    })?;
    let webhooks = found.and_then(|found| found.webhooks).unwrap_or_default();
    let Some(webhook) = webhooks.into_iter().find(is_of_pods) else {
        return Ok(Exclusion::default());
    };
    let namespaces = Api::<Namespace>::all(client.clone());
    let found = namespaces.get_metadata_opt(namespace).await;
    let found = found.map_err(|source| ObserveError::Namespace {
        name: namespace.to_owned(),
        source,
    })?;
    let labels = found.and_then(|found| found.metadata.labels).unwrap_or_default();
    Ok(Exclusion::new(&webhook, &labels))
}

fn is_of_pods(webhook: &MutatingWebhook) -> bool {
    let rules = webhook.rules.iter().flatten();
    let mut resources = rules.flat_map(|rule| rule.resources.iter().flatten());
    resources.any(|resource| resource == "pods")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn exclusion(changes: &Value, namespace: &[(&str, &str)]) -> Exclusion {
        let mut webhook = json!({
            "name": "pods.heddle.dev", "admissionReviewVersions": ["v1"], "clientConfig": {}, "sideEffects": "None",
            "rules": [{ "resources": ["pods"] }],
        });
        for (key, value) in changes.as_object().unwrap() {
            webhook[key] = value.clone();
        }
        let webhook = serde_json::from_value(webhook).unwrap();
        assert!(is_of_pods(&webhook));
        Exclusion::new(&webhook, &labels(namespace))
    }

    #[test]
    fn a_pod_is_left_out_by_the_labels_of_its_namespace_or_its_own() {
        let expression =
            json!({ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] });
        let both = json!({
            "namespaceSelector": { "matchExpressions": [expression] },
            "objectSelector": { "matchLabels": { "mesh": "on" } },
        });
        let shop = [("kubernetes.io/metadata.name", "shop")];
        let system = [("kubernetes.io/metadata.name", "kube-system")];
        let on = labels(&[("mesh", "on")]);
        assert!(!exclusion(&both, &shop).covers(&on));
        assert!(exclusion(&both, &shop).covers(&labels(&[])));
        assert!(exclusion(&both, &system).covers(&on));
        let none = json!({ "namespaceSelector": {}, "objectSelector": {} });
        assert!(!exclusion(&none, &system).covers(&labels(&[])));
        assert!(!Exclusion::default().covers(&labels(&[])));
    }
}
