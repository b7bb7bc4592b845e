//! Has the Service of the configuration stream lead to this pod, and so to the leader.

use super::ServiceSettings;
use heddle_crds::metadata::FIELD_MANAGER;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The name of the Service's port.
const PORT_NAME: &str = "configuration";

/// How often the EndpointSlice is written again, in case that somebody has deleted it.
const INTERVAL: Duration = Duration::from_secs(30);

/// How soon it is tried again when it could not be written.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps the EndpointSlice until `stop` is cancelled. The next leader writes its own over it.
pub(crate) async fn point_here(
    client: Client,
    settings: ServiceSettings,
    port: u16,
    stop: CancellationToken,
) {
    let api = Api::<EndpointSlice>::namespaced(client, &settings.namespace);
    let slice = Patch::Apply(slice(&settings, port));
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let mut is_failing = false;
    loop {
        let applied = tokio::select! {
            () = stop.cancelled() => return,
            applied = api.patch(&settings.name, &parameters, &slice) => applied,
        };
        let was_failing = std::mem::replace(&mut is_failing, applied.is_err());
        match applied {
            Ok(_) if was_failing => tracing::info!("sidecars are led to this replica again"),
            Ok(_) => {}
            Err(error) if !was_failing => {
                tracing::warn!(error = %ErrorChain(&error), "sidecars cannot be led to this replica");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if is_failing { RETRY } else { INTERVAL }) => {}
        }
    }
}

fn slice(settings: &ServiceSettings, port: u16) -> EndpointSlice {
    let labels = BTreeMap::from([
        ("kubernetes.io/service-name".to_owned(), settings.name.clone()),
        (
            "endpointslice.kubernetes.io/managed-by".to_owned(),
            "heddle.dev".to_owned(),
        ),
    ]);
    EndpointSlice {
        address_type: if settings.pod_address.is_ipv4() {
            "IPv4"
        } else {
            "IPv6"
        }
        .into(),
        endpoints: vec![Endpoint {
            addresses: vec![settings.pod_address.to_string()],
            conditions: Some(EndpointConditions {
                ready: Some(true),
                ..EndpointConditions::default()
            }),
            target_ref: Some(ObjectReference {
                kind: Some("Pod".into()),
                name: Some(settings.pod_name.clone()),
                namespace: Some(settings.namespace.clone()),
                ..ObjectReference::default()
            }),
            ..Endpoint::default()
        }],
        metadata: ObjectMeta {
            name: Some(settings.name.clone()),
            namespace: Some(settings.namespace.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        ports: Some(vec![EndpointPort {
            name: Some(PORT_NAME.into()),
            port: Some(port.into()),
            protocol: Some("TCP".into()),
            ..EndpointPort::default()
        }]),
    }
}
