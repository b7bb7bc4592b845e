//! IDL in, descriptors out: every selected file and everything it imports, checked and in topological order.

mod diagnostic;
mod forward;
mod resolver;
mod scan;
mod suggest;

use crate::repo_path::RepoPath;
use crate::select::Selection;
use crate::source::SourceFiles;
use heddle_crds::idl_repo::Reason;
use prost_reflect::DescriptorPool;
use resolver::{Findings, Resolver};
use std::collections::BTreeSet;

pub use diagnostic::{Diagnostic, Diagnostics, Place};

/// The stack of the compiler's thread: imports nest as deep as IDL has them, and each takes a frame.
const STACK_BYTES: usize = 256 * 1024 * 1024;
/// The most problems that are collected before the compiler gives up.
const DIAGNOSTICS_LIMIT: usize = 20;

/// What a compilation reads.
#[derive(Clone, Debug)]
pub struct Input {
    /// Every `.proto` file of the repository.
    pub sources: SourceFiles,
    /// Where imports are looked up, in order.
    pub roots: Vec<RepoPath>,
    /// What to generate code for.
    pub selection: Selection,
}

/// Descriptors of IDL that compiles.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Names for imports of the selected files, sorted.
    pub files_to_generate: Vec<String>,
    /// Every file, each after those it imports.
    pub pool: DescriptorPool,
}

/// Why there are no descriptors.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The IDL is wrong.
    #[error("failed to compile the IDL: {0}")]
    Compile(Diagnostics),
    /// All that is wrong is that imported files are missing.
    #[error("failed to find imports: {0}")]
    FindImports(Diagnostics),
    /// The compiler broke off.
    #[error("failed to compile the IDL: the compiler broke off at {last_file:?}; please report this file")]
    Finish {
        /// The file it was at.
        last_file: String,
    },
    /// No thread for the compiler.
    #[error("failed to start the compiler")]
    Start(#[source] std::io::Error),
}

impl CompileError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Compile(_) | Self::Finish { .. } => Reason::CompilationFailed,
            Self::FindImports(_) => Reason::ImportNotFound,
            Self::Start(_) => Reason::InternalError,
        }
    }
}

/// Compiles the selected files on a thread of its own, with room for deep imports.
///
/// # Errors
/// The problems of all files as far as they can be told apart, or a panic of the compiler turned into an error.
pub fn compile(input: &Input) -> Result<Compiled, CompileError> {
    let findings = Findings::default();
    let worker = std::thread::Builder::new()
        .name("compiler".into())
        .stack_size(STACK_BYTES)
        .spawn({
            let (input, findings) = (input.clone(), findings.clone());
            move || compile_here(&input, &findings)
        });
    let outcome = worker.map_err(CompileError::Start)?.join();
    outcome.unwrap_or_else(|_| {
        Err(CompileError::Finish {
            last_file: findings.last_file(),
        })
    })
}

fn compile_here(input: &Input, findings: &Findings) -> Result<Compiled, CompileError> {
    let mut compiler = protox::Compiler::with_file_resolver(Resolver::new(input, findings));
    compiler.include_imports(true).include_source_info(true);
    let mut seen = BTreeSet::new();
    let mut diagnostics = Vec::new();
    for file in &input.selection.files {
        let Err(error) = compiler.open_file(&file.import) else {
            continue;
        };
        // What is wrong with an imported file comes up again for every file that imports it.
        let new = findings
            .diagnostics(&error, input)
            .into_iter()
            .filter(|found| seen.insert(found.key()));
        diagnostics.extend(new);
        if diagnostics.len() >= DIAGNOSTICS_LIMIT {
            break;
        }
    }
    if !diagnostics.is_empty() {
        let all_imports = diagnostics.iter().all(|found| found.is_missing_import);
        let diagnostics = Diagnostics(diagnostics);
        return Err(if all_imports {
            CompileError::FindImports(diagnostics)
        } else {
            CompileError::Compile(diagnostics)
        });
    }
    let mut files_to_generate: Vec<_> = input
        .selection
        .files
        .iter()
        .map(|file| file.import.clone())
        .collect();
    files_to_generate.sort();
    Ok(Compiled {
        files_to_generate,
        pool: compiler.descriptor_pool(),
    })
}

#[cfg(test)]
mod tests;
