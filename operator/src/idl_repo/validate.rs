//! Parses a specification into types that cannot be wrong, and says everything that is wrong with one that can.
//!
//! The schema refuses most of it at admission. What is left is what CEL cannot say, and objects from before a rule.

mod reference_name;
#[cfg(test)]
mod tests;

use globset::GlobBuilder;
use heddle_crds::codegen;
use heddle_crds::idl_repo::template::validate_template;
use heddle_crds::idl_repo::{IdlRepo, IdlRepoSpec, JobSettings, Reference, SecretReference};
use heddle_git_remote::{RemoteUrl, Selector};
use semver::VersionReq;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 60 * 60);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(6 * 60 * 60);

/// The most bytes of a specification: it travels to the Job in an annotation, and all annotations of an object
/// together may have 256 KiB.
const REQUEST_LIMIT: usize = 200 * 1024;

/// A specification that can be worked with.
#[derive(Clone, Debug)]
pub(crate) struct ValidatedSpec {
    pub(crate) source: ValidatedSource,
    pub(crate) output: ValidatedOutput,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) suspended: bool,
    /// Whether commits are compared with the one delivered before.
    pub(crate) has_gate: bool,
    /// Whether the descriptor set is published.
    pub(crate) publish: bool,
    /// See [`IdlRepoSpec::digest`].
    pub(crate) digest: String,
    /// What the Job reads, as JSON.
    pub(crate) request: String,
    pub(crate) job: JobSettings,
}

/// Where the IDL comes from.
#[derive(Clone, Debug)]
pub(crate) struct ValidatedSource {
    pub(crate) url: RemoteUrl,
    pub(crate) selector: Selector,
    /// The name of the Secret.
    pub(crate) secret: Option<String>,
}

/// Where the code goes.
#[derive(Clone, Debug)]
pub(crate) struct ValidatedOutput {
    pub(crate) url: RemoteUrl,
    pub(crate) branch: String,
    /// The name of the Secret.
    pub(crate) secret: Option<String>,
}

/// Everything that is wrong with a specification.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", Sentences(.0))]
pub(crate) struct InvalidSpec(pub(crate) Vec<Violation>);

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    field: String,
    text: String,
}

/// Reads the specification of an IdlRepo.
pub(crate) fn validate(idl_repo: &IdlRepo) -> Result<ValidatedSpec, InvalidSpec> {
    let spec = &idl_repo.spec;
    let mut violations = Violations::default();
    let source_url = violations.take("source.url", spec.source.url.parse::<RemoteUrl>());
    let output_url = violations.take("output.url", spec.output.url.parse::<RemoteUrl>());
    let selector = selector(spec.source.reference.as_ref(), &mut violations);
    violations.take("output.branch", reference_name::check(&spec.output.branch));
    violations.take(
        "output.messageTemplate",
        validate_template(&spec.output.message_template),
    );
    check_globs(spec, &mut violations);
    check_generators(spec, &mut violations);
    let interval = violations.duration("interval", spec.interval, &INTERVALS);
    let timeout = violations.duration("timeout", spec.timeout, &TIMEOUTS);
    let request = request(idl_repo, &mut violations);
    match (source_url, output_url, selector) {
        (Some(source_url), Some(output_url), Some(selector)) if violations.0.is_empty() => {
            Ok(ValidatedSpec {
                source: ValidatedSource {
                    url: source_url,
                    selector,
                    secret: name(spec.source.secret_ref.as_ref()),
                },
                output: ValidatedOutput {
                    url: output_url,
                    branch: spec.output.branch.clone(),
                    secret: name(spec.output.secret_ref.as_ref()),
                },
                interval,
                timeout,
                suspended: spec.suspend,
                has_gate: spec.compatibility.is_some(),
                publish: spec.publish.enabled,
                digest: spec.digest(),
                request,
                job: spec.job.clone(),
            })
        }
        _ => Err(InvalidSpec(violations.0)),
    }
}

fn name(reference: Option<&SecretReference>) -> Option<String> {
    reference.map(|reference| reference.name.clone())
}

fn selector(reference: Option<&Reference>, violations: &mut Violations) -> Option<Selector> {
    let Some(reference) = reference else {
        return Some(Selector::Default);
    };
    match reference {
        Reference {
            branch: Some(branch),
            tag: None,
            semver: None,
            commit: None,
        } => {
            violations.take("source.ref.branch", reference_name::check(branch))?;
            Some(Selector::Branch(branch.clone()))
        }
        Reference {
            branch: None,
            tag: Some(tag),
            semver: None,
            commit: None,
        } => {
            violations.take("source.ref.tag", reference_name::check(tag))?;
            Some(Selector::Tag(tag.clone()))
        }
        Reference {
            branch: None,
            tag: None,
            semver: Some(range),
            commit: None,
        } => {
            let range = violations.take("source.ref.semver", VersionReq::parse(range))?;
            Some(Selector::Semver(range))
        }
        Reference {
            branch: None,
            tag: None,
            semver: None,
            commit: Some(commit),
        } => violations
            .take("source.ref.commit", commit.parse())
            .map(Selector::Commit),
        _ => {
            violations.add("source.ref", "set exactly one of branch, tag, semver and commit");
            None
        }
    }
}

fn check_globs(spec: &IdlRepoSpec, violations: &mut Violations) {
    let lists = [
        ("source.include", &spec.source.include),
        ("source.exclude", &spec.source.exclude),
    ];
    for (field, patterns) in lists {
        for (index, pattern) in patterns.iter().enumerate() {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            violations.take(&format!("{field}[{index}]"), glob);
        }
    }
}

fn check_generators(spec: &IdlRepoSpec, violations: &mut Violations) {
    if spec.generate.is_empty() {
        violations.add("generate", "at least one generator is needed");
    }
    for (index, generator) in spec.generate.iter().enumerate() {
        if spec.generate[..index]
            .iter()
            .any(|earlier| earlier.name == generator.name)
        {
            violations.add(
                &format!("generate[{index}].name"),
                &format!("{:?} is there already", generator.name),
            );
        }
    }
}

fn request(idl_repo: &IdlRepo, violations: &mut Violations) -> String {
    let request = codegen::request(idl_repo).to_string();
    if request.len() > REQUEST_LIMIT {
        let text = format!(
            "{} bytes as JSON, more than the {REQUEST_LIMIT} that fit a Job",
            request.len()
        );
        violations.add("spec", &text);
    }
    request
}

/// Collects what is wrong, so that people see all of it at once.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, field: &str, text: &str) {
        self.0.push(Violation {
            field: field.to_owned(),
            text: text.to_owned(),
        });
    }

    fn take<T, E: fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, &error.to_string())).ok()
    }

    fn duration(
        &mut self,
        field: &str,
        duration: kube::core::Duration,
        range: &RangeInclusive<Duration>,
    ) -> Duration {
        let positive = Duration::from(duration);
        if duration.is_negative() || !range.contains(&positive) {
            let (low, high) = (range.start().as_secs(), range.end().as_secs());
            self.add(
                field,
                &format!("between {low} and {high} seconds, not {duration:?}"),
            );
        }
        positive
    }
}

struct Sentences<'a>(&'a [Violation]);

impl fmt::Display for Sentences<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Violation { field, text }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{field}: {text}")?;
        }
        Ok(())
    }
}
