//! Confinement, from the inside: this program limits itself, then becomes the plugin.
//!
//! What holds: resource limits, no new privileges, and on kernels with Landlock no writing anywhere, no reading but of
//! system directories and the plugin's own, and no TCP. Where Landlock is missing, the pod's own restrictions remain.
//! [`probe`] tells which it is.
//!
//! The number of processes has no limit here: the kernel counts `RLIMIT_NPROC` over everything that a user runs on the
//! machine, and all Jobs run as the same user, so that one Job's plugins would fail for what another's do. The
//! kubelet's limit of processes in a pod is the one that bounds a plugin; all its processes end with it.

use super::ProcessLimits;
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What programs need to start: code, libraries, the loader's cache, names and zones. No home, no secrets.
const SYSTEM_READABLE: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/sbin",
    "/opt",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl/openssl.cnf",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
];

/// Address space on top of the memory limit: runtimes such as Go's and V8's reserve much more than they use.
const RESERVED_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// What a plugin is confined to.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// What it may use up.
    pub limits: ProcessLimits,
    /// What it may read besides the system's directories and its own.
    pub readable: Vec<PathBuf>,
}

/// The arguments of the hidden subcommand.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfineArguments {
    /// Private memory, in bytes.
    #[arg(long)]
    memory_bytes: u64,
    /// Processor time, in seconds.
    #[arg(long)]
    processor_seconds: u64,
    /// Files open at once.
    #[arg(long)]
    open_files: u64,
    /// A directory or file to read; may be given several times.
    #[arg(long)]
    readable: Vec<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Why the plugin did not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A limit could not be set.
    #[error("failed to limit the plugin")]
    Limit(#[from] nix::Error),
    /// Landlock is there, but refused the rules.
    #[error("failed to restrict the plugin")]
    Restrict(#[from] RulesetError),
    /// The program could not be executed.
    #[error("failed to execute the plugin")]
    Execute(#[source] io::Error),
    /// The kernel could not be asked what it enforces.
    #[error("failed to find out what the kernel enforces")]
    Probe(#[source] io::Error),
    /// No program was given.
    #[error("failed to execute the plugin: none was given")]
    Choose,
}

/// What the kernel enforces besides resource limits and no new privileges, without which no plugin starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enforcement {
    /// Everything that is asked for, which is a little more than the following.
    pub everything: bool,
    /// No writing, and reading only of what was named.
    pub files: bool,
    /// No TCP.
    pub tcp: bool,
    /// No signals to others, and no abstract sockets of theirs.
    pub signals: bool,
}

impl Enforcement {
    fn of(status: &RestrictionStatus) -> Self {
        let since = |first| matches!(status.landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= first);
        Self {
            everything: status.ruleset == RulesetStatus::FullyEnforced,
            files: since(ABI::V1),
            tcp: since(ABI::V4),
            signals: since(ABI::V6),
        }
    }
}

/// What confinement comes to on this kernel, found out by confining a thread that then ends.
///
/// # Errors
/// When there can be no thread, or Landlock is there and refuses the rules.
pub fn probe() -> Result<Enforcement, ConfineError> {
    let restrict = || ruleset(&[], &[])?.restrict_self();
    let thread = std::thread::Builder::new().name("probe".into());
    let status = thread.spawn(restrict).map_err(ConfineError::Probe)?.join();
    let status = status.map_err(|_| ConfineError::Probe(io::Error::other("the thread broke off")))?;
    Ok(Enforcement::of(&status?))
}

impl Confinement {
    /// The command line that has this program confine itself and become `program`; the plugin's arguments follow.
    pub(super) fn arguments(&self, program: &Path) -> Vec<OsString> {
        let limits = &self.limits;
        let seconds = limits.processor_time.max(Duration::from_secs(1)).as_secs();
        let mut arguments: Vec<OsString> = vec!["confine".into()];
        for (flag, value) in [
            ("--memory-bytes", limits.memory_bytes),
            ("--processor-seconds", seconds),
            ("--open-files", limits.open_files),
        ] {
            arguments.extend([flag.into(), value.to_string().into()]);
        }
        for readable in &self.readable {
            arguments.extend(["--readable".into(), readable.into()]);
        }
        arguments.extend(["--".into(), program.into()]);
        arguments
    }
}

/// Confines this process and replaces it by the plugin; returns only when that fails. Must run on a process's only
/// thread, as Landlock restricts just the thread that asks for it.
pub fn confine(arguments: &ConfineArguments) -> ConfineError {
    let Some((program, rest)) = arguments.command.split_first() else {
        return ConfineError::Choose;
    };
    match restrict(arguments, Path::new(program)) {
        Ok(()) => ConfineError::Execute(Command::new(program).args(rest).exec()),
        Err(error) => error,
    }
}

fn restrict(arguments: &ConfineArguments, program: &Path) -> Result<(), ConfineError> {
    // Should our parent be killed, its children must not go on.
    set_pdeathsig(Signal::SIGKILL)?;
    set_no_new_privs()?;
    landlock(arguments, program)?;
    let memory = arguments.memory_bytes;
    let limits = [
        // Counts private writable memory, and so not what runtimes merely reserve.
        (Resource::RLIMIT_DATA, memory),
        // Counts shared memory too.
        (Resource::RLIMIT_AS, memory.saturating_add(RESERVED_BYTES)),
        (Resource::RLIMIT_CPU, arguments.processor_seconds),
        (Resource::RLIMIT_NOFILE, arguments.open_files),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
    ];
    limits
        .into_iter()
        .try_for_each(|(resource, limit)| Ok(setrlimit(resource, limit, limit)?))
}

fn landlock(arguments: &ConfineArguments, program: &Path) -> Result<(), RulesetError> {
    // A plugin may be a link into the folder that has the rest of it.
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let own: Vec<&Path> = [Some(program), Some(real.as_path()), real.parent()]
        .into_iter()
        .flatten()
        .collect();
    ruleset(&own, &arguments.readable)?.restrict_self().map(drop)
}

fn ruleset(own: &[&Path], readable: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    // Rights this kernel does not know are left out by the library; what is asked for stays the same everywhere.
    let read = AccessFs::from_read(ABI::V5);
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM_READABLE, read))?
        .add_rules(path_beneath_rules(own, read))?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile))
}
