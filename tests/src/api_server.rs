//! A real Kubernetes API: etcd, kube-apiserver and the controllers that Jobs need, on loopback.
//!
//! One serves all tests of a process; each test takes a namespace of its own. A shell keeps the programs and ends them
//! when this process is gone, however it went.

mod certificates;
mod store;

use crate::eventually::{Probe, eventually};
use anyhow::{Context, Result};
use certificates::Certificates;
use heddle_e2e_cluster::Progress;
use heddle_e2e_cluster::tools::{Tool, Tools};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config, ResourceExt};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// How long the programs may take to be ready; on a busy machine they are slow to start.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long the API may take to serve a new kind.
const ESTABLISH_LIMIT: Duration = Duration::from_secs(30);

/// How much of a log is shown when something does not start.
const LOG_TAIL_BYTES: usize = 4000;

/// The controllers that act on Jobs and on what belongs to them. None of them needs a node.
const CONTROLLERS: &str = "job-controller,garbage-collector-controller,ttl-after-finished-controller,\
                           namespace-controller,serviceaccount-controller,resourcequota-controller,\
                           root-ca-certificate-publisher-controller";

/// Starts the program of each name that it reads, in the folder that is its argument, and ends them all and removes the
/// folder when there is nothing more to read: when the process at the other end is gone.
const KEEPER: &str = r#"
trap '' INT TERM HUP
cd "$1"
programs=
while read -r name; do
    sh "./$name" >"$name.log" 2>&1 </dev/null &
    programs="$programs $!"
done
kill -9 $programs
wait
cd / && rm -rf "$1"
"#;

/// The API of this process.
#[derive(Debug)]
pub struct ApiServer {
    folder: PathBuf,
    port: u16,
    etcd_port: u16,
    keeper: Mutex<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    /// Never waited for: it outlives this process by a moment.
    _shell: Child,
    names: ChildStdin,
    controllers_started: bool,
}

static SHARED: Mutex<Option<&'static ApiServer>> = Mutex::new(None);

impl ApiServer {
    /// The one API server of this process, started by the first test that asks, with Heddle's kinds installed.
    ///
    /// # Errors
    /// The programs could not be built or started; what they logged is in the text.
    pub async fn shared() -> Result<&'static Self> {
        let server = tokio::task::spawn_blocking(Self::get_or_start).await??;
        server.wait_until_ready().await.with_context(|| server.logs())?;
        server.install_kinds().await?;
        Ok(server)
    }

    fn get_or_start() -> Result<&'static Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = *shared {
            return Ok(server);
        }
        let server: &'static Self = Box::leak(Box::new(Self::start()?));
        *shared = Some(server);
        Ok(server)
    }

    fn start() -> Result<Self> {
        let needed = [Tool::Etcd, Tool::KubeApiserver, Tool::KubeControllerManager];
        let tools = Tools::ensure(&Progress::new(), &needed)?;
        let folder = TempDir::with_prefix("heddle-api-")?.keep();
        let (etcd_port, peer_port) = (free_port()?, free_port()?);
        let (api_port, controllers_port) = (free_port()?, free_port()?);
        let certificates = Certificates::create(&folder, api_port)?;
        write_script(
            &folder,
            "etcd",
            &tools.path(Tool::Etcd),
            &etcd(&folder, etcd_port, peer_port),
        )?;
        let arguments = api_server(&folder, &certificates, etcd_port, api_port);
        write_script(
            &folder,
            "kube-apiserver",
            &tools.path(Tool::KubeApiserver),
            &arguments,
        )?;
        let arguments = controllers(&certificates, controllers_port);
        write_script(
            &folder,
            "controllers",
            &tools.path(Tool::KubeControllerManager),
            &arguments,
        )?;
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .context("failed to start a shell")?;
        let mut names = shell.stdin.take().context("failed to talk to the shell")?;
        names.write_all(b"etcd\nkube-apiserver\n")?;
        let keeper = Mutex::new(Keeper {
            _shell: shell,
            names,
            controllers_started: false,
        });
        Ok(Self {
            folder,
            port: api_port,
            etcd_port,
            keeper,
        })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The kubeconfig of one who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A client of one who may do everything. It belongs to the runtime of the test that calls.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let client = self.client().await?;
        eventually("the API server answers", START_LIMIT, || async {
            Ok(match client.apiserver_version().await {
                Ok(_) => Probe::Seen(()),
                Err(error) => Probe::NotYet(error.to_string()),
            })
        })
        .await?;
        // They end themselves when the API server is not there.
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if !keeper.controllers_started {
            keeper.names.write_all(b"controllers\n")?;
            keeper.controllers_started = true;
        }
        Ok(())
    }

    async fn install_kinds(&self) -> Result<()> {
        let api = Api::<CustomResourceDefinition>::all(self.client().await?);
        for definition in heddle_crds::all() {
            let name = definition.name_any();
            let parameters = PatchParams::apply("heddle-tests").force();
            api.patch(&name, &parameters, &Patch::Apply(&definition)).await?;
            let established = await_condition(api.clone(), &name, is_crd_established());
            tokio::time::timeout(ESTABLISH_LIMIT, established)
                .await
                .with_context(|| format!("failed to see {name} established"))??;
        }
        Ok(())
    }

    fn logs(&self) -> String {
        ["etcd", "kube-apiserver", "controllers"]
            .iter()
            .fold(String::new(), |mut text, name| {
                let log = fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
                let tail = &log[log.floor_char_boundary(log.len().saturating_sub(LOG_TAIL_BYTES))..];
                // Writing to a String has no way to fail.
                write!(text, "\n--- {name}\n{tail}").ok();
                text
            })
    }
}

/// A port that nobody listens on.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    heddle_test_ports::free_port().context("failed to find a free port")
}

fn write_script(folder: &Path, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
    let quoted: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    let text = format!("exec '{}' {}\n", program.display(), quoted.join(" "));
    fs::write(folder.join(name), text).with_context(|| format!("failed to write the script of {name}"))
}

fn etcd(folder: &Path, port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    vec![
        "--name=heddle".into(),
        format!("--data-dir={}", folder.join("etcd-data").display()),
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=heddle={peer}"),
        "--log-level=warn".into(),
    ]
}

fn api_server(folder: &Path, certificates: &Certificates, etcd_port: u16, port: u16) -> Vec<String> {
    let path = |name: &str| certificates.path(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--authorization-mode=RBAC".into(),
        "--endpoint-reconciler-type=none".into(),
        format!("--cert-dir={}", folder.display()),
        format!("--tls-cert-file={}", path("server.crt")),
        format!("--tls-private-key-file={}", path("server.key")),
        format!("--client-ca-file={}", path("ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", path("service-account.pub")),
        format!(
            "--service-account-signing-key-file={}",
            path("service-account.key")
        ),
    ]
}

fn controllers(certificates: &Certificates, port: u16) -> Vec<String> {
    let kubeconfig = certificates.path("kubeconfig").display().to_string();
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--root-ca-file={}", certificates.path("ca.crt").display()),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        "--leader-elect=false".into(),
        "--use-service-account-credentials=false".into(),
        format!("--controllers={CONTROLLERS}"),
    ]
}
