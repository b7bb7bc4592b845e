//! What can go wrong with generators, always by the generator's name in the specification.

use super::{Generator, ProcessError};
use crate::repo_path::RepoPathError;
use crate::stop::Stopped;
use heddle_crds::idl_repo::Reason;

/// Why no code was generated.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The child failed.
    #[error("failed to run generator {generator:?} (plugin {plugin:?})")]
    Run {
        /// The generator.
        generator: String,
        /// Its plugin.
        plugin: String,
        /// What happened.
        #[source]
        source: ProcessError,
    },
    /// The plugin reported an error by the protocol.
    #[error("failed to generate with {generator:?}: plugin {plugin:?} reports: {message}")]
    Generate {
        /// The generator.
        generator: String,
        /// Its plugin.
        plugin: String,
        /// The plugin's words, cut.
        message: String,
    },
    /// The plugin's answer is not one.
    #[error(
        "failed to read the answer of generator {generator:?}: plugin {plugin:?} wrote {length} bytes that are no \
         CodeGeneratorResponse"
    )]
    Decode {
        /// The generator.
        generator: String,
        /// Its plugin.
        plugin: String,
        /// How much it wrote.
        length: usize,
        /// What is wrong with it.
        #[source]
        source: prost::DecodeError,
    },
    /// The plugin is older than a feature that the IDL uses.
    #[error(
        "failed to generate with {generator:?}: {file} has proto3 optional fields, which plugin {plugin:?} does not \
         support; use a newer plugin"
    )]
    SupportOptional {
        /// The generator.
        generator: String,
        /// Its plugin.
        plugin: String,
        /// The first file with such a field.
        file: String,
    },
    /// A file cannot be placed.
    #[error("failed to place a file of generator {generator:?}")]
    PlaceFile {
        /// The generator.
        generator: String,
        /// Why.
        #[source]
        source: RepoPathError,
    },
    /// A file without a name has no file before it that it could continue.
    #[error("failed to place a file of generator {generator:?}: it has no name")]
    NameFile {
        /// The generator.
        generator: String,
    },
    /// Two generators write the same file.
    #[error(
        "failed to merge: generators {first:?} and {second:?} both write {path}; give them different paths"
    )]
    Duplicate {
        /// The file.
        path: String,
        /// The generator that wrote it first.
        first: String,
        /// The other one; the same if it wrote the file twice.
        second: String,
    },
    /// An extension has nothing to extend.
    #[error(
        "failed to merge: generator {generator:?} extends {path} at insertion point {point:?}, {problem}; list the \
         generator that writes the file before it, with the same path (prost before tonic)"
    )]
    Extend {
        /// The generator.
        generator: String,
        /// The file.
        path: String,
        /// The insertion point.
        point: String,
        /// What is missing.
        problem: &'static str,
    },
    /// A file and a directory have the same path.
    #[error(
        "failed to merge: {file} is a file of generator {first:?}, and a directory for {path} of {second:?}"
    )]
    Overlap {
        /// The path that is a file.
        file: String,
        /// Who wrote it.
        first: String,
        /// The file below it.
        path: String,
        /// Who wrote that.
        second: String,
    },
    /// There is too much.
    #[error(
        "failed to keep within limits: generator {generator:?} brings the output to more than {allowed} {what}"
    )]
    Exceed {
        /// The generator.
        generator: String,
        /// The limit.
        allowed: usize,
        /// Of what.
        what: &'static str,
    },
}

impl PluginError {
    pub(super) fn run(generator: &Generator, source: ProcessError) -> Self {
        Self::Run {
            generator: generator.name.clone(),
            plugin: generator.plugin.name.clone(),
            source,
        }
    }

    /// Why the run was stopped, if that is what happened.
    pub fn stopped(&self) -> Option<Stopped> {
        match self {
            Self::Run {
                source: ProcessError::Stop(stopped),
                ..
            } => Some(*stopped),
            _ => None,
        }
    }

    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Exceed { .. } => Reason::LimitExceeded,
            Self::Run {
                source: ProcessError::Start(_),
                ..
            } => Reason::InternalError,
            Self::Duplicate { .. } | Self::Extend { .. } | Self::Overlap { .. } => Reason::InvalidSpec,
            Self::Run { .. }
            | Self::Generate { .. }
            | Self::Decode { .. }
            | Self::SupportOptional { .. }
            | Self::PlaceFile { .. }
            | Self::NameFile { .. } => Reason::PluginFailed,
        }
    }
}
