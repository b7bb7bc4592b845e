//! The life of one pod.

use super::volumes::{self, Mounts};
use super::{Node, Stage};
use anyhow::{Context, Result};
use heddle_crds::codegen;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// The node that pods are bound to. There need not be one: only a kubelet would look.
const NODE: &str = "stand-in";

/// Between two tries to mount what is not there.
const MOUNT_INTERVAL: Duration = Duration::from_millis(100);

/// Exit code of a process that a signal ended, as shells and kubelets report it.
const SIGNAL_BASE: i32 = 128;

/// Runs a pod until it ends or `stop` says that it is being deleted.
pub(super) async fn run(node: Node, pod: Pod, stop: CancellationToken) -> Result<()> {
    let api = Api::<Pod>::namespaced(node.client.clone(), &node.namespace);
    let name = pod.name_any();
    let lived = tokio::select! {
        lived = live(&node, &api, &pod) => lived,
        () = stop.cancelled() => Ok(()),
    };
    // What a pod needs goes with its owner, and the pod after it.
    if !is_gone(&lived) {
        lived.with_context(|| format!("failed to run pod {name}"))?;
    }
    // What is left to a kubelet: pods that are being deleted wait for its word.
    stop.cancelled().await;
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    match api.delete(&name, &now).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => result.map(drop).context("failed to delete a pod"),
    }
}

/// A test may delete what it likes; that is no failure of the kubelet.
fn is_gone(lived: &Result<()>) -> bool {
    matches!(lived.as_ref().err().and_then(refusal), Some(404 | 409))
}

/// The code by which the API server has refused something, if that is what went wrong.
fn refusal(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

async fn live(node: &Node, api: &Api<Pod>, pod: &Pod) -> Result<()> {
    let name = pod.name_any();
    bind(node, api, &name).await?;
    let mut stage = node.stage.clone();
    if *stage.borrow_and_update() == Stage::ImagePullFails {
        let waiting =
            json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
        report(api, pod, "Pending", &waiting, false).await?;
        stage.wait_for(|stage| *stage != Stage::ImagePullFails).await?;
    }
    let folder = node.folder.join(&name);
    let mounts = mount(node, pod, &folder).await?;
    report(
        api,
        pod,
        "Running",
        &json!({ "running": { "startedAt": Timestamp::now().to_string() } }),
        true,
    )
    .await?;
    stage.wait_for(|stage| *stage != Stage::Hang).await?;
    let container = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.containers.first())
        .context("a pod without containers")?;
    let status = execute(node, container, &mounts, &folder).await?;
    let message = std::fs::read_to_string(folder.join("termination-log")).unwrap_or_default();
    let code = exit_code(status);
    let terminated = json!({ "terminated": {
        "exitCode": code,
        "reason": if code == 0 { "Completed" } else { "Error" },
        "message": message,
        "finishedAt": Timestamp::now().to_string(),
    }});
    report(
        api,
        pod,
        if code == 0 { "Succeeded" } else { "Failed" },
        &terminated,
        false,
    )
    .await
}

/// Mounts the volumes. What is not there yet is waited for: a namespace's `kube-root-ca.crt` comes some time after the namespace.
async fn mount(node: &Node, pod: &Pod, folder: &Path) -> Result<Mounts> {
    loop {
        match volumes::mount(node, pod, folder).await {
            Err(error) if refusal(&error) == Some(404) => tokio::time::sleep(MOUNT_INTERVAL).await,
            mounted => return mounted,
        }
    }
}

async fn bind(node: &Node, api: &Api<Pod>, name: &str) -> Result<()> {
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": name, "namespace": node.namespace },
        "target": { "apiVersion": "v1", "kind": "Node", "name": NODE },
    });
    let bound: Result<Value, _> = api
        .create_subresource("binding", name, &PostParams::default(), &binding)
        .await;
    bound?;
    Ok(())
}

async fn execute(node: &Node, container: &Container, mounts: &Mounts, folder: &Path) -> Result<ExitStatus> {
    let termination_log = folder.join("termination-log");
    let arguments =
        container
            .args
            .iter()
            .flatten()
            .map(|argument| match argument == codegen::TERMINATION_MESSAGE_FILE {
                true => termination_log.display().to_string(),
                false => volumes::translate(argument, mounts),
            });
    let secrets = [
        ("--source-secret", codegen::SOURCE_SECRET_FOLDER),
        ("--output-secret", codegen::OUTPUT_SECRET_FOLDER),
    ];
    let secrets = secrets
        .iter()
        .filter_map(|(flag, mounted)| Some((flag, mounts.get(*mounted)?)));
    let log = File::create(folder.join("log"))?;
    let mut command = Command::new(&node.program);
    command.args(arguments);
    for (flag, path) in secrets {
        command.arg(flag).arg(path);
    }
    let environment = container.env.iter().flatten();
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // What every container is told.
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", node.api_port.to_string())
        .envs(environment.map(|variable| (&variable.name, variable.value.clone().unwrap_or_default())))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("failed to start {}", node.program.display()))?;
    if let Some(id) = child.id() {
        std::fs::write(folder.join("pid"), id.to_string())?;
    }
    child.wait().await.context("failed to wait for a container")
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| SIGNAL_BASE + status.signal().unwrap_or_default())
}

async fn report(api: &Api<Pod>, pod: &Pod, phase: &str, state: &Value, ready: bool) -> Result<()> {
    let status = json!({ "status": {
        "phase": phase,
        "startTime": Timestamp::now().to_string(),
        "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
        "containerStatuses": [{
            "name": codegen::CONTAINER,
            "image": "heddle-codegen",
            "imageID": "",
            "ready": ready,
            "restartCount": 0,
            "started": ready,
            "state": state,
        }],
    }});
    api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}
