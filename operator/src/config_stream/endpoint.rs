//! Has the Service of the configuration stream lead to this pod, and so to the leader.

use super::ServiceSettings;
use heddle_crds::metadata::FIELD_MANAGER;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams};
use kube::{Api, Client, Resource};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The name of the Service's port.
const PORT_NAME: &str = "configuration";

/// How often the EndpointSlice is written again, in case that somebody has deleted it.
const INTERVAL: Duration = Duration::from_secs(30);

/// How soon it is tried again when it could not be written.
const RETRY: Duration = Duration::from_secs(2);

/// Why the Service does not lead here.
#[derive(Debug, thiserror::Error)]
enum PointError {
    #[error("failed to read Service {name}")]
    Service {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to write EndpointSlice {name}")]
    Apply {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to delete EndpointSlice {name}, which is of another family of addresses")]
    Delete {
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// Keeps the EndpointSlice until `stop` is cancelled. The next leader writes its own over it.
pub(crate) async fn point_here(
    client: Client,
    settings: ServiceSettings,
    port: u16,
    stop: CancellationToken,
) {
    let mut is_failing = false;
    loop {
        let pointed = tokio::select! {
            () = stop.cancelled() => return,
            pointed = point(&client, &settings, port) => pointed,
        };
        let was_failing = std::mem::replace(&mut is_failing, pointed.is_err());
        match pointed {
            Ok(()) if was_failing => tracing::info!("sidecars are led to this replica again"),
            Ok(()) => {}
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

async fn point(client: &Client, settings: &ServiceSettings, port: u16) -> Result<(), PointError> {
    let name = || settings.name.clone();
    let services = Api::<Service>::namespaced(client.clone(), &settings.namespace);
    let found = services.get_metadata_opt(&settings.name).await;
    let service = found.map_err(|source| PointError::Service { name: name(), source })?;
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), &settings.namespace);
    let slice = Patch::Apply(slice(
        settings,
        port,
        service.as_ref().map(|service| &service.metadata),
    ));
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let apply = || slices.patch(&settings.name, &parameters, &slice);
    let failed = |source| PointError::Apply { name: name(), source };
    match apply().await {
        Err(kube::Error::Api(status)) if status.is_invalid() => {}
        applied => return applied.map(drop).map_err(failed),
    }
    // The family of addresses of a slice cannot be changed.
    match slices.delete(&settings.name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        deleted => {
            deleted.map_err(|source| PointError::Delete { name: name(), source })?;
        }
    }
    apply().await.map(drop).map_err(failed)
}

/// The slice belongs to the Service, so that it goes when that is uninstalled.
fn slice(settings: &ServiceSettings, port: u16, service: Option<&ObjectMeta>) -> EndpointSlice {
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
            owner_references: service.and_then(owner).map(|owner| vec![owner]),
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

fn owner(service: &ObjectMeta) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: Service::api_version(&()).into(),
        kind: Service::kind(&()).into(),
        name: service.name.clone()?,
        uid: service.uid.clone()?,
        ..OwnerReference::default()
    })
}
