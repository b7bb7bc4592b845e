//! The operator as a process of its own, which can be stopped and killed.

use crate::api_server::free_port;
use crate::eventually::{Probe, eventually};
use crate::http::{self, Answer};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long the operator may take to be ready, or to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the Lease of an operator is: shorter than in production, where nobody waits for it to run out, and long enough for an
/// operator on a busy machine to keep it.
pub const LEASE_SECONDS: u32 = 10;

/// How an operator is started.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    /// The program.
    pub program: PathBuf,
    /// How it reaches the API server.
    pub kubeconfig: PathBuf,
    /// The namespace it looks after.
    pub namespace: String,
    /// Its name among the replicas. One that was killed and one that follows it have the same.
    pub replica: String,
    /// More arguments.
    pub arguments: Vec<String>,
}

/// A short Lease, unless the caller has a wish of its own.
fn lease_duration(arguments: &[String]) -> Option<String> {
    let is_given = arguments
        .iter()
        .any(|argument| argument.starts_with("--lease-duration="));
    (!is_given).then(|| format!("--lease-duration={LEASE_SECONDS}"))
}

/// A running operator. It is killed when dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Operator {
    /// Starts one, without waiting for anything.
    ///
    /// # Errors
    /// The program is missing.
    pub fn start(folder: &Path, options: &OperatorOptions) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join(format!("operator-{}.log", options.replica));
        // What followed a kill goes on in the same file.
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = Command::new(&options.program)
            .env_clear()
            .env("KUBECONFIG", &options.kubeconfig)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Everything in these tests is on loopback.
            .env("HEDDLE_DENIED_CIDRS", "")
            .arg("--codegen-image=heddle-codegen")
            .arg(format!("--watch-namespaces={}", options.namespace))
            .arg(format!("--lease-namespace={}", options.namespace))
            .args(lease_duration(&options.arguments))
            .arg(format!("--pod-name={}", options.replica))
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg("--log-format=json")
            .args(&options.arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", options.program.display()))?;
        Ok(Self { child, port, log })
    }

    /// The id of the process; none when it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks one of its HTTP endpoints.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        http::request("GET", self.port, path, "").await
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It never is; its log is in the text.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        let (child, port) = (&mut self.child, self.port);
        let ready = eventually("the operator is ready", LIMIT, || {
            let ended = child.try_wait();
            async move {
                if let Some(status) = ended? {
                    bail!("the operator has ended: {status}");
                }
                Ok(match http::request("GET", port, "/readyz", "").await {
                    Ok(Answer { status: 200, .. }) => Probe::Seen(()),
                    Ok(answer) => Probe::NotYet(answer.body),
                    Err(error) => Probe::NotYet(error.to_string()),
                })
            }
        });
        ready.await.with_context(|| self.log_text().unwrap_or_default())
    }

    /// The value of a metric without labels.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics").await?.body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line
            .with_context(|| format!("failed to find {name} in {text}"))?
            .parse()?)
    }

    /// Waits until it leads: one that is ready may not do so yet.
    ///
    /// # Errors
    /// It never does.
    pub async fn wait_until_it_leads(&self) -> Result<()> {
        self.wait_for_metric("heddle_leader", 1.0).await
    }

    /// Waits until it knows of so many replicas, itself among them.
    ///
    /// # Errors
    /// It never does.
    pub async fn wait_for_members(&self, count: u32) -> Result<()> {
        self.wait_for_metric("heddle_members", count.into()).await
    }

    async fn wait_for_metric(&self, name: &str, expected: f64) -> Result<()> {
        let what = format!("{name} is {expected}");
        let waiting = eventually(&what, LIMIT, || async {
            Ok(match self.metric(name).await? {
                value if value == expected => Probe::Seen(()),
                other => Probe::NotYet(other.to_string()),
            })
        });
        waiting.await.with_context(|| self.log_text().unwrap_or_default())
    }

    /// Bytes of its memory that are in use (`VmRSS`).
    ///
    /// # Errors
    /// It is gone already.
    pub fn resident_bytes(&self) -> Result<u64> {
        let id = self.child.id().context("the operator has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        let kilobytes: u64 = kilobytes.context("no VmRSS in its status")?.trim().parse()?;
        Ok(kilobytes << 10)
    }

    /// Ends it as the kernel does when memory runs out: at once and without a word.
    ///
    /// # Errors
    /// It is gone already.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("failed to kill the operator")
    }

    /// Tells it to stop, as Kubernetes does.
    ///
    /// # Errors
    /// It is gone already.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Has it do nothing at all until [`Self::resume`], as a machine does that is short of everything.
    ///
    /// # Errors
    /// It is gone already.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone already.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id().context("the operator has ended")?;
        kill(Pid::from_raw(i32::try_from(id)?), signal).context("failed to signal the operator")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        match tokio::time::timeout(LIMIT, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("the operator did not end within {} s", LIMIT.as_secs()),
        }
    }

    /// Everything it has written, as text.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log_text(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).context("failed to read the operator's log")
    }

    /// Everything it has logged, one object a line.
    ///
    /// # Errors
    /// A line is not JSON.
    pub fn log_lines(&self) -> Result<Vec<Value>> {
        let text = self.log_text()?;
        text.lines()
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("a line that is not JSON: {line}"))
            })
            .collect()
    }

    /// Waits until it has logged a line with this message, and gives the first one.
    ///
    /// # Errors
    /// It never does; its log is in the text.
    pub async fn wait_for_line(&self, message: &str) -> Result<Value> {
        eventually(&format!("the operator logs {message:?}"), LIMIT, || async {
            let line = self
                .log_lines()?
                .into_iter()
                .find(|line| line["message"] == message);
            Ok(match line {
                Some(line) => Probe::Seen(line),
                None => Probe::NotYet(self.log_text()?),
            })
        })
        .await
    }
}
