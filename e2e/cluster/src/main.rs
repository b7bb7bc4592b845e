//! `heddle-cluster`: the cluster of this checkout, by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use heddle_e2e_cluster::images::{self, Base, ImageSpec};
use heddle_e2e_cluster::{Cluster, Progress};

#[derive(Parser)]
#[command(about = "Brings up and tears down a real single-node Kubernetes")]
struct Arguments {
    /// The checkout the cluster belongs to; found upwards from here otherwise.
    #[arg(long, global = true)]
    repository: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes sure that the cluster is up and ready.
    Up,
    /// Removes the cluster with everything it left on this host.
    Down,
    /// Says whether the cluster is up.
    Status,
    /// Loads an image archive, in the format of `docker save`.
    LoadImage {
        /// The archive.
        archive: PathBuf,
    },
    /// Builds an image from a Dockerfile and loads it.
    BuildImage {
        /// Name and tag, as pods write it.
        name: String,
        /// The Dockerfile.
        #[arg(long)]
        dockerfile: PathBuf,
        /// A file of the context: `<path on the host>=<path in the context>`.
        #[arg(long = "file", value_parser = context_file)]
        files: Vec<(PathBuf, String)>,
        /// What BASE_IMAGE stands for.
        #[arg(long, value_enum, default_value = "minimal")]
        base: BaseArgument,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum BaseArgument {
    Scratch,
    Minimal,
    WithGit,
}

impl From<BaseArgument> for Base {
    fn from(argument: BaseArgument) -> Self {
        match argument {
            BaseArgument::Scratch => Self::Scratch,
            BaseArgument::Minimal => Self::Minimal,
            BaseArgument::WithGit => Self::WithGit,
        }
    }
}

fn context_file(argument: &str) -> Result<(PathBuf, String)> {
    let (host, path) = argument
        .split_once('=')
        .context("expected <path on the host>=<path in the context>")?;
    Ok((host.into(), path.to_owned()))
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let repository = match arguments.repository {
        Some(repository) => repository,
        None => enclosing_repository()?,
    };
    let progress = Progress::new();
    match arguments.command {
        Command::Up => Cluster::up(&repository, &progress).map(drop),
        Command::Down => Cluster::down(&repository, &progress),
        Command::Status => {
            println!("{}", Cluster::status(&repository)?);
            Ok(())
        }
        Command::LoadImage { archive } => Cluster::up(&repository, &progress)?.load_archive(&archive),
        Command::BuildImage {
            name,
            dockerfile,
            files,
            base,
        } => {
            let cluster = Cluster::up(&repository, &progress)?;
            let spec = ImageSpec {
                name,
                dockerfile,
                context: files,
                base: base.into(),
            };
            images::build_and_load(&cluster, &progress, &[spec])
        }
    }
}

fn enclosing_repository() -> Result<PathBuf> {
    let here = std::env::current_dir().context("failed to find the current folder")?;
    let found = here
        .ancestors()
        .find(|folder| folder.join("e2e/cluster/Cargo.toml").is_file());
    found
        .map(PathBuf::from)
        .context("this is no checkout of Heddle; name one with --repository")
}
