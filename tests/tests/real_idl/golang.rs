//! Compiles generated Go as modules, vets it, and runs a program that links all of it.

use crate::workspace::{Workspace, fixture, run, write};
use anyhow::{Context, Result};
use heddle_tests::public_idl::files;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A module that the fixture's go.mod replaces by generated code.
pub(crate) struct GoModule<'a> {
    pub(crate) path: &'a str,
    /// Where it is, below `generated/go`.
    pub(crate) folder: &'a str,
}

/// Builds and vets every generated package, then has the Go runtime register all their descriptors.
pub(crate) fn build_and_run(
    workspace: &Workspace,
    fixture_name: &str,
    modules: &[GoModule<'_>],
) -> Result<()> {
    let generated = workspace.generated().join("go");
    for module in modules {
        let text = format!("module {}\n\ngo 1.25.0\n", module.path);
        write(&generated.join(module.folder).join("go.mod"), text.as_bytes())?;
    }
    for file in ["go.mod", "go.sum"] {
        let path = fixture(fixture_name).join(file);
        fs::copy(&path, workspace.folder.join(file))
            .with_context(|| format!("failed to copy {}", path.display()))?;
    }
    let packages = packages(&generated, modules)?;
    let imports: String = packages
        .iter()
        .map(|package| format!("\t_ {package:?}\n"))
        .collect();
    let program = format!(
        "// Fails to start when two files disagree.\npackage main\n\nimport (\n{imports})\n\nfunc main() {{}}\n"
    );
    write(&workspace.folder.join("main.go"), program.as_bytes())?;
    run(go(workspace).arg("vet").args(&packages))?;
    run(go(workspace).args(["run", "."])).map(drop)
}

/// The import paths of all packages. A module within another's folder comes after it in `modules`.
fn packages(generated: &Path, modules: &[GoModule<'_>]) -> Result<BTreeSet<String>> {
    let names = files(generated, |name| name.ends_with(".go"))?;
    let package = |name: &String| {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let within = |module: &&GoModule<'_>| folder.starts_with(module.folder);
        let module = modules.iter().rev().find(within)?;
        Some(format!(
            "{}{}",
            module.path,
            folder.strip_prefix(module.folder).map(|rest| match rest {
                "" => String::new(),
                rest => format!("/{}", rest.trim_start_matches('/')),
            })?
        ))
    };
    names
        .keys()
        .map(|name| package(name).with_context(|| format!("{name} is in none of the modules")))
        .collect()
}

fn go(workspace: &Workspace) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(&workspace.folder)
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0");
    command
}
