//! The gate's step of a run: gets what to compare with, compares, and says what follows.

use super::{Origin, Run};
use crate::compile::{Compiled, Input, compile};
use crate::failure::Failure;
use crate::gate::{Acceptance, Against, Baseline, Compared, Gate, GateError, LOGGED_LIMIT, Remedy, compare};
use crate::source::{Fetched, SourceFiles, resolve_commit};
use heddle_crds::idl_repo::{Policy, Reason};
use heddle_git_remote::{CommitId, Selector};
use heddle_telemetry::ErrorChain;
use tracing::Instrument;

impl Run {
    /// What `compiled` breaks of what the run is to be compared with. `None` if it is not to be compared.
    pub(super) async fn compare(
        &self,
        compiled: &Compiled,
        source: &Fetched,
    ) -> Result<Option<Compared>, Failure> {
        self.compare_with_origin(&Origin::Repository(None), compiled, source)
            .await
    }

    /// The same where the IDL may come from a checkout, in which names of what to compare with are looked up then.
    pub(super) async fn compare_with_origin(
        &self,
        origin: &Origin,
        compiled: &Compiled,
        source: &Fetched,
    ) -> Result<Option<Compared>, Failure> {
        let Some(against) = &self.surroundings.against else {
            return Ok(None);
        };
        let gate = self.surroundings.gate;
        let span = tracing::info_span!("compare", against = against.name());
        let compared = self
            .compare_by(origin, compiled, source, against, gate)
            .instrument(span)
            .await?;
        tell(&compared);
        Ok(Some(compared))
    }

    /// Why a commit goes no further.
    pub(super) fn refusal(&self, compared: &Compared, commit: CommitId) -> Failure {
        GateError::Break {
            subject: commit.to_string(),
            remedy: self.remedy(commit),
            compared: Box::new(compared.clone()),
        }
        .into()
    }

    async fn compare_by(
        &self,
        origin: &Origin,
        compiled: &Compiled,
        source: &Fetched,
        against: &Against,
        gate: Gate,
    ) -> Result<Compared, Failure> {
        let baseline = match self.baseline(origin, against).await {
            Ok(baseline) => baseline,
            Err(failure) if is_unavailable(&failure) => {
                return self.without_baseline(against, gate, failure, source.commit);
            }
            Err(failure) => return Err(failure),
        };
        let (compiled, files) = (compiled.clone(), source.files.clone());
        let roots = self.request.source.roots.clone();
        let work = move || compare(&compiled, &files, &roots, &baseline, gate);
        Ok(self.stop.guard_blocking(&self.cancellation, work).await??)
    }

    /// The version to compare with, compiled by the specification of today.
    async fn baseline(&self, origin: &Origin, against: &Against) -> Result<Baseline, Failure> {
        if let Some(set) = against.read_file()? {
            let name = against.name();
            return Ok(Baseline { name, set });
        }
        let (commit, files) = match origin {
            Origin::Directory(folder) => against.read_checkout(folder)?,
            Origin::Repository(_) => {
                let commit = self.resolve_against(against).await?;
                (commit, self.fetch(commit).await?.files)
            }
        };
        let set = self.compile_baseline(files).await?;
        Ok(Baseline {
            name: commit.to_string(),
            set,
        })
    }

    async fn compile_baseline(&self, files: SourceFiles) -> Result<Vec<u8>, Failure> {
        let input = Input {
            selection: self.select(&files)?,
            sources: files,
            roots: self.request.source.roots.clone(),
        };
        let work = move || compile(&input).map(|compiled| compiled.descriptor_set());
        Ok(self.stop.guard_blocking(&self.cancellation, work).await??)
    }

    /// A branch, or else a tag, of this name.
    async fn resolve_against(&self, against: &Against) -> Result<CommitId, Failure> {
        let name = match against {
            Against::Commit(commit) => return Ok(*commit),
            Against::Named(name) => name.clone(),
        };
        let remote = self.source()?;
        let work = move || {
            let branch = resolve_commit(&remote, &Selector::Branch(name.clone()));
            branch.or_else(|error| resolve_commit(&remote, &Selector::Tag(name)).map_err(|_| error))
        };
        let commit = self.stop.guard_blocking(&self.cancellation, work).await?;
        commit.map_err(|source| self.source_failure(source))
    }

    /// What follows when there is nothing to compare with: a gate that a rewritten history opens would be none.
    fn without_baseline(
        &self,
        against: &Against,
        gate: Gate,
        failure: Failure,
        commit: CommitId,
    ) -> Result<Compared, Failure> {
        if gate.policy == Policy::Refuse && !gate.accepts {
            return Err(GateError::Baseline {
                against: against.name(),
                remedy: self.remedy(commit),
                source: Box::new(failure),
            }
            .into());
        }
        let problem = ErrorChain(&failure).to_string();
        Ok(Compared::impossible(against.name(), gate, problem))
    }

    fn remedy(&self, commit: CommitId) -> Remedy {
        match self.surroundings.acceptance {
            Acceptance::Annotation => Remedy::Annotate {
                namespace: self.request.namespace.clone(),
                name: self.request.name.clone(),
                commit: commit.to_string(),
            },
            Acceptance::Option => Remedy::Repeat,
            Acceptance::Nobody => Remedy::CompareOtherwise,
        }
    }
}

/// Whether it is the version to compare with that is at fault, and not the way to it.
fn is_unavailable(failure: &Failure) -> bool {
    match failure {
        Failure::Select(_) | Failure::Compile(_) => true,
        failure => failure.reason() == Reason::RefNotFound,
    }
}

/// All findings, for who reads the log; the status has but the first.
fn tell(compared: &Compared) {
    let broken = compared.broken();
    for one in broken.iter().take(LOGGED_LIMIT) {
        let place = one.diagnostic.place.as_ref().map(tracing::field::display);
        tracing::warn!(place, rule = one.rule, detail = one.message, "breaking change");
    }
    match &compared.result {
        Ok(_) => tracing::info!(breaking_changes = broken.len(), "compared"),
        Err(problem) => tracing::warn!(error = problem, "nothing was compared"),
    }
}
