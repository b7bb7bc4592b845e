use super::*;
use heddle_crds::WsRoute;
use k8s_openapi::api::core::v1::Pod;

fn settings() -> SidecarSettings {
    SidecarSettings {
        image: "heddle-proxy:1".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: vec!["registry".into(), "mirror".into()],
        admin_port: 19437,
        resources: None,
        configuration_url: "https://heddle-configuration.heddle.svc".into(),
        environment: vec![("HEDDLE_LOG".into(), "info".into())],
    }
}

pub(super) fn route(name: &str, port: u16, secret: Option<&str>) -> Route {
    let tls = secret.map(|name| json!({ "secretRef": { "name": name } }));
    let object: WsRoute = serde_json::from_value(json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "WsRoute",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "selector": { "matchLabels": { "app": "chat" } },
            "listener": { "port": port, "tls": tls },
            "backends": [{ "name": "app", "port": 8080 }],
        },
    }))
    .unwrap();
    Route::parse(&object).unwrap()
}

/// Applies the two kinds of operation that there are.
fn patched(mut pod: Value, operations: &[Value]) -> Value {
    for operation in operations {
        let path = operation["path"].as_str().unwrap();
        match path.strip_suffix("/-") {
            Some(list) => {
                let list = pod.pointer_mut(list).unwrap().as_array_mut().unwrap();
                list.push(operation["value"].clone());
            }
            None => {
                let (parent, key) = path.rsplit_once('/').unwrap();
                pod.pointer_mut(parent).unwrap()[key] = operation["value"].clone();
            }
        }
    }
    pod
}

#[test]
fn a_pod_gets_a_native_sidecar_after_its_own_init_containers_and_only_once() {
    let pod = json!({
        "metadata": { "labels": { "app": "chat" } },
        "spec": {
            "containers": [{ "name": "app", "image": "app" }],
            "initContainers": [{ "name": "migrate", "image": "app" }],
        },
    });
    assert!(wants_one(&pod));
    let routes = [
        route("chat", 9080, Some("tls")),
        route("feed", 9081, None),
        route("more", 9080, Some("tls")),
    ];
    let after = patched(pod.clone(), &patch(&pod, &routes, &settings(), "PEM"));
    assert!(!wants_one(&after), "the webhook may be called twice");
    let typed: Pod = serde_json::from_value(after).unwrap();
    let spec = typed.spec.unwrap();
    let init = spec.init_containers.unwrap();
    assert_eq!(init[0].name, "migrate");
    let sidecar = &init[1];
    assert_eq!(sidecar.restart_policy.as_deref(), Some("Always"));
    let ports: Vec<_> = sidecar
        .ports
        .iter()
        .flatten()
        .map(|port| port.container_port)
        .collect();
    assert_eq!(ports, [19437, 9080, 9081]);
    let mounts: Vec<_> = sidecar
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| mount.mount_path.as_str())
        .collect();
    assert_eq!(
        mounts,
        ["/var/lib/heddle", "/var/run/secrets/heddle.dev", "/secrets/tls"]
    );
    let volumes: BTreeSet<_> = spec.volumes.iter().flatten().map(|volume| &volume.name).collect();
    for mount in sidecar.volume_mounts.iter().flatten() {
        assert!(volumes.contains(&mount.name), "{}", mount.name);
    }
    let bundle = sidecar
        .env
        .iter()
        .flatten()
        .find(|variable| variable.name == "HEDDLE_TRUST_BUNDLE");
    assert_eq!(bundle.unwrap().value.as_deref(), Some("PEM"));
}

#[test]
fn a_pod_sees_the_authorities_of_its_namespace_where_the_sidecar_looks_for_them_and_starts_without() {
    let pod = json!({ "spec": { "containers": [] } });
    let after = patched(pod.clone(), &patch(&pod, &[], &settings(), "PEM"));
    let pod: Pod = serde_json::from_value(json!({ "spec": after["spec"] })).unwrap();
    let spec = pod.spec.unwrap();
    let sidecar = &spec.init_containers.unwrap()[0];
    let mut variables = sidecar.env.iter().flatten();
    let file = variables.find(|variable| variable.name == "HEDDLE_TRUST_BUNDLE_FILE");
    let (folder, name) = file.unwrap().value.as_deref().unwrap().rsplit_once('/').unwrap();
    let mut mounts = sidecar.volume_mounts.iter().flatten();
    let mount = mounts.find(|mount| mount.mount_path == folder).unwrap();
    let mut volumes = spec.volumes.iter().flatten();
    let volume = volumes.find(|volume| volume.name == mount.name).unwrap();
    let sources = volume.projected.as_ref().unwrap().sources.as_ref().unwrap();
    let trust = sources
        .iter()
        .find_map(|source| source.config_map.as_ref())
        .unwrap();
    let item = &trust.items.as_ref().unwrap()[0];
    assert_eq!(
        (trust.name.as_str(), item.key.as_str(), item.path.as_str()),
        ("heddle-trust", "ca.crt", name)
    );
    assert_eq!(trust.optional, Some(true));
}

#[test]
fn the_sidecars_image_is_pulled_with_its_own_secrets_beside_the_pods() {
    let names = |secrets: &Value| {
        let pod = json!({ "spec": { "containers": [], "imagePullSecrets": secrets } });
        let after = patched(pod.clone(), &patch(&pod, &[], &settings(), "PEM"));
        let secrets = after["spec"]["imagePullSecrets"].as_array().unwrap().clone();
        let names = secrets
            .iter()
            .map(|secret| secret["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&Value::Null), ["registry", "mirror"]);
    assert_eq!(names(&json!([{ "name": "mirror" }])), ["mirror", "registry"]);
}

#[test]
fn a_pod_whose_container_has_the_routes_port_is_refused_with_the_reason() {
    let routes = [route("chat", 9080, None)];
    let pod = json!({ "spec": { "containers": [
        { "name": "app", "ports": [{ "containerPort": 9080 }] },
    ] } });
    let clash = ports::clash(&pod, &routes, settings().admin_port).unwrap();
    assert!(clash.starts_with("WsRoute shop/chat: container app"), "{clash}");
}

#[test]
fn a_pod_that_wants_none_gets_none() {
    let pod = json!({
        "metadata": { "annotations": { "heddle.dev/sidecar": "disabled" } },
        "spec": { "containers": [{ "name": "app" }] },
    });
    assert!(!wants_one(&pod));
}
