//! The gate: what a commit breaks for those who use the one delivered before, and whether it is let through.

mod baseline;

use crate::compile::{Compiled, Diagnostic, Place};
use crate::failure::Failure;
use crate::repo_path::RepoPath;
use crate::source::SourceFiles;
use heddle_crds::condition::truncate;
use heddle_crds::idl_repo::{Comparison, FINDINGS_LIMIT, Finding, Level, Policy, Reason};
use heddle_dynamic_protobuf::DecodeError;
use heddle_dynamic_protobuf::breaking;
use heddle_dynamic_protobuf::descriptor::FileDescriptorSet;
use std::fmt::{self, Write};

pub use baseline::{Against, Baseline};

/// How many findings an error shows with their lines.
const SHOWN_LIMIT: usize = 3;
/// The most findings that are logged; the count is of all.
pub const LOGGED_LIMIT: usize = 1000;
/// The most bytes of a finding's message in a report.
const MESSAGE_BYTES: usize = 300;
/// How many digits of a commit's id are enough for people.
const SHORT_ID: usize = 7;

/// By what is compared, and what follows from that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gate {
    /// Whose work a change must not break.
    pub level: Level,
    /// What becomes of a commit that breaks it.
    pub policy: Policy,
    /// Whether somebody let this very commit through.
    pub accepts: bool,
}

/// What a commit breaks.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What it is compared with, in words.
    pub against: String,
    /// By what.
    pub gate: Gate,
    /// What was found.
    pub result: Result<Vec<Broken>, String>,
}

/// One breaking change.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The rule by its name.
    pub rule: String,
    /// Where and what, with the line.
    pub diagnostic: Diagnostic,
    /// What, without the rule.
    pub message: String,
}

/// Why a commit is not let through.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// It breaks something.
    #[error(
        "failed to let {subject} through: {}; revert what breaks others, or {}:{}",
        in_words(compared),
        remedy,
        Shown(compared)
    )]
    Break {
        /// What is compared.
        subject: String,
        /// How to let it through.
        remedy: Remedy,
        /// What it breaks.
        compared: Box<Compared>,
    },
    /// Nothing can be said, as there is nothing to compare with.
    #[error(
        "failed to compare with {against}; to go on without that comparison, {}",
        remedy
    )]
    Baseline {
        /// What was to be compared with.
        against: String,
        /// How to let the commit through.
        remedy: Remedy,
        /// Why it cannot be used.
        #[source]
        source: Box<Failure>,
    },
    /// A descriptor set cannot be read.
    #[error("failed to read {what} as a descriptor set")]
    Decode {
        /// Which.
        what: String,
        /// Why not.
        #[source]
        source: DecodeError,
    },
}

/// Who can let a commit through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Acceptance {
    /// Who annotates the IdlRepo: the run is one of the operator's.
    Annotation,
    /// Who has started the run, by an option.
    Option,
    /// Nobody: this only tells what would break.
    Nobody,
}

/// What to do about a commit that is not let through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// Annotate the IdlRepo.
    Annotate {
        /// The IdlRepo's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The commit's full id.
        commit: String,
    },
    /// Repeat the command with an option.
    Repeat,
    /// Compare with something else.
    CompareOtherwise,
}

impl GateError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Break { .. } => Reason::BreakingChanges,
            Self::Baseline { .. } => Reason::BaselineUnavailable,
            Self::Decode { .. } => Reason::InvalidSpec,
        }
    }
}

/// Compares what was compiled with an earlier descriptor set.
///
/// # Errors
/// [`GateError::Decode`].
pub fn compare(
    compiled: &Compiled,
    sources: &SourceFiles,
    roots: &[RepoPath],
    baseline: &Baseline,
    gate: Gate,
) -> Result<Compared, GateError> {
    let decode = |what: &str, bytes: &[u8]| {
        FileDescriptorSet::decode(bytes).map_err(|source| GateError::Decode {
            what: what.to_owned(),
            source,
        })
    };
    let old = decode(&baseline.name, &baseline.set)?;
    let new = decode("what was compiled", &compiled.descriptor_set())?;
    let findings = breaking::check(&old, &new, level(gate.level));
    let broken = |finding| Broken::new(finding, sources, roots);
    Ok(Compared {
        against: baseline.name.clone(),
        gate,
        result: Ok(findings.into_iter().map(broken).collect()),
    })
}

fn level(level: Level) -> breaking::Level {
    match level {
        Level::Wire => breaking::Level::Wire,
        Level::WireJson => breaking::Level::WireJson,
        Level::Package => breaking::Level::Package,
        Level::File => breaking::Level::File,
    }
}

impl Broken {
    fn new(finding: breaking::Finding, sources: &SourceFiles, roots: &[RepoPath]) -> Self {
        let rule = finding.rule.to_string();
        let place = finding.location.map(|location| {
            let path = sources.resolve(&location.file, roots).unwrap_or(&location.file);
            let text = sources
                .bytes(path)
                .and_then(|bytes| std::str::from_utf8(bytes).ok());
            Place::at(path, text, location.line, location.column)
        });
        Self {
            diagnostic: Diagnostic::placed(place, format!("{rule}: {}", finding.message)),
            message: finding.message,
            rule,
        }
    }

    fn to_finding(&self) -> Finding {
        let place = self.diagnostic.place.as_ref();
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut message = self.message.clone();
        truncate(&mut message, MESSAGE_BYTES);
        Finding {
            rule: self.rule.clone(),
            file: place.map(|place| place.path.clone()),
            line: place.and_then(|place| place.line).map(number),
            column: place
                .filter(|place| place.line.is_some())
                .map(|place| number(place.column)),
            message,
        }
    }
}

impl Compared {
    /// A comparison that could not be made.
    pub fn impossible(against: String, gate: Gate, problem: String) -> Self {
        Self {
            against,
            gate,
            result: Err(problem),
        }
    }

    /// What was found, if anything could be compared.
    pub fn broken(&self) -> &[Broken] {
        self.result.as_deref().unwrap_or_default()
    }

    /// Whether there is anything that somebody has to let through.
    pub fn needs_acceptance(&self) -> bool {
        self.result.as_ref().map_or(true, |broken| !broken.is_empty())
    }

    /// Whether it goes no further than this.
    pub fn is_refused(&self) -> bool {
        self.needs_acceptance() && self.gate.policy == Policy::Refuse && !self.gate.accepts
    }

    /// For the status: the count of all, and the first of them.
    pub fn to_comparison(&self) -> Comparison {
        let broken = self.broken();
        let problem = self.result.as_ref().err().cloned().map(|mut problem| {
            truncate(&mut problem, MESSAGE_BYTES);
            problem
        });
        Comparison {
            against: self.against.clone(),
            level: self.gate.level,
            breaking_changes: u32::try_from(broken.len()).unwrap_or(u32::MAX),
            problem,
            accepted: self.needs_acceptance() && self.gate.accepts,
            findings: broken
                .iter()
                .take(FINDINGS_LIMIT)
                .map(Broken::to_finding)
                .collect(),
        }
    }

    /// For the trailer of a commit; nothing where nothing breaks.
    pub fn trailer(&self) -> Option<String> {
        let how = match (self.gate.accepts, self.gate.policy) {
            (true, _) => "accepted",
            (false, _) => "allowed by policy",
        };
        match &self.result {
            Ok(broken) if broken.is_empty() => None,
            Ok(broken) => Some(format!("{} since {}, {how}", broken.len(), self.against)),
            Err(_) => Some(format!("not compared with {}, {how}", self.against)),
        }
    }
}

/// Such as `2 breaking changes since 4f0c9ce at level File`.
pub fn in_words(compared: &Compared) -> String {
    let count = compared.broken().len();
    let plural = if count == 1 { "" } else { "s" };
    format!(
        "{count} breaking change{plural} since {} at level {}",
        short(&compared.against),
        compared.gate.level.as_str()
    )
}

/// The first digits of a commit's id; anything else as it is.
fn short(name: &str) -> &str {
    let is_id = name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { &name[..SHORT_ID] } else { name }
}

struct Shown<'a>(&'a Compared);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.0.broken();
        for one in broken.iter().take(SHOWN_LIMIT) {
            write!(formatter, "\n\n{}", one.diagnostic)?;
        }
        match broken.len().saturating_sub(SHOWN_LIMIT) {
            0 => Ok(()),
            more => write!(formatter, "\n\n… and {more} more, which the log names"),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotate {
                namespace,
                name,
                commit,
            } => write!(
                formatter,
                "let exactly this commit through with `kubectl annotate --overwrite --namespace {namespace} \
                 idlrepo/{name} {}={commit}`",
                heddle_crds::metadata::ACCEPT_BREAKING
            ),
            Self::Repeat => formatter.write_str("repeat this with --accept-breaking"),
            Self::CompareOtherwise => formatter.write_str("name another revision or file with --against"),
        }
    }
}

/// All findings, as compilers print them.
///
/// # Errors
/// Those of `out`.
pub fn write_findings(out: &mut impl Write, compared: &Compared) -> fmt::Result {
    for one in compared.broken() {
        writeln!(out, "{}\n", one.diagnostic)?;
    }
    match &compared.result {
        Ok(broken) if broken.is_empty() => {
            writeln!(
                out,
                "No breaking changes since {} at level {}",
                short(&compared.against),
                compared.gate.level.as_str()
            )
        }
        Ok(_) => writeln!(out, "{}", in_words(compared)),
        Err(problem) => writeln!(out, "Not compared with {}: {problem}", short(&compared.against)),
    }
}

#[cfg(test)]
mod tests;
