//! Ports of a pod that two would listen at: whoever comes second could not start.

use heddle_route_config::Route;
use serde_json::Value;

/// What is wrong, for people.
pub(super) fn clash(pod: &Value, routes: &[Route], admin_port: u16) -> Option<String> {
    let listener = |port: u16| routes.iter().find(|route| route.port == port);
    if let Some(route) = listener(admin_port) {
        return Some(taken_by_sidecar(&route.id.to_string(), admin_port));
    }
    listening(pod).find_map(|(container, port)| {
        let route = listener(port).map(|route| &route.id);
        if let Some(id) = route {
            return Some(format!(
                "WsRoute {id}: container {container} has port {port} as well: the sidecar listens at spec.listener.port, and \
                 the container's port belongs to spec.backends"
            ));
        }
        (port == admin_port).then(|| {
            format!(
                "container {container} has port {port}, at which sidecars of WsRoutes answer probes: give the container \
                 another one, or set the chart's proxy.adminPort"
            )
        })
    })
}

/// What is said of a route that listens where the sidecar answers probes.
pub(in crate::webhook) fn taken_by_sidecar(route: &str, port: u16) -> String {
    format!(
        "WsRoute {route}: spec.listener.port is {port}, at which sidecars answer probes: choose another one, or set the \
         chart's proxy.adminPort"
    )
}

/// The TCP ports of containers that run when the sidecar does. An init container that ends has ended before.
fn listening(pod: &Value) -> impl Iterator<Item = (&str, u16)> {
    let list = |name: &str| pod["spec"][name].as_array().into_iter().flatten();
    let sidecars = list("initContainers").filter(|container| container["restartPolicy"] == "Always");
    let containers = list("containers").chain(sidecars);
    containers.flat_map(|container| {
        let ports = container["ports"].as_array().into_iter().flatten();
        let tcp = ports.filter(|port| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP"));
        tcp.filter_map(|port| {
            let name = container["name"].as_str().unwrap_or_default();
            Some((name, u16::try_from(port["containerPort"].as_u64()?).ok()?))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::route;
    use super::*;
    use serde_json::json;

    const ADMIN: u16 = 19437;

    fn clash_of(pod: &Value, port: u16) -> String {
        clash(pod, &[route("chat", port, None)], ADMIN).unwrap_or_default()
    }

    fn pod(port: &Value) -> Value {
        json!({ "spec": { "containers": [{ "name": "app", "ports": [port] }] } })
    }

    #[test]
    fn a_port_that_a_container_has_is_not_for_a_route_or_for_probes() {
        let app = pod(&json!({ "containerPort": 9080 }));
        assert!(clash_of(&app, 9080).contains("container app has port 9080"));
        assert_eq!(clash_of(&app, 9081), "");
        let envoy = pod(&json!({ "containerPort": ADMIN, "protocol": "TCP" }));
        assert!(clash_of(&envoy, 9080).contains("proxy.adminPort"));
        assert!(clash_of(&pod(&json!({})), ADMIN).contains("spec.listener.port is 19437"));
    }

    #[test]
    fn ports_of_what_has_ended_or_of_another_protocol_are_free() {
        let datagrams = pod(&json!({ "containerPort": 9080, "protocol": "UDP" }));
        assert_eq!(clash_of(&datagrams, 9080), "");
        let mut pod = json!({ "spec": { "initContainers": [
            { "name": "migrate", "ports": [{ "containerPort": 9080 }] },
        ] } });
        assert_eq!(clash_of(&pod, 9080), "");
        pod["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
        assert!(clash_of(&pod, 9080).contains("container migrate"));
    }
}
