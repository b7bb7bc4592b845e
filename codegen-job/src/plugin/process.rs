//! One confined child: fed and drained at once, bounded in time and output, and never left behind.

use super::Workshop;
use super::builtin::Builtin;
use super::confine::Confinement;
use super::response::printable;
use crate::stop::{Stop, Stopped};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

/// The most bytes of a child's standard error that are kept; the rest is read and dropped.
const STDERR_BYTES: usize = 4096;
/// How much is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What one child may use up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessLimits {
    /// Of wall time.
    pub time: Duration,
    /// Of private memory, in bytes.
    pub memory_bytes: u64,
    /// Of processor time, over all its threads.
    pub processor_time: Duration,
    /// Of files open at once.
    pub open_files: u64,
    /// Of output, in bytes.
    pub output_bytes: usize,
}

/// What a child left behind.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("failed to start the plugin")]
    Start(#[source] io::Error),
    /// The pipes to it broke.
    #[error("failed to talk to the plugin")]
    Talk(#[source] io::Error),
    /// It took too long.
    #[error("the plugin took longer than {} s and was ended", _0.as_secs_f32())]
    TimeOut(Duration),
    /// It wrote too much.
    #[error("the plugin wrote more than {0} bytes and was ended")]
    Flood(usize),
    /// It did not end well.
    #[error("the plugin {outcome}{}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    Exit {
        /// How it ended.
        outcome: String,
        /// The start of what it wrote to its standard error.
        stderr: String,
    },
    /// The run was stopped.
    #[error(transparent)]
    Stop(Stopped),
}

/// A program and its arguments.
pub(super) struct Command<'a> {
    /// Nothing for this very program.
    program: Option<&'a Path>,
    arguments: Vec<&'a OsStr>,
    needs_search_path: bool,
}

impl<'a> Command<'a> {
    pub(super) fn builtin(builtin: Builtin) -> Self {
        let arguments = vec![OsStr::new("builtin"), OsStr::new(builtin.as_str())];
        Self {
            program: None,
            arguments,
            needs_search_path: false,
        }
    }

    pub(super) fn executable(path: &'a Path, needs_search_path: bool, arguments: &[&'a str]) -> Self {
        let arguments = arguments.iter().map(|argument| OsStr::new(*argument)).collect();
        Self {
            program: Some(path),
            arguments,
            needs_search_path,
        }
    }

    fn prepare(&self, workshop: &Workshop) -> tokio::process::Command {
        let program = self.program.unwrap_or(&workshop.launcher);
        let confinement = Confinement {
            limits: workshop.limits.clone(),
            readable: workshop.readable.clone(),
        };
        let mut command = tokio::process::Command::new(&workshop.launcher);
        command
            .args(confinement.arguments(program))
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment(workshop))
            .current_dir(&workshop.empty_folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Nothing of ours, for it may hold credentials; what makes output the same everywhere; and the trace.
    fn environment(&self, workshop: &Workshop) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("LC_ALL", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("HOME", workshop.empty_folder.clone().into_os_string()),
        ];
        let trace = heddle_telemetry::TraceParent::current().map(|parent| parent.variables());
        let trace = trace.into_iter().flatten();
        environment.extend(trace.map(|(name, value)| (name, OsString::from(value))));
        if let (true, Some(path)) = (self.needs_search_path, std::env::var_os("PATH")) {
            environment.push(("PATH", path));
        }
        environment
    }
}

/// Runs the child to its end, or ends it.
pub(super) async fn run(
    command: &Command<'_>,
    workshop: &Workshop,
    input: Vec<u8>,
    stop: &Stop,
) -> Result<Output, ProcessError> {
    let mut child = command.prepare(workshop).spawn().map_err(ProcessError::Start)?;
    let group = ProcessGroup::of(&child);
    let limits = &workshop.limits;
    let result = tokio::select! {
        biased;
        stopped = stop.requested() => Err(ProcessError::Stop(stopped)),
        () = tokio::time::sleep(limits.time) => Err(ProcessError::TimeOut(limits.time)),
        done = talk(&mut child, &group, &input, limits.output_bytes) => done,
    };
    group.kill();
    // The group is dead by now, so this only collects it.
    let collected = child.wait().await.map_err(ProcessError::Talk);
    let (status, output) = result?;
    collected?;
    if status.success() {
        Ok(output)
    } else {
        Err(exit(status, output.stderr, limits))
    }
}

async fn talk(
    child: &mut Child,
    group: &ProcessGroup,
    input: &[u8],
    output_bytes: usize,
) -> Result<(ExitStatus, Output), ProcessError> {
    let missing = || ProcessError::Talk(io::ErrorKind::BrokenPipe.into());
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let end = async {
        let status = child.wait().await.map_err(ProcessError::Talk);
        // Children of the child could hold its pipes open for ever.
        group.kill();
        status
    };
    let (status, (), stdout, stderr) = tokio::try_join!(
        end,
        feed(stdin, input),
        drain(stdout, output_bytes),
        drain_some(stderr)
    )?;
    Ok((
        status,
        Output {
            stdout,
            stderr: printable(&String::from_utf8_lossy(&stderr), STDERR_BYTES),
        },
    ))
}

/// A child that ends without reading everything has said what it wants to say.
async fn feed(mut stdin: ChildStdin, input: &[u8]) -> Result<(), ProcessError> {
    match stdin.write_all(input).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ProcessError::Talk(error)),
        _ => Ok(()),
    }
}

async fn drain(mut pipe: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>, ProcessError> {
    let mut bytes = Vec::new();
    while pipe.read_buf(&mut bytes).await.map_err(ProcessError::Talk)? > 0 {
        if bytes.len() > limit {
            return Err(ProcessError::Flood(limit));
        }
    }
    Ok(bytes)
}

async fn drain_some(mut pipe: impl AsyncRead + Unpin) -> Result<Vec<u8>, ProcessError> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = pipe.read(&mut chunk).await.map_err(ProcessError::Talk)?;
        if length == 0 {
            return Ok(kept);
        }
        let room = STDERR_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..length.min(room)]);
    }
}

fn exit(status: ExitStatus, stderr: String, limits: &ProcessLimits) -> ProcessError {
    let signal = status.signal().map(Signal::try_from);
    let outcome = match (status.code(), signal) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(Ok(Signal::SIGXCPU))) => {
            format!(
                "used more than {} s of processor time",
                limits.processor_time.as_secs()
            )
        }
        (None, Some(Ok(signal))) => format!(
            "was ended by {signal} (it may use {} MiB of memory)",
            limits.memory_bytes / (1024 * 1024)
        ),
        (None, _) => format!("ended in an unknown way ({status})"),
    };
    ProcessError::Exit { outcome, stderr }
}

/// A child and all that it starts; killed together when dropped.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // An error says that the group is gone already.
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
