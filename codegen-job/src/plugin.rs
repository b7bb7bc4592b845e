//! Generators: each runs its plugin over the descriptors as a confined child, and their files are merged.

pub mod builtin;
pub mod confine;
mod error;
mod insertion;
mod process;
mod registry;
mod request;
mod response;
mod rust_modules;
mod rust_references;
mod version;

use crate::compile::Compiled;
use crate::redact::Redactor;
use crate::repo_path::RepoPath;
use crate::stop::{Stop, Stopped, blocking};
use heddle_telemetry::ErrorChain;
use insertion::Merge;
use process::Command;
use registry::Program;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tracing::Instrument;

pub use error::PluginError;
pub use process::{ProcessError, ProcessLimits};
pub use registry::{Plugin, Registry, RegistryError};
pub use version::PluginVersion;

/// How long one plugin may take, unless the run's own deadline comes first.
pub const PLUGIN_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// One generator of the specification, ready to run.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Its name in the specification.
    pub name: String,
    /// The plugin it runs.
    pub plugin: Plugin,
    /// The options, joined by commas.
    pub parameter: String,
    /// The directory its files go to, below the output's.
    pub path: RepoPath,
}

/// What children run by.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// The program that confines children: this very one.
    pub launcher: PathBuf,
    /// An empty directory that children run in.
    pub empty_folder: PathBuf,
    /// Directories that plugins may read besides the system's.
    pub readable: Vec<PathBuf>,
    /// What each of them may use up.
    pub limits: ProcessLimits,
    /// What must not be repeated of what they say.
    pub redactor: Redactor,
}

/// The files of all generators, by their path below the output's, with what wrote them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratedFiles(pub BTreeMap<RepoPath, GeneratedFile>);

/// One generated file.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedFile {
    /// The contents.
    pub text: String,
    /// The generator that wrote it first.
    pub generator: String,
}

/// Runs the generators one after the other, as later ones may extend files of earlier ones.
///
/// # Errors
/// The first failure, naming its generator.
pub async fn run_all(
    generators: &[Generator],
    compiled: &Compiled,
    workshop: &Workshop,
    stop: &Stop,
) -> Result<GeneratedFiles, PluginError> {
    tell_confinement().await;
    let mut merge = Merge::default();
    for generator in generators {
        let span =
            tracing::info_span!("plugin", generator = %generator.name, plugin = %generator.plugin.name);
        run_one(generator, compiled, workshop, stop, &mut merge)
            .instrument(span)
            .await?;
    }
    merge.finish()
}

/// Says once in a run what holds plugins. Where the kernel does less than is asked for, the pod has to do for it.
async fn tell_confinement() {
    match blocking(confine::probe).await {
        Ok(Ok(confine::Enforcement { everything: true, .. })) => {
            tracing::info!(files = true, tcp = true, signals = true, "plugins are confined");
        }
        Ok(Ok(confine::Enforcement {
            files, tcp, signals, ..
        })) => {
            tracing::warn!(files, tcp, signals, "the kernel does not fully confine plugins");
        }
        Ok(Err(error)) => {
            let error = ErrorChain(&error);
            tracing::warn!(%error, "failed to find out how plugins are confined");
        }
        Err(error) => tracing::warn!(%error, "failed to find out how plugins are confined"),
    }
}

async fn run_one(
    generator: &Generator,
    compiled: &Compiled,
    workshop: &Workshop,
    stop: &Stop,
    merge: &mut Merge,
) -> Result<(), PluginError> {
    let input = request::encode(compiled, &generator.parameter);
    let fail = |source| PluginError::run(generator, source);
    let output = process::run(&command(&generator.plugin, &[]), workshop, input, stop)
        .await
        .map_err(fail)?;
    if !output.stderr.is_empty() {
        let text = workshop.redactor.redact(&output.stderr);
        tracing::warn!(%text, "the plugin wrote to its standard error");
    }
    let response = response::decode(generator, &output.stdout)?;
    response::check_features(generator, &response, compiled)?;
    let files = response.file.len();
    merge.add(generator, response.file)?;
    tracing::info!(files, "generated");
    Ok(())
}

fn command<'a>(plugin: &'a Plugin, arguments: &[&'a str]) -> Command<'a> {
    match &plugin.program {
        Program::Builtin(builtin) => Command::builtin(*builtin),
        Program::Executable { path, by_search } => Command::executable(path, *by_search, arguments),
    }
}

/// What versions the plugins of `generators` are, each once, in the order of their names.
///
/// # Errors
/// Only when the run is stopped; a plugin that does not tell its version gets its digest for one.
pub async fn versions(
    generators: &[Generator],
    workshop: &Workshop,
    stop: &Stop,
) -> Result<Vec<PluginVersion>, Stopped> {
    let plugins: BTreeMap<_, _> = generators
        .iter()
        .map(|one| (&one.plugin.name, &one.plugin))
        .collect();
    let mut versions = Vec::new();
    for plugin in plugins.into_values() {
        versions.push(version_of(plugin, workshop, stop).await?);
    }
    Ok(versions)
}

/// What version a plugin is.
///
/// # Errors
/// As [`versions`].
pub async fn version_of(plugin: &Plugin, workshop: &Workshop, stop: &Stop) -> Result<PluginVersion, Stopped> {
    version::ask(plugin, workshop, stop).await
}
