//! etcd, API server, controller manager and scheduler: how each is started.

use super::certificates::{file, kubeconfig};
use super::{API_SERVER_PORT, SERVICE_RANGE};
use crate::layout::Layout;
use crate::processes::Component;
use crate::tools::{Tool, Tools};

/// Loopback of the node's own namespace, which nothing else shares.
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// A component that runs one of the built tools.
pub(super) fn component(tools: &Tools, tool: Tool, name: &'static str, arguments: Vec<String>) -> Component {
    let program = tools.path(tool).display().to_string();
    Component {
        name,
        command: [vec![program], arguments].concat(),
    }
}

/// The store. Nothing in it outlives a crash of the host, so it need not wait for the disk.
pub(super) fn etcd(layout: &Layout, tools: &Tools) -> Component {
    let arguments = vec![
        "--name=heddle".to_owned(),
        format!("--data-dir={}", layout.at_state("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=heddle={ETCD_PEER}"),
        "--log-level=warn".to_owned(),
    ];
    component(tools, Tool::Etcd, "etcd", arguments)
}

/// The API server, with the authorisation modes and admission plugins that kubeadm gives it.
pub(super) fn api_server(layout: &Layout, tools: &Tools) -> Component {
    let path = |name: &str| file(layout, name).display().to_string();
    let arguments = vec![
        format!("--etcd-servers={ETCD}"),
        format!("--advertise-address={}", layout.node_address()),
        format!("--secure-port={API_SERVER_PORT}"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--cert-dir={}", path("apiserver")),
        format!("--tls-cert-file={}", path("apiserver.crt")),
        format!("--tls-private-key-file={}", path("apiserver.key")),
        format!("--client-ca-file={}", path("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", path("service-account.pub")),
        format!(
            "--service-account-signing-key-file={}",
            path("service-account.key")
        ),
        format!("--kubelet-certificate-authority={}", path("ca.crt")),
        format!(
            "--kubelet-client-certificate={}",
            path("apiserver-to-kubelet.crt")
        ),
        format!("--kubelet-client-key={}", path("apiserver-to-kubelet.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
    ];
    component(tools, Tool::KubeApiserver, "kube-apiserver", arguments)
}

/// The controllers, each with a service account of its own.
pub(super) fn controller_manager(layout: &Layout, tools: &Tools) -> Component {
    let path = |name: &str| file(layout, name).display().to_string();
    let mut arguments = client_arguments(layout, "kube-controller-manager");
    arguments.extend([
        "--use-service-account-credentials=true".to_owned(),
        format!("--root-ca-file={}", path("ca.crt")),
        format!(
            "--service-account-private-key-file={}",
            path("service-account.key")
        ),
        format!("--cluster-signing-cert-file={}", path("ca.crt")),
        format!("--cluster-signing-key-file={}", path("ca.key")),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!(
            "--flex-volume-plugin-dir={}",
            layout.at_state("kubelet/volume-plugins").display()
        ),
    ]);
    component(
        tools,
        Tool::KubeControllerManager,
        "kube-controller-manager",
        arguments,
    )
}

/// The scheduler.
pub(super) fn scheduler(layout: &Layout, tools: &Tools) -> Component {
    let arguments = client_arguments(layout, "kube-scheduler");
    component(tools, Tool::KubeScheduler, "kube-scheduler", arguments)
}

/// With a single instance nobody else can lead, so waiting for a lease would only cost time.
fn client_arguments(layout: &Layout, name: &str) -> Vec<String> {
    let path = kubeconfig(layout, name).display().to_string();
    vec![
        format!("--kubeconfig={path}"),
        format!("--authentication-kubeconfig={path}"),
        format!("--authorization-kubeconfig={path}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
    ]
}
