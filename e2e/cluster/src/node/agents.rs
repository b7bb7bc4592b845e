//! kubelet and kube-proxy: their configuration and how each is started.

use anyhow::Result;
use serde_json::{Value, json};

use super::certificates::{file, kubeconfig};
use super::control_plane::component;
use super::{DNS_ADDRESS, NODE_NAME, POD_RANGE};
use crate::layout::Layout;
use crate::processes::Component;
use crate::tools::{Tool, Tools};

const KUBELET: &str = "kubelet.json";
const KUBE_PROXY: &str = "kube-proxy.json";
const RESOLVER: &str = "resolv.conf";

/// Writes both configurations.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn configure(layout: &Layout) -> Result<()> {
    super::write(layout, KUBELET, &kubelet_configuration(layout).to_string())?;
    super::write(layout, KUBE_PROXY, &kube_proxy_configuration(layout).to_string())?;
    super::write(
        layout,
        RESOLVER,
        "# No name server: no way leads out of this cluster.\n",
    )
}

pub(super) fn kubelet(layout: &Layout, tools: &Tools) -> Component {
    let arguments = vec![
        format!("--config={}", layout.at_state(KUBELET).display()),
        format!("--kubeconfig={}", kubeconfig(layout, "kubelet").display()),
        format!("--root-dir={}", layout.at_state("kubelet").display()),
        format!("--cert-dir={}", layout.at_state("kubelet/pki").display()),
        format!("--hostname-override={NODE_NAME}"),
        format!("--node-ip={}", layout.node_address()),
    ];
    component(tools, Tool::Kubelet, "kubelet", arguments)
}

pub(super) fn kube_proxy(layout: &Layout, tools: &Tools) -> Component {
    let arguments = vec![format!("--config={}", layout.at_state(KUBE_PROXY).display())];
    component(tools, Tool::KubeProxy, "kube-proxy", arguments)
}

/// Eviction and image collection are all but off: a full disk of the host is no reason to end a test's pod.
pub(super) fn kubelet_configuration(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": file(layout, "ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": file(layout, "kubelet-server.crt"),
        "tlsPrivateKeyFile": file(layout, "kubelet-server.key"),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.scope()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": false,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.at_state(RESOLVER),
        "podLogsDir": layout.at_state("pod-logs"),
        "volumePluginDir": layout.at_state("kubelet/volume-plugins"),
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    })
}

/// The settings of connection tracking belong to the host, and zero leaves them alone.
pub(super) fn kube_proxy_configuration(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": kubeconfig(layout, "kube-proxy") },
        "hostnameOverride": NODE_NAME,
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "oomScoreAdj": 0,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::layout::checkout;

    fn layout() -> Layout {
        Layout::new(&checkout()).unwrap()
    }

    #[test]
    fn pods_run_below_the_control_group_of_this_cluster() {
        let layout = layout();
        assert_eq!(
            kubelet_configuration(&layout)["cgroupRoot"],
            format!("/{}", layout.scope())
        );
    }

    #[test]
    fn logs_and_volumes_stay_in_the_state_folder() {
        let layout = layout();
        let configuration = kubelet_configuration(&layout);
        for key in ["podLogsDir", "volumePluginDir", "resolvConf"] {
            assert!(
                Path::new(configuration[key].as_str().unwrap()).starts_with(layout.state()),
                "{key}"
            );
        }
    }

    #[test]
    fn kube_proxy_leaves_the_connection_tracking_of_the_host_alone() {
        let conntrack = &kube_proxy_configuration(&layout())["conntrack"];
        assert_eq!(conntrack["maxPerCore"], 0);
        assert_eq!(conntrack["tcpEstablishedTimeout"], "0s");
    }
}
