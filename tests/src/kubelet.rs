//! Does for the pods of codegen Jobs what a kubelet does, without containers: it mounts the volumes as folders, runs the
//! real `heddle-codegen`, and reports what became of it.

mod pod;
mod volumes;

use crate::namespace::TestNamespace;
use anyhow::{Context, Result};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a pod does before its program starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// It starts.
    Run,
    /// It stays as if its image could not be pulled.
    ImagePullFails,
    /// It runs but does nothing: a container that hangs.
    Hang,
}

/// A kubelet for one namespace. It ends with what it is dropped with.
#[derive(Debug)]
pub struct Kubelet {
    stage: watch::Sender<Stage>,
    pods: Arc<Mutex<Vec<String>>>,
    folder: PathBuf,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

/// What the handling of each pod needs.
#[derive(Clone)]
struct Node {
    client: Client,
    namespace: String,
    program: PathBuf,
    folder: PathBuf,
    /// The port of the API server on loopback.
    api_port: u16,
    stage: watch::Receiver<Stage>,
}

impl Kubelet {
    /// Runs `program` for every pod of the namespace, in folders below `folder`.
    #[must_use]
    pub fn start(namespace: &TestNamespace, program: &Path, folder: &Path, first: Stage) -> Self {
        let (stage, receiver) = watch::channel(first);
        let node = Node {
            client: namespace.client.clone(),
            namespace: namespace.name.clone(),
            api_port: namespace.api_port,
            program: program.to_path_buf(),
            folder: folder.to_path_buf(),
            stage: receiver,
        };
        let pods = Arc::<Mutex<Vec<String>>>::default();
        let mut task = JoinSet::new();
        let seen = Arc::clone(&pods);
        task.spawn(async move {
            if let Err(error) = serve(node, &seen).await {
                // What the test waits for will not come; its output says why.
                eprintln!("the kubelet broke: {error:?}");
            }
        });
        Self {
            stage,
            pods,
            folder: folder.to_path_buf(),
            _task: task,
        }
    }

    /// What pods do from now on.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// The names of the pods it has run, in order.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        lock(&self.pods).clone()
    }

    /// The folder that has one for each pod, with the id of its container's process in the file `pid`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything its containers have written.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn log_text(&self) -> Result<String> {
        let logs = self.pods().into_iter().map(|pod| {
            let path = self.folder.join(pod).join("log");
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
        });
        logs.collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(node: Node, seen: &Mutex<Vec<String>>) -> Result<()> {
    let api = Api::<Pod>::namespaced(node.client.clone(), &node.namespace);
    let pods = watcher(api, watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let mut pods = std::pin::pin!(pods);
    let mut running = JoinSet::new();
    let mut stops = HashMap::<String, CancellationToken>::new();
    loop {
        tokio::select! {
            pod = pods.try_next() => {
                let pod = pod?.context("the watch of pods ended")?;
                let uid = pod.uid().context("a pod without uid")?;
                let is_leaving = pod.metadata.deletion_timestamp.is_some();
                match stops.get(&uid) {
                    Some(stop) if is_leaving => stop.cancel(),
                    Some(_) => {}
                    None if is_leaving => {}
                    None => {
                        let stop = CancellationToken::new();
                        stops.insert(uid, stop.clone());
                        lock(seen).push(pod.name_any());
                        running.spawn(pod::run(node.clone(), pod, stop));
                    }
                }
            }
            Some(result) = running.join_next() => result??,
        }
    }
}
