//! A run from one end to the other: the steps in their order, and nothing else.

mod compare;
mod publish;

use crate::compile::{Compiled, Input, compile};
use crate::deliver::{Delivered, Delivery, deliver, rehearse};
use crate::failure::Failure;
use crate::gate::{Acceptance, Against, Compared, Gate};
use crate::output::{ObservedOutput, Plan};
use crate::plugin::{Generator, Registry, Workshop, run_all, versions};
use crate::request::{Request, RequestError};
use crate::select::{Selection, select};
use crate::source::{Fetched, SourceFiles, fetch, read_directory, resolve_commit};
use crate::stop::Stop;
use heddle_crds::idl_repo::Comparison;
use heddle_git_remote::{AddressPolicy, Cancellation, CommitId, Credentials, Limits, Remote, RemoteUrl};
use heddle_telemetry::TraceParent;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// How long a push in flight may still take after the run's own time is over.
const PUSH_ALLOWANCE: Duration = Duration::from_secs(30);

/// Everything that a run is given besides the request.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The folder of the source's Secret.
    pub source_secret: Option<PathBuf>,
    /// The folder of the output's Secret.
    pub output_secret: Option<PathBuf>,
    /// A folder of this run's own to write to.
    pub work_folder: PathBuf,
    /// Where plugins are.
    pub registry: Registry,
    /// What children run by.
    pub workshop: Workshop,
    /// Which addresses may be connected to.
    pub policy: AddressPolicy,
    /// What to compare with, if with anything.
    pub against: Option<Against>,
    /// By what to compare.
    pub gate: Gate,
    /// Who can let through what the gate refuses.
    pub acceptance: Acceptance,
    /// The folder with credentials for the API, where the descriptor set is to be published.
    pub api_folder: Option<PathBuf>,
}

/// Where the IDL of a run comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The source repository, at this commit or at what `source.ref` means now.
    Repository(Option<CommitId>),
    /// A directory on this machine.
    Directory(PathBuf),
}

/// A run in progress.
pub struct Run {
    request: Arc<Request>,
    surroundings: Surroundings,
    cancellation: Cancellation,
    stop: Stop,
}

/// How far a run has come: what is to be told of it, also when it fails later.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The source commit, once it is known.
    pub commit: Option<CommitId>,
    /// What was found when it was compared with the one before.
    pub comparison: Option<Comparison>,
    /// What is in the output repository.
    pub delivered: Option<Delivered>,
    /// How many chunks its descriptor set has.
    pub descriptor_chunks: Option<u32>,
}

/// What would be delivered.
pub struct Rehearsal {
    /// What it would break, if that was asked for.
    pub compared: Option<Compared>,
    /// The changes.
    pub plan: Plan,
    /// What they were made from.
    pub observed: ObservedOutput,
}

impl Run {
    /// A run of `request`.
    pub fn new(request: Request, surroundings: Surroundings, stop: Stop) -> Self {
        Self {
            request: Arc::new(request),
            surroundings,
            cancellation: Cancellation::default(),
            stop,
        }
    }

    /// The commit to generate from: `wanted`, or what the source's reference means now.
    ///
    /// # Errors
    /// When the source does not answer or has no such reference.
    pub async fn resolve(&self, wanted: Option<CommitId>) -> Result<CommitId, Failure> {
        if let Some(commit) = wanted {
            return Ok(commit);
        }
        let (remote, selector) = (self.source()?, self.request.source.selector.clone());
        let work = move || resolve_commit(&remote, &selector);
        let commit = self.stop.guard_blocking(&self.cancellation, work).await?;
        commit.map_err(|source| self.source_failure(source))
    }

    /// Generates from `commit` of the source and delivers the result. `pushed` is called as soon as the code is in the
    /// output: a process that is killed after that must have told of it.
    ///
    /// # Errors
    /// Whatever a step failed with.
    pub async fn deliver(
        &self,
        commit: CommitId,
        progress: &mut Progress,
        pushed: &(dyn Fn(&Progress) + Sync),
    ) -> Result<Delivered, Failure> {
        progress.commit = Some(commit);
        let generators = self.generators()?;
        let remote = self.output()?;
        let source = self.fetch(commit).await?;
        let compiled = self.select_and_compile(&source.files).await?;
        let compared = self.compare(&compiled, &source).await?;
        progress.comparison = compared.as_ref().map(Compared::to_comparison);
        if let Some(compared) = compared.as_ref().filter(|compared| compared.is_refused()) {
            return Err(self.refusal(compared, commit));
        }
        let delivery = self
            .generate(&generators, &compiled, source, remote, compared.as_ref())
            .await?;
        let delivered = deliver(&delivery, &self.stop)
            .instrument(tracing::info_span!("deliver"))
            .await?;
        progress.delivered = Some(delivered.clone());
        pushed(progress);
        self.publish(&compiled, commit, progress).await?;
        let Delivered {
            committed, counts, ..
        } = &delivered;
        let (written, pruned, unchanged) = (counts.written, counts.pruned, counts.unchanged);
        tracing::info!(committed, written, pruned, unchanged, "the run succeeded");
        Ok(delivered)
    }

    /// Generates and compares the result with the output branch, which stays as it is.
    ///
    /// # Errors
    /// Whatever a step failed with.
    pub async fn rehearse(&self, origin: &Origin) -> Result<Rehearsal, Failure> {
        let generators = self.generators()?;
        let remote = self.output()?;
        let source = self.read(origin).await?;
        let compiled = self.select_and_compile(&source.files).await?;
        let compared = self.compare_with_origin(origin, &compiled, &source).await?;
        let delivery = self
            .generate(&generators, &compiled, source, remote, compared.as_ref())
            .await?;
        let (plan, observed) = rehearse(&delivery, &self.stop)
            .instrument(tracing::info_span!("compare"))
            .await?;
        Ok(Rehearsal {
            compared,
            plan,
            observed,
        })
    }

    /// Compiles only, and compares if that is asked for.
    ///
    /// # Errors
    /// Whatever a step failed with.
    pub async fn check(&self, origin: &Origin) -> Result<(Compiled, Option<Compared>), Failure> {
        let source = self.read(origin).await?;
        let compiled = self.select_and_compile(&source.files).await?;
        let compared = self.compare_with_origin(origin, &compiled, &source).await?;
        Ok((compiled, compared))
    }

    async fn read(&self, origin: &Origin) -> Result<Fetched, Failure> {
        match origin {
            Origin::Repository(wanted) => self.fetch(self.resolve(*wanted).await?).await,
            Origin::Directory(folder) => self.read_directory(folder),
        }
    }

    async fn select_and_compile(&self, files: &SourceFiles) -> Result<Compiled, Failure> {
        self.compile(files.clone(), self.select(files)?).await
    }

    async fn generate(
        &self,
        generators: &[Generator],
        compiled: &Compiled,
        source: Fetched,
        remote: Remote,
        compared: Option<&Compared>,
    ) -> Result<Delivery, Failure> {
        let workshop = &self.surroundings.workshop;
        let generated = run_all(generators, compiled, workshop, &self.stop).await?;
        let plugins = versions(generators, workshop, &self.stop).await?;
        Ok(Delivery {
            request: self.request.clone(),
            remote,
            cancellation: self.cancellation.clone(),
            folder: self.surroundings.work_folder.join("output.git"),
            source: Arc::new(source),
            generated: Arc::new(generated),
            plugins: Arc::new(plugins),
            breaking: compared.and_then(Compared::trailer),
        })
    }

    fn generators(&self) -> Result<Vec<Generator>, Failure> {
        let find = |wanted: &crate::request::GeneratorRequest| {
            let plugin = self.surroundings.registry.find(&wanted.name, &wanted.plugin)?;
            let (name, parameter, path) =
                (wanted.name.clone(), wanted.parameter.clone(), wanted.path.clone());
            Ok(Generator {
                name,
                plugin,
                parameter,
                path,
            })
        };
        let generators: Result<Vec<_>, RequestError> = self.request.generators.iter().map(find).collect();
        Ok(generators?)
    }

    async fn fetch(&self, commit: CommitId) -> Result<Fetched, Failure> {
        let span = tracing::info_span!("fetch", url = %self.request.source.url, %commit);
        async {
            let (remote, selector) = (self.source()?, self.request.source.selector.clone());
            let folder = self.surroundings.work_folder.join(format!("source-{commit}.git"));
            let work = move || fetch(&remote, &selector, commit, &folder, &mut |_| {});
            let fetched = self.stop.guard_blocking(&self.cancellation, work).await?;
            let fetched = fetched.map_err(|source| self.source_failure(source))?;
            tracing::info!(files = fetched.files.paths().count(), "fetched the source");
            Ok(fetched)
        }
        .instrument(span)
        .await
    }

    /// There is no commit in a directory; what the message would say of it is never committed.
    fn read_directory(&self, folder: &Path) -> Result<Fetched, Failure> {
        let nowhere = "0"
            .repeat(40)
            .parse()
            .map_err(|_| crate::stop::Stopped::BrokeOff)?;
        Ok(Fetched {
            commit: nowhere,
            subject: String::new(),
            files: read_directory(folder)?,
        })
    }

    fn select(&self, files: &SourceFiles) -> Result<Selection, Failure> {
        let source = &self.request.source;
        let selection = select(files, &source.patterns, &source.roots)?;
        if selection.outside_roots > 0 {
            tracing::info!(
                files = selection.outside_roots,
                "left out files that are below none of the import roots"
            );
        }
        Ok(selection)
    }

    async fn compile(&self, files: SourceFiles, selection: Selection) -> Result<Compiled, Failure> {
        let input = Input {
            sources: files,
            roots: self.request.source.roots.clone(),
            selection,
        };
        let count = input.selection.files.len();
        let span = tracing::info_span!("compile", files = count);
        let compiled = self
            .stop
            .guard_blocking(&self.cancellation, move || compile(&input))
            .instrument(span)
            .await??;
        tracing::info!(
            files = count,
            with_imports = compiled.pool.files().len(),
            "compiled"
        );
        Ok(compiled)
    }

    fn source(&self) -> Result<Remote, Failure> {
        self.remote(
            "source",
            &self.request.source.url,
            self.surroundings.source_secret.as_deref(),
            self.stop.deadline,
        )
    }

    fn output(&self) -> Result<Remote, Failure> {
        // Its operations before the push end with the run's time all the same, by cancellation.
        let deadline = self.stop.deadline + PUSH_ALLOWANCE;
        self.remote(
            "output",
            &self.request.output.url,
            self.surroundings.output_secret.as_deref(),
            deadline,
        )
    }

    fn remote(
        &self,
        which: &'static str,
        url: &RemoteUrl,
        secret: Option<&Path>,
        deadline: Instant,
    ) -> Result<Remote, Failure> {
        let fail = |source| Failure::Credentials { which, source };
        let credentials = secret
            .map_or(Ok(Credentials::default()), Credentials::from_directory)
            .map_err(fail)?
            .from_origin(format!("the Secret that {which}.secretRef names"));
        let limits = Limits {
            total_timeout: deadline.saturating_duration_since(Instant::now()),
            ..Limits::default()
        };
        let remote = Remote::new(url.clone())
            .with_credentials(credentials)
            .with_address_policy(self.surroundings.policy.clone())
            .with_limits(limits)
            // A push may start much later than this.
            .with_deadline(deadline.into_std())
            .with_cancellation(self.cancellation.clone())
            // The Job may write nowhere else.
            .with_spool_directory(&self.surroundings.work_folder)
            .with_trace_parent(TraceParent::current().map(|parent| parent.to_string()));
        remote.check().map_err(fail)?;
        Ok(remote)
    }

    fn source_failure(&self, source: heddle_git_remote::GitError) -> Failure {
        Failure::Source {
            url: self.request.source.url.to_string(),
            source,
        }
    }
}
