//! `cargo xtask fuzz`: builds the targets in `fuzz/` with coverage counters and runs them.
//!
//! The counters are an option of the compiler that every toolchain has, and libFuzzer comes as a crate: neither a nightly nor
//! cargo-fuzz is needed. There is no address sanitizer, for which a nightly would be: the engine has no unsafe code.

use crate::process::{cargo, output, run as run_command};
use crate::root;
use anyhow::{Context, Result, bail};
use heddle_e2e_cluster::Progress;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// The targets there are: the programs of `fuzz/Cargo.toml`.
const TARGETS: [&str; 8] = [
    "descriptor_set",
    "edits",
    "event_stream",
    "frames",
    "json",
    "session",
    "text",
    "wire",
];

/// How long each target runs as part of `cargo xtask test`: all of them together take about a minute on two processors.
pub(crate) const SECONDS_IN_TEST: u64 = 20;

/// Coverage counters, and what libFuzzer makes of comparisons: what `cargo fuzz` passes too.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// An input that takes longer is a finding.
const SECONDS_PER_INPUT: u64 = 10;
/// More memory than this is a finding whatever the target itself allows.
const MEGABYTES: u64 = 2_048;
/// Larger inputs find nothing that smaller ones do not, and take their time.
const INPUT_BYTES: u64 = 4_096;
/// How much of a log is told of a target that failed.
const LINES_OF_LOG: usize = 30;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; all of them otherwise.
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Runs the target on this input alone: one that was found before.
    #[arg(long, requires = "target")]
    replay: Option<PathBuf>,
}

/// Runs the targets that are asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let programs = Programs::build()?;
    if let (Some(target), Some(input)) = (&arguments.target, &arguments.replay) {
        return run_command(Command::new(programs.path(target)).arg(input));
    }
    let targets = match &arguments.target {
        Some(target) => vec![target.as_str()],
        None => TARGETS.to_vec(),
    };
    let mut failures = Vec::new();
    for (target, result) in programs.run_all(&targets, arguments.seconds)? {
        match result {
            Ok(()) => println!("{target}: {} s without a finding", arguments.seconds),
            Err(error) => failures.push(format!("{target}: {error:#}")),
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

/// The targets that were built.
pub(crate) struct Programs {
    /// Everything that is kept between runs: programs, logs, corpora that grow, findings.
    cache: PathBuf,
    /// Where the programs are.
    folder: PathBuf,
}

/// How the run of one target ended.
pub(crate) type Outcome = (&'static str, Result<()>);

impl Programs {
    /// Builds all targets.
    pub(crate) fn build() -> Result<Self> {
        heddle_e2e_cluster::ensure_fuzz_packages(&Progress::new())?;
        let cache = heddle_e2e_cluster::cache_root()?.join("fuzz");
        let host = host()?;
        let arguments = [
            "build",
            "--locked",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target",
            &host,
        ];
        let mut command = cargo(&root(), &arguments);
        // Naming the target keeps the counters out of build scripts and macros.
        command
            .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"))
            .env("CARGO_TARGET_DIR", cache.join("target"));
        run_command(&mut command).context("failed to build the fuzz targets")?;
        let folder = cache.join("target").join(host).join("release");
        Ok(Self { cache, folder })
    }

    fn path(&self, target: &str) -> PathBuf {
        self.folder.join(target)
    }

    /// Runs all targets, as many at a time as there are processors.
    pub(crate) fn run_everything(&self) -> Result<Vec<Outcome>> {
        self.run_all(&TARGETS, SECONDS_IN_TEST)
    }

    fn run_all(&self, targets: &[&str], seconds: u64) -> Result<Vec<Outcome>> {
        let waiting = Mutex::new(TARGETS.iter().copied().filter(|target| targets.contains(target)));
        let outcomes = Mutex::new(Vec::new());
        let workers = std::thread::available_parallelism().context("failed to count processors")?;
        std::thread::scope(|scope| {
            for _ in 0..workers.get() {
                scope.spawn(|| {
                    while let Some(target) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) {
                        let result = self.run_one(target, Duration::from_secs(seconds));
                        if let Ok(mut outcomes) = outcomes.lock() {
                            outcomes.push((target, result));
                        }
                    }
                });
            }
        });
        outcomes
            .into_inner()
            .ok()
            .context("failed to collect how the targets ended")
    }

    fn run_one(&self, target: &str, time: Duration) -> Result<()> {
        let [corpus, findings, logs] =
            ["corpus", "findings", "logs"].map(|name| self.cache.join(name).join(target));
        for folder in [&corpus, &findings, &logs] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to create {}", folder.display()))?;
        }
        let log = logs.join("last.log");
        let file = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let status = Command::new(self.path(target))
            .arg(format!("-max_total_time={}", time.as_secs()))
            .arg(format!("-timeout={SECONDS_PER_INPUT}"))
            .arg(format!("-rss_limit_mb={MEGABYTES}"))
            .arg(format!("-max_len={INPUT_BYTES}"))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg("-print_final_stats=1")
            // The first folder gets what is new; both are read.
            .arg(&corpus)
            .arg(root().join("fuzz/corpus").join(target))
            .stdout(file.try_clone().context("failed to share the log")?)
            .stderr(file)
            .status()
            .with_context(|| format!("failed to start {target}"))?;
        if !status.success() {
            bail!("{status}, and {}\n{}", replay(target, &findings), end_of(&log)?);
        }
        Ok(())
    }
}

fn replay(target: &str, findings: &Path) -> String {
    let findings = findings.display();
    format!("what was found is in {findings}; `cargo xtask fuzz {target} --replay <file>` runs it again")
}

fn end_of(log: &Path) -> Result<String> {
    let bytes = std::fs::read(log).with_context(|| format!("failed to read {}", log.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(LINES_OF_LOG);
    Ok(lines.get(start..).unwrap_or_default().join("\n"))
}

/// The target that the compiler builds for by default.
fn host() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("failed to find the host in what `rustc -vV` says")
}
