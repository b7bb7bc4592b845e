//! A running subject with an echo server of its own behind it, and what the kernel says of its processes.

use super::load;
use super::subjects::{Kind, Subject};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a subject may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often is looked whether it does.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The field of `/proc/<pid>/stat` after the name, counted from 0 (proc(5) counts from 1, with the name as 2).
const PARENT: usize = 1;

/// What a subject is told before it starts.
pub(super) struct Place<'a> {
    /// A folder of its own.
    pub(super) folder: &'a std::path::Path,
    /// Where it has to listen.
    pub(super) port: u16,
    /// Where the echo server does.
    pub(super) backend: u16,
}

/// It, and the echo server behind it.
pub(super) struct Instance {
    port: u16,
    proxy: Option<Group>,
    _echo: Group,
    _folder: TempDir,
}

impl Instance {
    /// Starts both and waits until the subject listens.
    pub(super) fn start(subject: &Subject) -> Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        let (echo, backend) = listening(Command::new(load::program()?).arg("echo"))?;
        let (proxy, port) = match subject.kind {
            Kind::Direct => (None, backend),
            Kind::Relay => {
                let mut relay = Command::new(load::program()?);
                let backend = backend.to_string();
                let (relay, port) = listening(relay.args(["relay", "--backend", &backend]))?;
                (Some(relay), port)
            }
            _ => {
                let place = Place {
                    folder: folder.path(),
                    port: free_port()?,
                    backend,
                };
                let mut proxy = Group::start(&mut subject.command(&place)?)?;
                wait_for(&mut proxy, place.port)
                    .with_context(|| format!("failed to start {}", subject.name))?;
                (Some(proxy), place.port)
            }
        };
        Ok(Self {
            port,
            proxy,
            _echo: echo,
            _folder: folder,
        })
    }

    /// Where the subject listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Processor time that the subject has taken so far, in user and system mode by all of its processes; none where
    /// there is no proxy.
    pub(super) fn processor_seconds(&self) -> Result<Option<f64>> {
        self.sum(|process| {
            // To the nanosecond: the ticks of /proc are samples, which favour whoever works in short bursts.
            let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(process.id.cast_signed()))
                .context("failed to find the clock of a process")?;
            let time = clock.now().context("failed to read the clock of a process")?;
            Ok(Duration::from(time).as_secs_f64())
        })
    }

    /// Memory of all of its processes, where what they share counts once.
    pub(super) fn memory_bytes(&self) -> Result<Option<f64>> {
        self.sum(|process| {
            let file = format!("/proc/{}/smaps_rollup", process.id);
            let text = fs::read_to_string(&file).with_context(|| format!("failed to read {file}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kilobytes: f64 = kilobytes.context("no Pss in smaps_rollup")?.trim().parse()?;
            Ok(kilobytes * 1024.0)
        })
    }

    fn sum(&self, figure: impl Fn(&Process) -> Result<f64>) -> Result<Option<f64>> {
        let Some(proxy) = &self.proxy else {
            return Ok(None);
        };
        let processes = processes_below(proxy.child.id())?;
        processes.iter().map(figure).sum::<Result<f64>>().map(Some)
    }
}

/// Starts a part that prints its port once it listens.
fn listening(command: &mut Command) -> Result<(Group, u16)> {
    let mut group = Group::start(command.stdout(Stdio::piped()))?;
    let output = group.child.stdout.take().context("it has an output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let port = line.trim().parse().context("it has ended before it listened")?;
    Ok((group, port))
}

/// A port of loopback that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this looks at the condition itself, until a deadline"
)]
fn wait_for(proxy: &mut Group, port: u16) -> Result<()> {
    let started = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = proxy.child.try_wait()? {
            bail!("it ended with {status}");
        }
        ensure!(
            started.elapsed() < START_LIMIT,
            "it does not listen after {} s",
            START_LIMIT.as_secs()
        );
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// A process with all that it starts; they are killed when dropped.
struct Group {
    child: Child,
}

impl Group {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        Ok(Self { child })
    }
}

impl Drop for Group {
    // They stay in the group of this program, so that what a terminal interrupts ends whole.
    fn drop(&mut self) {
        for process in processes_below(self.child.id()).unwrap_or_default() {
            // One that is gone already is as good.
            kill(Pid::from_raw(process.id.cast_signed()), Signal::SIGKILL).ok();
        }
        if let Err(error) = self.child.wait() {
            eprintln!("failed to wait for a process: {error}");
        }
    }
}

/// What `/proc/<pid>/stat` says.
struct Process {
    id: u32,
    fields: Vec<String>,
}

impl Process {
    /// None when there is none any more.
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        Some(Self {
            id,
            fields: fields.split_whitespace().map(str::to_owned).collect(),
        })
    }

    fn field(&self, index: usize) -> Result<u64> {
        let field = self.fields.get(index).context("a field of stat is missing")?;
        field
            .parse()
            .with_context(|| format!("{field:?} is not a number"))
    }
}

/// The process `root` and all that descend from it.
fn processes_below(root: u32) -> Result<Vec<Process>> {
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc").context("failed to list processes")? {
        let id = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        others.extend(id.and_then(Process::read));
    }
    let mut found: Vec<Process> = others.extract_if(.., |process| process.id == root).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|process| process.id) {
        found.extend(others.extract_if(.., |process| process.field(PARENT).ok() == Some(parent.into())));
        next += 1;
    }
    ensure!(!found.is_empty(), "the subject has ended");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_with_its_children() {
        let mut shell = Group::start(Command::new("sh").args(["-c", "sleep 60 & wait"])).unwrap();
        let started = Instant::now();
        while processes_below(shell.child.id()).unwrap().len() < 2 && started.elapsed() < START_LIMIT {}
        assert_eq!(processes_below(shell.child.id()).unwrap().len(), 2);
        shell.child.kill().unwrap();
    }
}
