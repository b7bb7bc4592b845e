//! The second job, told in order: a chat gets a proxy by a WsRoute, somebody talks through it, and what is seen of that.

use super::story::{NAMESPACE, print_condition};
use crate::system::{Kubectl, System};
use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::{PortForward, Progress, Values};
use serde_json::Value;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tungstenite::{ClientRequestBuilder, Message};

const NAME: &str = "chat";
/// Where the sidecar listens.
const PORT: u16 = 9080;
/// How long the chat and its sidecar may take to be ready.
const TIMEOUT: &str = "--timeout=120s";
/// How long the chat may take to answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What is shown of the line that a session leaves.
const SHOWN: [&str; 7] = [
    "route",
    "subprotocol",
    "messages_from_client",
    "messages_from_backend",
    "code",
    "closed_by",
    "trace_id",
];

/// Tells it, in the namespace that is there.
pub(super) fn tell(root: &Path, system: &System, progress: &Progress) -> Result<()> {
    let kubectl = system.kubectl();
    println!("\nThe other job: a chat gets a WebSocket proxy beside it.\n");
    apply(root, &kubectl)?;
    let step = progress.step("Waiting for the chat and its sidecar");
    let arguments = [
        "wait",
        "--namespace",
        NAMESPACE,
        "--for=condition=Ready",
        "wsroute/chat",
        TIMEOUT,
    ];
    kubectl.output(&arguments).with_context(|| {
        format!("failed to see the route ready\n  look at: kubectl -n {NAMESPACE} describe wsroute {NAME}")
    })?;
    step.done("The chat and its sidecar are ready");
    let route = kubectl.output(&["get", "wsroute", NAME, "--namespace", NAMESPACE, "--output=json"])?;
    let route: Value = serde_json::from_str(&route).context("failed to read the WsRoute")?;
    println!("\n  wsroute/{NAME}");
    for type_ in ["Ready", "Accepted", "ResolvedRefs", "Programmed"] {
        print_condition(&route, type_);
    }
    let trace = format!("{:032x}", rand::random::<u128>());
    let heard = talk(&kubectl, &trace)?;
    println!("\n  a guest says hello through the sidecar and hears {heard}");
    show_line(&kubectl, &trace)
}

fn apply(root: &Path, kubectl: &Kubectl) -> Result<()> {
    for file in ["wsroute.yaml", "chat.yaml"] {
        let path = root.join("examples/chat").join(file);
        let manifest = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?
            .replace(
                "image: heddle-example-chat",
                &format!("image: {}", System::chat_image()),
            );
        kubectl.apply_in(NAMESPACE, &manifest)?;
        println!("  kubectl apply --filename examples/chat/{file}");
    }
    Ok(())
}

/// Says hello as part of a trace, and returns what the room then says.
fn talk(kubectl: &Kubectl, trace: &str) -> Result<String> {
    let forward = PortForward::open(kubectl.command(&[]), NAMESPACE, "deployment/chat", PORT)?;
    let address = format!("127.0.0.1:{}", forward.port());
    let stream = TcpStream::connect(&address).context("failed to connect to the sidecar")?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let request = ClientRequestBuilder::new(format!("ws://{address}/chat/lobby").parse()?)
        .with_sub_protocol("chat.v1")
        .with_header(
            "traceparent",
            format!("00-{trace}-{:016x}-01", rand::random::<u64>()),
        );
    let (mut socket, _) =
        tungstenite::client(request, stream).context("failed to shake hands with the chat")?;
    socket.send(Message::text(r#"{"text":"hello"}"#))?;
    let heard = loop {
        let message = socket.read().context("failed to hear from the chat")?;
        match message {
            Message::Text(text) if text.contains("hello") => break text.to_string(),
            Message::Close(frame) => bail!("the chat ended the session: {frame:?}"),
            _ => continue,
        }
    };
    socket.close(None)?;
    while socket.read().is_ok() {}
    Ok(heard)
}

/// The line that the session has left, which is in the trace of the one who came.
fn show_line(kubectl: &Kubectl, trace: &str) -> Result<()> {
    let selector = format!("--selector=app={NAME}");
    let follow = [
        "logs",
        "--namespace",
        NAMESPACE,
        &selector,
        "--container=heddle-proxy",
        "--follow",
        "--tail=-1",
    ];
    let line = Values::of(kubectl.command(&follow))?
        .find(READ_TIMEOUT, |line| {
            line["trace_id"] == trace && line["target"] == "heddle_proxy::access"
        })
        .context("the sidecar's log has no session of this trace")?;
    println!("  the line that the session leaves, in the trace that the guest came with:");
    for field in SHOWN {
        println!("    {field:<22} {}", line[field].to_string().trim_matches('"'));
    }
    Ok(())
}
