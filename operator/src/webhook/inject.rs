//! Gives a pod its sidecar.

mod container;
mod ports;

use super::review::{ReviewRequest, Verdict};
use super::routes::Routes;
use crate::ws_route::sidecar;
use heddle_route_config::Route;
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) use ports::taken_by_sidecar;

/// What every sidecar gets.
#[derive(Clone, Debug)]
pub(crate) struct SidecarSettings {
    pub(crate) image: String,
    pub(crate) image_pull_policy: String,
    /// Names of Secrets in the pods' namespaces. One that is not there is passed over by the kubelet.
    pub(crate) image_pull_secrets: Vec<String>,
    /// Where probes and scrapes are answered.
    pub(crate) admin_port: u16,
    pub(crate) resources: Option<ResourceRequirements>,
    /// Where it gets its routes from.
    pub(crate) configuration_url: String,
    /// Names and values of variables, such as those of telemetry.
    pub(crate) environment: Vec<(String, String)>,
}

/// What becomes of a pod.
pub(super) fn review(
    request: &ReviewRequest,
    routes: &Routes,
    settings: &SidecarSettings,
    trust_bundle: &str,
) -> Verdict {
    if !wants_one(&request.object) {
        return Verdict::Allow;
    }
    let labels = strings(&request.object["metadata"]["labels"]);
    let selecting = routes.selecting(&request.namespace, &labels);
    if selecting.is_empty() {
        return Verdict::Allow;
    }
    if let Some(clash) = ports::clash(&request.object, &selecting, settings.admin_port) {
        return Verdict::Refuse(clash);
    }
    Verdict::Patch(patch(&request.object, &selecting, settings, trust_bundle))
}

/// A pod that has the container is left alone, whoever gave it to it: the webhook may be called twice.
fn wants_one(pod: &Value) -> bool {
    let containers = ["initContainers", "containers"]
        .into_iter()
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten();
    let has_one = containers
        .map(|container| &container["name"])
        .any(|name| name == sidecar::NAME);
    !has_one && !sidecar::opts_out(&strings(&pod["metadata"]["annotations"]))
}

fn strings(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The last of the init containers: what runs before it has no use for it.
fn patch(pod: &Value, routes: &[Route], settings: &SidecarSettings, trust_bundle: &str) -> Vec<Value> {
    let secrets = secrets(routes);
    let ports: BTreeSet<u16> = routes.iter().map(|route| route.port).collect();
    let container = container::container(settings, &ports, &secrets, trust_bundle);
    let mut operations = append(pod, "initContainers", vec![container]);
    operations.extend(append(pod, "volumes", container::volumes(&secrets)));
    let pull_secrets = pull_secrets(pod, settings);
    if !pull_secrets.is_empty() {
        operations.extend(append(pod, "imagePullSecrets", pull_secrets));
    }
    operations
}

/// Those that the pod does not have already.
fn pull_secrets(pod: &Value, settings: &SidecarSettings) -> Vec<Value> {
    let own: Vec<_> = pod["spec"]["imagePullSecrets"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|secret| &secret["name"])
        .collect();
    let missing = settings
        .image_pull_secrets
        .iter()
        .filter(|name| !own.contains(&&json!(name)));
    missing.map(|name| json!({ "name": name })).collect()
}

/// Every Secret that a route names.
fn secrets(routes: &[Route]) -> BTreeSet<String> {
    let listeners = routes.iter().filter_map(|route| route.tls.as_ref());
    let listeners = listeners.flat_map(|tls| [Some(&tls.certificate), tls.client_ca.as_ref()]);
    let backends = routes.iter().flat_map(|route| &route.backends);
    let backends = backends
        .filter_map(|backend| backend.tls.as_ref())
        .flat_map(|tls| [tls.ca.as_ref(), tls.client_certificate.as_ref()]);
    listeners.chain(backends).flatten().cloned().collect()
}

fn append(pod: &Value, list: &str, items: Vec<Value>) -> Vec<Value> {
    let path = format!("/spec/{list}");
    if pod["spec"][list].is_array() {
        let path = format!("{path}/-");
        let add = |item| json!({ "op": "add", "path": path, "value": item });
        return items.into_iter().map(add).collect();
    }
    vec![json!({ "op": "add", "path": path, "value": items })]
}

#[cfg(test)]
mod tests;
