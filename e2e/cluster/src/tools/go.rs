//! Builds tools with `go install` into a folder of its own, then moves them into the cache.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Module, Tool};
use crate::command::{Event, LONG, Run, find};
use crate::progress::{Progress, Step};

/// Kubernetes whole takes 18 CPU minutes; a machine that needs longer than this is not going to be used.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Prefix of the folders that builds are made in.
const UNFINISHED: &str = "building-";

/// What one line of Go's standard error tells.
#[derive(Debug, PartialEq, Eq)]
enum Told<'a> {
    Downloading(&'a str),
    Compiled(&'a str),
    Other,
}

fn parse(line: &str) -> Told<'_> {
    if let Some(module) = line.strip_prefix("go: downloading ") {
        return Told::Downloading(module);
    }
    let is_package = !line.is_empty() && !line.starts_with(['#', ' ', '\t']) && !line.contains([' ', ':']);
    if is_package {
        Told::Compiled(line)
    } else {
        Told::Other
    }
}

/// Builds `tools`, all of `module`, into `folder/bin`.
pub(super) fn build(progress: &Progress, module: Module, folder: &Path, tools: &[Tool]) -> Result<()> {
    if find("go").is_none() {
        bail!("Go is not on PATH; install it (https://go.dev/doc/install, 1.24 or later) and run this again");
    }
    let title = module.title();
    progress.say(&format!(
        "{title} is built once, in {}: {}",
        module.usual_time(),
        names(tools)
    ));
    let mut step = progress.step(&format!("Building {title}"));
    let packages: Vec<String> = tools.iter().map(|tool| tool.package()).collect();
    let total = resolve(&mut step, module, &packages)?;
    step.total(total);
    remove_interrupted(folder)?;
    let fresh = folder.join(format!("{UNFINISHED}{}", std::process::id()));
    install(&mut step, module, &packages, &fresh)?;
    adopt(&fresh, folder, tools)?;
    fs::remove_dir_all(&fresh).with_context(|| format!("failed to remove {}", fresh.display()))?;
    step.done(&format!("Built {title}, kept in {}", folder.display()));
    Ok(())
}

fn names(tools: &[Tool]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    names.join(", ")
}

/// The caller holds the lock, so whatever is unfinished belongs to a run that failed or was killed.
fn remove_interrupted(folder: &Path) -> Result<()> {
    let context = || format!("failed to clear {}", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path()).with_context(context)?;
        }
    }
    Ok(())
}

/// Downloads the modules and counts the packages to compile.
fn resolve(step: &mut Step<'_>, module: Module, packages: &[String]) -> Result<u64> {
    let mut total = 0;
    let list = go(module).args(["list", "-deps"]).args(packages).limit(LONG);
    list.watched(|event| match event {
        Event::Out(_) => total += 1,
        Event::Error(line) => note_download(step, line),
        Event::Tick => step.tick(),
    })?;
    Ok(total)
}

fn note_download(step: &mut Step<'_>, line: &str) {
    if let Told::Downloading(what) = parse(line) {
        step.note(&format!("downloading {what}"));
    }
}

fn install(step: &mut Step<'_>, module: Module, packages: &[String], bin: &Path) -> Result<()> {
    fs::create_dir_all(bin).with_context(|| format!("failed to create {}", bin.display()))?;
    let flags = ["install", "-v", "-trimpath", "-ldflags", &module.linker_flags()].map(str::to_owned);
    let command = go(module)
        .args(flags)
        .args(packages)
        .env("GOBIN", bin)
        .limit(BUILD_LIMIT);
    command.watched(|event| match event {
        Event::Error(line) => match parse(line) {
            Told::Compiled(package) => step.advance(package),
            Told::Downloading(what) => step.note(&format!("downloading {what}")),
            Told::Other => {}
        },
        Event::Out(_) => {}
        Event::Tick => step.tick(),
    })
}

/// Renaming is what makes a tool appear whole or not at all.
fn adopt(fresh: &Path, folder: &Path, tools: &[Tool]) -> Result<()> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("failed to create {}", bin.display()))?;
    for tool in tools {
        let built = fresh.join(tool.built_name());
        fs::rename(&built, bin.join(tool.name()))
            .with_context(|| format!("failed to move {} into {}", built.display(), bin.display()))?;
    }
    Ok(())
}

/// Static binaries run in images made from nothing; the rest keeps the caller's Go settings from mattering.
fn go(module: Module) -> Run {
    let environment = [
        ("CGO_ENABLED", "0"),
        ("GOFLAGS", "-mod=readonly -buildvcs=false"),
        ("GOWORK", "off"),
    ];
    let run = Run::new("go").current_dir(&module.source());
    environment
        .into_iter()
        .fold(run, |run, (name, value)| run.env(name, OsStr::new(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_go_are_told_apart() {
        let cases = [
            (
                "go: downloading k8s.io/api v0.34.4",
                Told::Downloading("k8s.io/api v0.34.4"),
            ),
            ("k8s.io/api/core/v1", Told::Compiled("k8s.io/api/core/v1")),
            ("internal/abi", Told::Compiled("internal/abi")),
            ("# k8s.io/api/core/v1", Told::Other),
            ("main.go:4:2: undefined: nothing", Told::Other),
            ("go: updates to go.mod needed", Told::Other),
            ("", Told::Other),
        ];
        for (line, told) in cases {
            assert_eq!(parse(line), told, "{line}");
        }
    }
}
