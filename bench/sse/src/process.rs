//! What the kernel says of this process and of others.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::time::Duration;

/// Lets this process and those it starts open as many files as the system allows.
pub(crate) fn raise_limit_of_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("failed to read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("failed to raise the limit of open files")
}

/// What a clock says.
pub(crate) fn seconds(clock: ClockId) -> Result<f64> {
    let time = clock.now().context("failed to read a clock")?;
    Ok(Duration::from(time).as_secs_f64())
}

/// The time since some moment before this process, the same in all threads.
pub(crate) fn nanoseconds() -> Result<u64> {
    let time = ClockId::CLOCK_MONOTONIC.now().context("failed to read a clock")?;
    Ok(u64::try_from(Duration::from(time).as_nanos())?)
}

/// Processor time that a process has taken so far, to the nanosecond: the ticks of /proc are samples.
pub(crate) fn processor_seconds(process: u32) -> Result<f64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(process.cast_signed()));
    seconds(clock.context("failed to find the clock of a process")?)
}

/// Memory of a process that is its own and in use, without what the kernel keeps for its sockets.
pub(crate) fn memory_bytes(process: u32) -> Result<f64> {
    let file = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.context("no Rss in smaps_rollup")?.trim().parse()?;
    Ok(kilobytes * 1024.0)
}
