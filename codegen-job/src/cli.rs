//! The command line, and what it stands for.

use crate::message_commands::{DecodeArguments, DiffArguments, EncodeArguments, GetArguments, SetArguments};
use clap::{Args, Parser, Subcommand};
use heddle_codegen::failure::Failure;
use heddle_codegen::gate::{Acceptance, Against, Gate};
use heddle_codegen::plugin::builtin::Builtin;
use heddle_codegen::plugin::confine::ConfineArguments;
use heddle_codegen::plugin::{PLUGIN_TIMEOUT, ProcessLimits, Registry, Workshop};
use heddle_codegen::publish::mask_token;
use heddle_codegen::redact::Redactor;
use heddle_codegen::run::{Origin, Surroundings};
use heddle_crds::codegen::{OUTPUT_SECRET_FOLDER, SOURCE_SECRET_FOLDER};
use heddle_crds::idl_repo::{Compatibility, Level};
use heddle_git_remote::{AddressPolicy, CommitId};
use ipnet::IpNet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Private memory of one plugin, unless the container has less.
const PLUGIN_MEMORY_MIB: u64 = 1024;
/// The part of a container's memory that a plugin may take: the rest is for us.
const MEMORY_SHARE: u64 = 2;
const PLUGIN_OPEN_FILES: u64 = 256;
const PLUGIN_OUTPUT_BYTES: usize = 256 * 1024 * 1024;
/// Where the kernel tells a container's memory limit (cgroup v2, then v1).
const MEMORY_LIMIT_FILES: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];
const MIB: u64 = 1024 * 1024;

/// Compiles protobuf IDL, generates code, and delivers it as a commit.
#[derive(Parser)]
#[command(name = "heddle-codegen", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Generate code by an IdlRepo and push it to the output repository.
    Run(RunArguments),
    /// Compile the IDL of an IdlRepo, and print what is wrong with it, or what it breaks.
    Check(CheckArguments),
    /// List the plugins there are, with their versions.
    Plugins(PluginArguments),
    /// Print a binary message as JSON or text.
    Decode(DecodeArguments),
    /// Write a message in JSON or text as binary.
    Encode(EncodeArguments),
    /// Print values of a message by their paths, without decoding the rest.
    Get(GetArguments),
    /// Change values of a message by their paths, and leave everything else as it is.
    Set(SetArguments),
    /// Print by path how two messages differ; the exit code is 0 when they do not, 1 when they do.
    Diff(DiffArguments),
    /// Limit this process, then become a plugin.
    #[command(hide = true)]
    Confine(ConfineArguments),
    /// Be a plugin that is part of this program.
    #[command(hide = true)]
    Builtin {
        /// Which one.
        plugin: Builtin,
    },
}

#[derive(Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// Show what would be committed as a diff, and push nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take the IDL from this directory instead of the source repository; only with --dry-run.
    #[arg(long, value_name = "FOLDER", conflicts_with = "commit", requires = "dry_run")]
    local_source: Option<PathBuf>,
    /// A folder with credentials for the output, a file for each key of the Secret.
    #[arg(long, value_name = "FOLDER")]
    output_secret: Option<PathBuf>,
    /// What to compare with before anything is generated: a commit, branch or tag, or a file with a descriptor set.
    #[arg(long, value_name = "REVISION|FILE")]
    against: Option<Against>,
    /// Deliver the commit although it has breaking changes.
    #[arg(long, requires = "against")]
    accept_breaking: bool,
    /// Publish the descriptor set in the cluster, with the token and the authority in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "dry_run")]
    publish_with: Option<PathBuf>,
    /// Write the result there, as JSON of at most 4096 bytes.
    #[arg(long, value_name = "FILE")]
    pub(crate) termination_message: Option<PathBuf>,
    #[command(flatten)]
    plugins: PluginArguments,
}

#[derive(Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// What to compare with: a commit, branch or tag (of the checkout that --local-source is in, or of the source
    /// repository), or a file with a descriptor set. Breaking changes are exit code 100.
    #[arg(long, value_name = "REVISION|FILE")]
    against: Option<Against>,
    /// Whose work a change must not break: wire, wire-json, package or file. What spec.compatibility says, or file, if
    /// absent.
    #[arg(long, value_parser = parse_level, requires = "against")]
    level: Option<Level>,
    /// Take the IDL from this directory instead of the source repository.
    #[arg(long, value_name = "FOLDER", conflicts_with = "commit")]
    local_source: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct CommonArguments {
    /// The IdlRepo, as YAML or JSON.
    #[arg(short, long)]
    pub(crate) file: PathBuf,
    /// The source commit, by its full id; what `source.ref` means now, if absent.
    #[arg(long, value_name = "ID")]
    pub(crate) commit: Option<CommitId>,
    /// A folder with credentials for the source, a file for each key of the Secret.
    #[arg(long, value_name = "FOLDER")]
    source_secret: Option<PathBuf>,
    /// Where to keep what is fetched while working; a temporary folder, if absent.
    #[arg(long, value_name = "FOLDER")]
    work_folder: Option<PathBuf>,
    /// Networks not to connect to, separated by commas, instead of loopback, link-local, multicast and unspecified
    /// addresses and the metadata services of clouds.
    #[arg(long, value_name = "CIDRS", value_parser = parse_networks)]
    denied_cidrs: Option<Networks>,
    /// How long everything may take, such as 90s or 10m; `spec.timeout`, if absent.
    #[arg(long, value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Args, Clone)]
pub(crate) struct PluginArguments {
    /// Where executables called `protoc-gen-` and a plugin are, before PATH is searched.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "HEDDLE_PLUGIN_FOLDER",
        default_value = "/usr/lib/heddle/plugins"
    )]
    plugin_folder: PathBuf,
    /// A directory that plugins may read besides the system's and their own; may be given several times.
    #[arg(long, value_name = "FOLDER")]
    plugin_reads: Vec<PathBuf>,
    /// Memory that a plugin may use, in MiB; half of the container's and at most 1024, if absent.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    plugin_memory: Option<u64>,
    /// How long one plugin may take.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    plugin_timeout: Option<Duration>,
}

/// A list of networks; a type of its own, as clap takes a `Vec` for an option given several times.
#[derive(Clone)]
struct Networks(Vec<IpNet>);

impl CommonArguments {
    fn origin(&self, local_source: Option<&Path>) -> Origin {
        match local_source {
            Some(folder) => Origin::Directory(folder.to_owned()),
            None => Origin::Repository(self.commit),
        }
    }

    /// A folder of this run's own, removed at its end.
    pub(crate) fn create_work_folder(&self) -> Result<tempfile::TempDir, Failure> {
        let parent = self.work_folder.clone().unwrap_or_else(std::env::temp_dir);
        let fail = |source| Failure::Work {
            folder: parent.clone(),
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix("heddle-codegen-")
            .tempdir_in(&parent)
            .map_err(fail)?;
        std::fs::create_dir(folder.path().join(EMPTY)).map_err(fail)?;
        Ok(folder)
    }

    fn policy(&self) -> AddressPolicy {
        let denied = self.denied_cidrs.as_ref().map(|networks| networks.0.clone());
        denied.map_or_else(AddressPolicy::default, AddressPolicy::denying)
    }

    fn source_secret(&self) -> Option<PathBuf> {
        self.source_secret
            .clone()
            .or_else(|| existing(SOURCE_SECRET_FOLDER))
    }
}

/// The folder below the work folder that children run in.
const EMPTY: &str = "empty";

impl RunArguments {
    pub(crate) fn origin(&self) -> Origin {
        self.common.origin(self.local_source.as_deref())
    }

    pub(crate) fn surroundings(
        &self,
        compatibility: Option<&Compatibility>,
        work_folder: &Path,
    ) -> Result<Surroundings, Failure> {
        let output_secret = self
            .output_secret
            .clone()
            .or_else(|| existing(OUTPUT_SECRET_FOLDER));
        let surroundings = surroundings(&self.common, output_secret, &self.plugins, work_folder)?;
        let workshop = Workshop {
            redactor: self.mask_token(&surroundings.workshop.redactor),
            ..surroundings.workshop
        };
        let acceptance = match self.termination_message {
            Some(_) => Acceptance::Annotation,
            None => Acceptance::Option,
        };
        Ok(Surroundings {
            workshop,
            against: self.against.clone(),
            gate: self.gate(compatibility),
            acceptance,
            api_folder: self.publish_with.clone(),
            ..surroundings
        })
    }

    fn gate(&self, compatibility: Option<&Compatibility>) -> Gate {
        Gate {
            accepts: self.accept_breaking,
            ..gate(compatibility, None)
        }
    }

    fn mask_token(&self, redactor: &Redactor) -> Redactor {
        match &self.publish_with {
            Some(folder) => mask_token(redactor, folder),
            None => redactor.clone(),
        }
    }

    pub(crate) fn redactor(&self) -> Redactor {
        let output_secret = self
            .output_secret
            .clone()
            .or_else(|| existing(OUTPUT_SECRET_FOLDER));
        let secrets = [self.common.source_secret(), output_secret];
        self.mask_token(&Redactor::for_folders(
            secrets.iter().flatten().map(PathBuf::as_path),
        ))
    }
}

impl CheckArguments {
    pub(crate) fn origin(&self) -> Origin {
        self.common.origin(self.local_source.as_deref())
    }

    pub(crate) fn surroundings(
        &self,
        compatibility: Option<&Compatibility>,
        work_folder: &Path,
    ) -> Result<Surroundings, Failure> {
        let none = PluginArguments {
            plugin_folder: PathBuf::new(),
            plugin_reads: Vec::new(),
            plugin_memory: None,
            plugin_timeout: None,
        };
        Ok(Surroundings {
            against: self.against.clone(),
            gate: gate(compatibility, self.level),
            ..surroundings(&self.common, None, &none, work_folder)?
        })
    }

    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::for_folders(self.common.source_secret().iter().map(PathBuf::as_path))
    }
}

impl PluginArguments {
    pub(crate) fn registry(&self) -> Registry {
        Registry {
            folder: self.plugin_folder.clone(),
            search: std::env::var_os("PATH"),
        }
    }

    pub(crate) fn workshop(&self, empty_folder: PathBuf, redactor: Redactor) -> Result<Workshop, Failure> {
        let fail = |source| Failure::Work {
            folder: empty_folder.clone(),
            source,
        };
        let time = self.plugin_timeout.unwrap_or(PLUGIN_TIMEOUT);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let limits = ProcessLimits {
            time,
            memory_bytes: self.plugin_memory.unwrap_or_else(default_memory_mib) * MIB,
            processor_time: time.saturating_mul(u32::try_from(processors).unwrap_or(u32::MAX)),
            open_files: PLUGIN_OPEN_FILES,
            output_bytes: PLUGIN_OUTPUT_BYTES,
        };
        Ok(Workshop {
            launcher: std::env::current_exe().map_err(fail)?,
            empty_folder,
            readable: self.plugin_reads.iter().map(|path| from_root(path)).collect(),
            limits,
            redactor,
        })
    }
}

fn surroundings(
    common: &CommonArguments,
    output_secret: Option<PathBuf>,
    plugins: &PluginArguments,
    work_folder: &Path,
) -> Result<Surroundings, Failure> {
    let source_secret = common.source_secret();
    let secrets = [&source_secret, &output_secret].into_iter().flatten();
    let redactor = Redactor::for_folders(secrets.map(PathBuf::as_path));
    Ok(Surroundings {
        workshop: plugins.workshop(work_folder.join(EMPTY), redactor)?,
        registry: plugins.registry(),
        work_folder: work_folder.to_owned(),
        policy: common.policy(),
        source_secret,
        output_secret,
        against: None,
        gate: gate(None, None),
        acceptance: Acceptance::Nobody,
        api_folder: None,
    })
}

/// By what to compare: what the IdlRepo says, and where it says nothing, what it would say by default.
fn gate(compatibility: Option<&Compatibility>, level: Option<Level>) -> Gate {
    let compatibility = compatibility.cloned().unwrap_or_default();
    Gate {
        level: level.unwrap_or(compatibility.level),
        policy: compatibility.policy,
        accepts: false,
    }
}

/// Names as in a specification, as buf writes them, or as a command line does.
fn parse_level(text: &str) -> Result<Level, String> {
    let plain = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let mut levels = Level::ALL.into_iter();
    let found = levels.find(|level| plain(level.as_str()) == plain(text));
    found.ok_or_else(|| format!("{text:?} is none of wire, wire-json, package and file"))
}

/// Plugins run in another directory than we do. An empty path has no other form.
fn from_root(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn existing(folder: &str) -> Option<PathBuf> {
    Some(PathBuf::from(folder)).filter(|folder| folder.is_dir())
}

/// A plugin that takes too much must fail by itself: were the container to run out of memory, the kernel would end us
/// along with it, and nobody could tell which plugin it was.
fn default_memory_mib() -> u64 {
    let limit = MEMORY_LIMIT_FILES
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    limit.map_or(PLUGIN_MEMORY_MIB, |bytes| {
        (bytes / MEMORY_SHARE / MIB).clamp(1, PLUGIN_MEMORY_MIB)
    })
}

fn parse_networks(text: &str) -> Result<Networks, String> {
    let parse = |network: &str| {
        network
            .trim()
            .parse()
            .map_err(|_| format!("{network:?} is no network such as 10.0.0.0/8"))
    };
    let networks: Result<_, _> = text
        .split(',')
        .filter(|network| !network.trim().is_empty())
        .map(parse)
        .collect();
    networks.map(Networks)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no duration such as 90s, 10m or 2h");
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .ok_or_else(problem)?;
    let number: u64 = text[..digits].parse().map_err(|_| problem())?;
    let unit = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return Err(problem()),
    };
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_operator_starts_is_understood() {
        let arguments = "heddle-codegen run -f /run/heddle/request/idlrepo.yaml \
            --commit 0123456789abcdef0123456789abcdef01234567 --termination-message /dev/termination-log \
            --work-folder /work --timeout=600s --denied-cidrs=10.96.0.0/12,169.254.0.0/16";
        let Command::Run(run) = Cli::try_parse_from(arguments.split_whitespace())
            .unwrap_or_else(|error| panic!("{error}"))
            .command
        else {
            panic!("not a run");
        };
        assert_eq!(run.common.timeout, Some(Duration::from_secs(600)));
        assert_eq!(run.common.policy().denied().len(), 2);
        assert!(matches!(run.origin(), Origin::Repository(Some(_))));
        assert_eq!(parse_networks("").map(|networks| networks.0.len()), Ok(0));
        for bad in ["", "s", "0s", "10", "1d", "-1s", "99999999999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
