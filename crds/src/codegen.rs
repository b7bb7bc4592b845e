//! The contract between the operator and the codegen Job: where the Job finds its input, and how it answers.
//!
//! The Job reads nothing from the API but the ConfigMaps that it publishes to. Its input is the IdlRepo as a file (the downward API's copy of the pod's
//! annotation [`crate::metadata::RUN`]) and the Secrets as folders; its answer is a [`Report`] in the container's
//! termination message, and an exit code that the Job's pod failure policy acts on.

use crate::condition::truncate;
use crate::idl_repo::{Comparison, FileCounts, IdlRepo, Reason, RunError};
use serde::{Deserialize, Serialize};

/// The container's name.
pub const CONTAINER: &str = "codegen";
/// The folder that the IdlRepo is mounted in.
pub const REQUEST_FOLDER: &str = "/run/heddle/request";
/// The IdlRepo, as JSON, which is YAML too.
pub const REQUEST_FILE: &str = "/run/heddle/request/idlrepo.yaml";
/// The folder of the source's Secret, one file a key; absent when there is none.
pub const SOURCE_SECRET_FOLDER: &str = "/run/heddle/source";
/// The folder of the output's Secret, one file a key; absent when there is none.
pub const OUTPUT_SECRET_FOLDER: &str = "/run/heddle/output";
/// The folder of the token and the authority for the API; absent unless the Job publishes.
pub const API_FOLDER: &str = "/run/heddle/api";
/// The token in [`API_FOLDER`].
pub const API_TOKEN: &str = "token";
/// The certificate of the API server's authority in [`API_FOLDER`].
pub const API_AUTHORITY: &str = "ca.crt";
/// The one folder that the Job may write to.
pub const WORK_FOLDER: &str = "/work";
/// Where the kubelet reads the answer from.
pub const TERMINATION_MESSAGE_FILE: &str = "/dev/termination-log";
/// The most bytes the kubelet takes from there.
pub const TERMINATION_MESSAGE_LIMIT: usize = 4096;

/// Exit code of a run that another pod shall not try again at once (`EX_DATAERR` of sysexits).
pub const EXIT_FAILED: i32 = 65;
/// Exit code of a run that failed for a reason that may pass within seconds (`EX_TEMPFAIL` of sysexits).
pub const EXIT_TEMPORARY: i32 = 75;

/// Exit code of `heddle-codegen check` that found breaking changes and nothing else; the one that buf has for it.
pub const EXIT_BREAKING: i32 = 100;

/// The exit code of a run that failed for `reason`.
///
/// The Job replaces a failed pod within seconds, some times over. That mends a network that hiccups. Where a server
/// has answered, and its answer is no, it only knocks again and again, which can lock an account; so such a run ends
/// the Job, and [`Reason::retry`] says whether and at what pace the operator makes another one.
#[must_use]
pub fn exit_code(reason: Reason) -> i32 {
    match reason {
        Reason::HostUnknown
        | Reason::ConnectionFailed
        | Reason::TimedOut
        | Reason::OutputMoved
        | Reason::PublicationFailed
        | Reason::JobFailed
        | Reason::InternalError => EXIT_TEMPORARY,
        _ => EXIT_FAILED,
    }
}

/// How a run ended: the answer of the Job to the operator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The source commit, by its full id.
    pub source_revision: String,
    /// The commit in the output repository that holds the code: new, or there already. Absent where nothing was
    /// generated into an empty repository, and after a failure to deliver; present after one to publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_revision: Option<String>,
    /// Whether that commit is new.
    pub committed: bool,
    /// What became of the files.
    pub files: FileCounts,
    /// Whether the output holds the code for the source commit, whatever failed after that.
    #[serde(default)]
    pub delivered: bool,
    /// What the comparison with the commit that was delivered before found, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// How many chunks the descriptor set has, if it was made to be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor_chunks: Option<u32>,
    /// Why the run failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
}

impl Report {
    /// As a termination message, cut to what the kubelet takes: first of the list of findings, then of the message.
    pub fn to_termination_message(&self) -> String {
        let mut report = self.clone();
        loop {
            let text = serde_json::to_string(&report).unwrap_or_default();
            let excess = text.len().saturating_sub(TERMINATION_MESSAGE_LIMIT);
            if excess == 0 || !report.shorten(excess) {
                return text;
            }
        }
    }

    /// Takes something away that can be missed. False when nothing is left to take.
    fn shorten(&mut self, excess: usize) -> bool {
        let findings = self
            .comparison
            .as_mut()
            .map(|comparison| &mut comparison.findings);
        if findings.is_some_and(|findings| findings.pop().is_some()) {
            return true;
        }
        match &mut self.error {
            Some(error) if !error.message.is_empty() => {
                let shorter = error.message.len().saturating_sub(excess);
                truncate(&mut error.message, shorter);
                true
            }
            _ => false,
        }
    }

    /// The answer in a termination message, if it holds one.
    pub fn from_termination_message(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What of an IdlRepo the Job needs: its identity and its specification.
pub fn request(idl_repo: &IdlRepo) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": format!("{}/{}", crate::GROUP, crate::VERSION),
        "kind": "IdlRepo",
        "metadata": {
            "name": idl_repo.metadata.name,
            "namespace": idl_repo.metadata.namespace,
        },
        "spec": idl_repo.spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idl_repo::{Finding, Level, Retry};

    #[test]
    fn a_server_that_said_no_is_not_asked_again_by_the_same_job() {
        for reason in [
            Reason::AuthenticationFailed,
            Reason::PushRejected,
            Reason::RepositoryNotFound,
            Reason::TlsNotTrusted,
            Reason::HostKeyNotTrusted,
            Reason::RefNotFound,
            Reason::AddressRefused,
        ] {
            assert_eq!(exit_code(reason), EXIT_FAILED, "{reason:?}");
        }
    }

    #[test]
    fn only_reasons_that_pass_by_themselves_are_tried_again() {
        let again = |reason: &&Reason| exit_code(**reason) == EXIT_TEMPORARY;
        let mut tried = Reason::ALL.iter().filter(again).peekable();
        assert!(tried.peek().is_some());
        assert!(tried.all(|reason| reason.retry() == Retry::Backoff));
    }

    fn comparison(findings: u32, unit: &str) -> Comparison {
        let finding = |line| Finding {
            rule: "FIELD_SAME_TYPE".into(),
            file: Some("a/b.proto".into()),
            line: Some(line),
            column: Some(3),
            message: unit.repeat(50),
        };
        Comparison {
            against: "0".repeat(40),
            level: Level::File,
            breaking_changes: findings,
            problem: None,
            accepted: false,
            findings: (0..findings).map(finding).collect(),
        }
    }

    #[test]
    fn a_report_always_fits_the_termination_message() {
        for length in [0, 100, 4000, 5000, 40_000] {
            for unit in ["a", "\"", "é", "\n"] {
                let report = Report {
                    source_revision: "0".repeat(40),
                    output_revision: None,
                    committed: false,
                    files: FileCounts::default(),
                    delivered: false,
                    comparison: Some(comparison(40, unit)),
                    descriptor_chunks: None,
                    error: Some(RunError {
                        reason: Reason::CompilationFailed,
                        message: unit.repeat(length),
                    }),
                };
                let text = report.to_termination_message();
                assert!(
                    text.len() <= TERMINATION_MESSAGE_LIMIT,
                    "{length} times {unit:?}: {}",
                    text.len()
                );
                let back = Report::from_termination_message(&text).unwrap();
                assert_eq!(back.error.unwrap().reason, Reason::CompilationFailed);
                assert_eq!(back.comparison.unwrap().breaking_changes, 40, "the count is true");
            }
        }
    }
}
