//! The sidecar as it stands in a pod: a native one (an init container that goes on), under the restricted profile.

use super::SidecarSettings;
use crate::ws_route::sidecar::{self, TRUST_CONFIG_MAP, TRUST_KEY};
use heddle_route_config::protocol::TOKEN_AUDIENCE;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The user that it runs as, as its image does.
const USER: u32 = 65532;

/// The program in its image.
const PROGRAM: &str = "/usr/bin/heddle-proxy";

const STATE_VOLUME: &str = "heddle-state";
const STATE_FOLDER: &str = "/var/lib/heddle";
/// The most that is kept. A set is 8 MB at most as it is published, and not much more as sidecars compress it, so
/// that a dozen IdlRepos fit, each while its set is being replaced.
const STATE_SIZE: &str = "256Mi";

/// The token, and the authorities that the operator is trusted by, as kubelets keep them fresh.
const TOKEN_VOLUME: &str = "heddle-token";
const TOKEN_FOLDER: &str = "/var/run/secrets/heddle.dev";
/// The kubelet replaces it when a fifth of that is left.
const TOKEN_SECONDS: u32 = 3600;

const SECRETS_FOLDER: &str = "/secrets";
/// Hexadecimal digits of a digest in the name of a volume, as names of Secrets may be longer than those of volumes.
const VOLUME_DIGITS: usize = 16;

/// How long a sidecar may take to start, in seconds. It does not wait for the operator.
const START_SECONDS: u32 = 60;

pub(super) fn container(
    settings: &SidecarSettings,
    ports: &BTreeSet<u16>,
    secrets: &BTreeSet<String>,
    trust_bundle: &str,
) -> Value {
    let probe = |path: &str| json!({ "path": path, "port": "heddle-admin" });
    let mut container = json!({
        "name": sidecar::NAME,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["run"],
        "restartPolicy": "Always",
        "env": environment(settings, trust_bundle),
        "ports": container_ports(settings.admin_port, ports),
        "startupProbe": { "httpGet": probe("/livez"), "periodSeconds": 1, "failureThreshold": START_SECONDS },
        "livenessProbe": { "httpGet": probe("/livez"), "periodSeconds": 10, "failureThreshold": 3 },
        "readinessProbe": { "httpGet": probe("/readyz"), "periodSeconds": 2 },
        // At a pod's deletion these are run for all containers at once: sessions are told to go while the application
        // still runs.
        "lifecycle": { "preStop": { "exec": { "command": [PROGRAM, "drain"] } } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "volumeMounts": mounts(secrets),
    });
    if let Some(resources) = &settings.resources {
        container["resources"] = json!(resources);
    }
    container
}

fn environment(settings: &SidecarSettings, trust_bundle: &str) -> Vec<Value> {
    let field =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let given = [
        ("HEDDLE_ADMIN", format!("0.0.0.0:{}", settings.admin_port)),
        ("HEDDLE_CONFIGURATION_URL", settings.configuration_url.clone()),
        ("HEDDLE_TRUST_BUNDLE", trust_bundle.to_owned()),
        ("HEDDLE_TRUST_BUNDLE_FILE", format!("{TOKEN_FOLDER}/{TRUST_KEY}")),
        ("HEDDLE_TOKEN_FILE", format!("{TOKEN_FOLDER}/token")),
        ("HEDDLE_STATE_DIR", STATE_FOLDER.to_owned()),
        ("HEDDLE_SECRETS_DIR", SECRETS_FOLDER.to_owned()),
    ];
    let fields = [
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
    ];
    let given = given.map(|(name, value)| json!({ "name": name, "value": value }));
    let more = settings.environment.iter();
    let more = more.map(|(name, value)| json!({ "name": name, "value": value }));
    fields.into_iter().chain(given).chain(more).collect()
}

fn container_ports(admin_port: u16, ports: &BTreeSet<u16>) -> Vec<Value> {
    let admin = json!({ "name": "heddle-admin", "containerPort": admin_port, "protocol": "TCP" });
    let routes = ports
        .iter()
        .map(|port| json!({ "name": format!("ws-{port}"), "containerPort": port, "protocol": "TCP" }));
    std::iter::once(admin).chain(routes).collect()
}

fn mounts(secrets: &BTreeSet<String>) -> Vec<Value> {
    let own = [
        json!({ "name": STATE_VOLUME, "mountPath": STATE_FOLDER }),
        json!({ "name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true }),
    ];
    let of_routes = secrets.iter().map(|name| {
        json!({ "name": secret_volume(name), "mountPath": format!("{SECRETS_FOLDER}/{name}"), "readOnly": true })
    });
    own.into_iter().chain(of_routes).collect()
}

/// What the container mounts. A Secret that does not exist must not keep the pod from starting: the route says so.
pub(super) fn volumes(secrets: &BTreeSet<String>) -> Vec<Value> {
    let token = json!({ "audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token" });
    // A pod must not wait for it either: it was given the authorities of the day.
    let trust = json!({
        "name": TRUST_CONFIG_MAP, "optional": true, "items": [{ "key": TRUST_KEY, "path": TRUST_KEY }],
    });
    let sources = json!([{ "serviceAccountToken": token }, { "configMap": trust }]);
    let own = [
        json!({ "name": STATE_VOLUME, "emptyDir": { "sizeLimit": STATE_SIZE } }),
        json!({ "name": TOKEN_VOLUME, "projected": { "sources": sources } }),
    ];
    let of_routes = secrets.iter().map(
        |name| json!({ "name": secret_volume(name), "secret": { "secretName": name, "optional": true } }),
    );
    own.into_iter().chain(of_routes).collect()
}

fn secret_volume(name: &str) -> String {
    let mut digits: String = Sha256::digest(name)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.truncate(VOLUME_DIGITS);
    format!("heddle-secret-{digits}")
}
