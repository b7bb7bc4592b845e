//! The example chat in a namespace of its own, with a WsRoute in front of it, and guests that come through the sidecar.

use crate::{Environment, Kubectl, PortForward};
use anyhow::{Context, Result, ensure};
use heddle_crds::WsRoute;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tungstenite::handshake::client::Response;
use tungstenite::protocol::CloseFrame;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// The name of the Deployment and of its WsRoute.
const NAME: &str = "chat";
/// The port that the sidecar listens on.
const PORT: u16 = 9080;
/// How long anything in the cluster may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long a guest waits for a message.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One test's part of the cluster.
#[derive(Debug)]
pub struct Chat {
    environment: Environment,
    kubectl: Kubectl,
    namespace: String,
}

impl Chat {
    /// A namespace under the restricted pod security standard, with nothing in it yet.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn new(name: &str) -> Result<Self> {
        let environment = Environment::read()?;
        let kubectl = environment.kubectl()?;
        let namespace = format!("e2e-chat-{name}");
        kubectl.run(&[
            "delete",
            "namespace",
            &namespace,
            "--ignore-not-found",
            "--wait",
            "--timeout=60s",
        ])?;
        kubectl.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        }))?;
        Ok(Self {
            environment,
            kubectl,
            namespace,
        })
    }

    /// kubectl.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The installed system.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Applies the example's WsRoute, changed by `change`.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn apply_route(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut route = self.example("wsroute.yaml")?;
        change(&mut route);
        self.kubectl.apply(&route).map(drop)
    }

    /// Applies the example's Deployment, with one pod.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn deploy(&self) -> Result<()> {
        let mut deployment = self.example("chat.yaml")?;
        deployment["spec"]["replicas"] = json!(1);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(self.environment.chat_image);
        self.kubectl.apply(&deployment).map(drop)
    }

    /// The first object of one of the example's files, in this namespace.
    fn example(&self, file: &str) -> Result<Value> {
        let path = self.environment.root.join("examples/chat").join(file);
        let path = path.display().to_string();
        let printed = self.kubectl.run(&[
            "create",
            "--dry-run=client",
            "--output=json",
            "--namespace",
            &self.namespace,
            "--filename",
            &path,
        ])?;
        let mut objects = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
        let mut object = objects
            .next()
            .context("the example is empty")?
            .context("failed to read what kubectl printed")?;
        if object["kind"] == "List" {
            object = object["items"][0].take();
        }
        Ok(object)
    }

    /// The WsRoute as it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn route(&self) -> Result<WsRoute> {
        let object = self
            .kubectl
            .get(&["wsroute", NAME, "--namespace", &self.namespace])?;
        serde_json::from_value(object).context("failed to read the WsRoute")
    }

    /// Waits until the newest generation is what sidecars serve.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_ready(&self) -> Result<()> {
        let generation = self.route()?.metadata.generation.unwrap_or_default();
        // Both stand in one patch of the status, so that the condition is that generation's.
        self.wait(&format!("jsonpath={{.status.observedGeneration}}={generation}"))?;
        self.wait("condition=Ready")
    }

    /// Waits until the route names a pod as the first that lacks a sidecar.
    ///
    /// # Errors
    /// When it takes too long; the text has the status.
    pub fn await_missing_on(&self, pod: &str) -> Result<()> {
        self.wait(&format!("jsonpath={{.status.sidecars.missingOn[0]}}={pod}"))
    }

    /// `kubectl wait` for the WsRoute.
    fn wait(&self, for_: &str) -> Result<()> {
        self.kubectl
            .wait_for(&self.namespace, &format!("wsroute/{NAME}"), for_, DEADLINE)
    }

    /// Waits until the Deployment's newest pods are ready and the old ones are gone.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn await_rollout(&self) -> Result<()> {
        let deployment = format!("deployment/{NAME}");
        self.kubectl
            .run(&[
                "rollout",
                "status",
                "--namespace",
                &self.namespace,
                &deployment,
                "--timeout=120s",
            ])
            .map(drop)
    }

    /// The name of the pod; there is one that is not being deleted.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self) -> Result<String> {
        let pods = self
            .kubectl
            .get(&["pods", "--namespace", &self.namespace, "--selector=app=chat"])?;
        let pods = pods["items"].as_array().context("kubectl printed no list")?;
        let pod = pods
            .iter()
            .find(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .context("there is no pod")?;
        let name = pod["metadata"]["name"].as_str().context("the pod has no name")?;
        Ok(name.to_owned())
    }

    /// A guest in `room`, through the sidecar of a pod.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn enter(&self, pod: &str, room: &str) -> Result<Guest> {
        let forward = PortForward::open(&self.kubectl, &self.namespace, pod, PORT)?;
        let address = format!("127.0.0.1:{}", forward.port());
        let stream = TcpStream::connect(&address).context("failed to connect")?;
        stream
            .set_read_timeout(Some(READ_TIMEOUT))
            .context("failed to bound reads")?;
        let uri = format!("ws://{address}/chat/{room}")
            .parse()
            .context("failed to make an address")?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("chat.v1");
        let (socket, response) = tungstenite::client(request, stream).context("failed to shake hands")?;
        Ok(Guest {
            socket,
            response,
            _forward: forward,
        })
    }

    /// The first line that the sidecar of a pod logs, or has logged, under `target`.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn await_line(&self, pod: &str, target: &str) -> Result<Value> {
        let mut child = self.kubectl.start(&[
            "logs",
            "--follow",
            "--namespace",
            &self.namespace,
            pod,
            "--container=heddle-proxy",
        ])?;
        let stdout = child.stdout.take().context("failed to read from kubectl logs")?;
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let found = first_of(&lines, target);
        drop(lines);
        child.kill().context("failed to end kubectl logs")?;
        child.wait().context("failed to end kubectl logs")?;
        ensure!(reader.join().is_ok(), "the reader of the log panicked");
        found
    }
}

/// The first line under `target`.
fn first_of(lines: &mpsc::Receiver<String>, target: &str) -> Result<Value> {
    let ends_at = Instant::now() + DEADLINE;
    loop {
        let line = lines
            .recv_timeout(ends_at.saturating_duration_since(Instant::now()))
            .with_context(|| format!("the sidecar has logged nothing under {target}"))?;
        let line: Value = serde_json::from_str(&line).unwrap_or_default();
        if line["target"] == target {
            return Ok(line);
        }
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // What a failed test leaves is what somebody wants to look at.
        if !std::thread::panicking() {
            self.kubectl
                .run(&["delete", "namespace", &self.namespace, "--wait=false"])
                .ok();
        }
    }
}

/// One that chats.
#[derive(Debug)]
pub struct Guest {
    socket: WebSocket<TcpStream>,
    response: Response,
    _forward: PortForward,
}

impl Guest {
    /// A field of the answer to the handshake.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// Says something, and waits until the room has said it.
    ///
    /// # Errors
    /// When the session ends before.
    pub fn say(&mut self, text: &str) -> Result<()> {
        let message = json!({ "text": text }).to_string();
        self.socket
            .send(Message::text(message))
            .context("failed to send")?;
        loop {
            let message = self.socket.read().context("failed to read")?;
            let Ok(heard) = message.to_text() else { continue };
            ensure!(!message.is_close(), "the session ended: {message:?}");
            let heard: Value = serde_json::from_str(heard).unwrap_or_default();
            if heard["text"] == text {
                return Ok(());
            }
        }
    }

    /// Reads until the other side closes, and says how it did.
    ///
    /// # Errors
    /// When the connection breaks instead.
    pub fn await_close(&mut self) -> Result<Option<CloseFrame>> {
        loop {
            match self.socket.read().context("failed to read")? {
                Message::Close(frame) => return Ok(frame),
                _ => continue,
            }
        }
    }

    /// Closes the session, and waits for the answer.
    ///
    /// # Errors
    /// When the connection breaks instead.
    pub fn leave(mut self) -> Result<()> {
        self.socket.close(None).context("failed to close")?;
        loop {
            match self.socket.read() {
                Ok(_) => continue,
                Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(error).context("failed to close"),
            }
        }
    }
}
