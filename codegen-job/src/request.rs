//! An IdlRepo file, parsed into types that cannot be wrong.

use crate::plugin::RegistryError;
use crate::repo_path::{RepoPath, RepoPathError};
use crate::select::{Patterns, SelectError};
use heddle_crds::idl_repo::template::{Template, TemplateError};
use heddle_crds::idl_repo::{Compatibility, Generator, IdlRepo, Output, Reason, Reference, Source};
use heddle_git_remote::{GitError, ParseCommitIdError, RemoteUrl, Selector, Signature};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most bytes of a file; the API server takes no larger object.
const FILE_BYTES: u64 = 2 * 1024 * 1024;
/// What an object without a namespace is in.
const DEFAULT_NAMESPACE: &str = "default";

/// What to do, from one IdlRepo.
#[derive(Clone, Debug)]
pub struct Request {
    /// The IdlRepo's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where the IDL is.
    pub source: SourceRequest,
    /// What to run over it, in order.
    pub generators: Vec<GeneratorRequest>,
    /// Where the result goes.
    pub output: OutputRequest,
    /// What counts as a breaking change, and what becomes of one, if anything does.
    pub compatibility: Option<Compatibility>,
    /// How long the run may take.
    pub timeout: Duration,
}

/// The IDL of a request.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// The repository.
    pub url: RemoteUrl,
    /// What to follow in it.
    pub selector: Selector,
    /// Which files count.
    pub patterns: Patterns,
    /// Where imports are looked up; at least one.
    pub roots: Vec<RepoPath>,
}

/// One generator of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GeneratorRequest {
    /// Its name.
    pub name: String,
    /// Its plugin's name.
    pub plugin: String,
    /// Its options, joined by commas.
    pub parameter: String,
    /// The directory below the output's.
    pub path: RepoPath,
}

/// The result of a request.
#[derive(Clone, Debug)]
pub struct OutputRequest {
    /// The repository.
    pub url: RemoteUrl,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The directory below which everything goes.
    pub path: RepoPath,
    /// Who the commits are by.
    pub author: Signature,
    /// The commits' message.
    pub template: Template,
}

/// Why a request cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("failed to find an IdlRepo of {}/{} in {}", heddle_crds::GROUP, heddle_crds::VERSION, path.display())]
    FindObject {
        /// The file.
        path: PathBuf,
    },
    /// The object is not one of the schema.
    #[error("failed to parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_yaml_ng::Error,
    },
    /// A field's value cannot work.
    #[error("failed to read {field}")]
    ReadField {
        /// The field, from `spec`.
        field: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A rule of the schema is broken.
    #[error("failed to read {field}: {rule}")]
    BreakRule {
        /// The field, from `spec`.
        field: &'static str,
        /// The rule.
        rule: String,
    },
    /// A plugin does not exist.
    #[error(transparent)]
    FindPlugin(#[from] RegistryError),
}

impl RequestError {
    /// The reason for the status.
    pub fn reason(&self) -> Reason {
        match self {
            Self::FindPlugin(error) => error.reason(),
            _ => Reason::InvalidSpec,
        }
    }
}

impl Request {
    /// Reads the first IdlRepo of a YAML file.
    ///
    /// # Errors
    /// When there is none, or it cannot be worked on.
    pub fn read(path: &Path) -> Result<Self, RequestError> {
        let fail = |source| RequestError::ReadFile {
            path: path.to_owned(),
            source,
        };
        let size = path.metadata().map_err(fail)?.len();
        if size > FILE_BYTES {
            return Err(fail(std::io::Error::other(format!(
                "it is larger than {FILE_BYTES} bytes"
            ))));
        }
        let text = std::fs::read_to_string(path).map_err(fail)?;
        Self::validate(&find(path, &text)?)
    }

    /// Parses the parts of an IdlRepo that a run works by.
    ///
    /// # Errors
    /// The first field that cannot work.
    pub fn validate(idl_repo: &IdlRepo) -> Result<Self, RequestError> {
        let spec = &idl_repo.spec;
        let name = idl_repo.metadata.name.clone().unwrap_or_default();
        let namespace = idl_repo
            .metadata
            .namespace
            .clone()
            .unwrap_or_else(|| DEFAULT_NAMESPACE.into());
        for (field, text) in [("metadata.name", &name), ("metadata.namespace", &namespace)] {
            check_object_name(field, text)?;
        }
        Ok(Self {
            namespace,
            name,
            source: source(&spec.source)?,
            generators: generators(&spec.generate)?,
            output: output(&spec.output)?,
            compatibility: spec.compatibility.clone(),
            timeout: spec.timeout.into(),
        })
    }
}

fn find(path: &Path, text: &str) -> Result<IdlRepo, RequestError> {
    let parse = |source| RequestError::Parse {
        path: path.to_owned(),
        source,
    };
    let documents = || serde_yaml_ng::Deserializer::from_str(text);
    for (index, document) in documents().enumerate() {
        let value = serde_yaml_ng::Value::deserialize(document).map_err(parse)?;
        let is =
            |field: &str, expected: &str| value.get(field).and_then(|text| text.as_str()) == Some(expected);
        if is("kind", "IdlRepo")
            && is(
                "apiVersion",
                &format!("{}/{}", heddle_crds::GROUP, heddle_crds::VERSION),
            )
        {
            // Read again from the text, so that errors have a line.
            let document = documents().nth(index).ok_or_else(|| missing(path))?;
            return IdlRepo::deserialize(document).map_err(parse);
        }
    }
    Err(missing(path))
}

fn missing(path: &Path) -> RequestError {
    RequestError::FindObject {
        path: path.to_owned(),
    }
}

/// Names become parts of paths and messages.
fn check_object_name(field: &'static str, text: &str) -> Result<(), RequestError> {
    let is_plain = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "-.".contains(character)
    };
    if !text.is_empty() && text.len() <= 253 && text.chars().all(is_plain) && !text.starts_with(['.', '-']) {
        return Ok(());
    }
    let rule = "lower-case letters, digits, '-' and '.', as Kubernetes wants names".into();
    Err(RequestError::BreakRule { field, rule })
}

fn field<T, E>(field: &'static str, result: Result<T, E>) -> Result<T, RequestError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map_err(|source| RequestError::ReadField {
        field,
        source: Box::new(source),
    })
}

fn source(source: &Source) -> Result<SourceRequest, RequestError> {
    let roots: Result<Vec<RepoPath>, RepoPathError> = source
        .import_roots
        .iter()
        .map(|root| RepoPath::parse(root))
        .collect();
    let mut roots = field("spec.source.importRoots", roots)?;
    if roots.is_empty() {
        roots.push(RepoPath::default());
    }
    let patterns: Result<_, SelectError> = Patterns::parse(&source.include, &source.exclude);
    Ok(SourceRequest {
        url: field::<_, GitError>("spec.source.url", source.url.parse())?,
        selector: source
            .reference
            .as_ref()
            .map_or(Ok(Selector::Default), selector)?,
        patterns: field("spec.source.include and exclude", patterns)?,
        roots,
    })
}

fn selector(reference: &Reference) -> Result<Selector, RequestError> {
    match reference {
        Reference {
            branch: Some(name),
            tag: None,
            semver: None,
            commit: None,
        } => Ok(Selector::Branch(name.clone())),
        Reference {
            branch: None,
            tag: Some(name),
            semver: None,
            commit: None,
        } => Ok(Selector::Tag(name.clone())),
        Reference {
            branch: None,
            tag: None,
            semver: Some(range),
            commit: None,
        } => field("spec.source.ref.semver", semver::VersionReq::parse(range)).map(Selector::Semver),
        Reference {
            branch: None,
            tag: None,
            semver: None,
            commit: Some(id),
        } => field::<_, ParseCommitIdError>("spec.source.ref.commit", id.parse()).map(Selector::Commit),
        _ => Err(RequestError::BreakRule {
            field: "spec.source.ref",
            rule: "set exactly one of branch, tag, semver and commit".into(),
        }),
    }
}

fn generators(generators: &[Generator]) -> Result<Vec<GeneratorRequest>, RequestError> {
    const FIELD: &str = "spec.generate";
    if generators.is_empty() {
        return Err(RequestError::BreakRule {
            field: FIELD,
            rule: "at least one generator is needed".into(),
        });
    }
    let mut names = BTreeSet::new();
    let read = |generator: &Generator| {
        if !names.insert(generator.name.clone()) {
            let rule = format!("two generators are called {:?}", generator.name);
            return Err(RequestError::BreakRule { field: FIELD, rule });
        }
        Ok(GeneratorRequest {
            name: generator.name.clone(),
            plugin: generator.plugin.clone(),
            parameter: generator.options.join(","),
            path: field("spec.generate[].path", RepoPath::parse(&generator.path))?,
        })
    };
    generators.iter().map(read).collect()
}

fn output(output: &Output) -> Result<OutputRequest, RequestError> {
    Ok(OutputRequest {
        url: field::<_, GitError>("spec.output.url", output.url.parse())?,
        branch: output.branch.clone(),
        path: field("spec.output.path", RepoPath::parse(&output.path))?,
        author: Signature {
            name: output.author.name.clone(),
            email: output.author.email.clone(),
        },
        template: field::<_, TemplateError>("spec.output.messageTemplate", output.message_template.parse())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: v1
kind: Secret
---
apiVersion: heddle.dev/v1alpha1
kind: IdlRepo
metadata:
  name: shop
spec:
  source:
    url: https://git.example/idl.git
  generate:
  - name: rust
    plugin: prost
    options: [\"flat_output_dir\", \"btree_map=.\"]
    path: rust/
  output:
    url: https://git.example/code.git
";

    fn read(text: &str) -> Result<Request, RequestError> {
        Request::validate(&find(Path::new("repo.yaml"), text)?)
    }

    #[test]
    fn defaults_fill_what_is_left_out() {
        let request = read(GOOD).unwrap();
        assert_eq!(
            (request.namespace.as_str(), request.name.as_str()),
            ("default", "shop")
        );
        assert_eq!(request.source.selector, Selector::Default);
        assert_eq!(request.source.roots, [RepoPath::default()]);
        assert_eq!(request.generators[0].parameter, "flat_output_dir,btree_map=.");
        assert_eq!(request.generators[0].path.as_str(), "rust");
        assert_eq!(request.output.branch, "main");
        assert_eq!(request.timeout, Duration::from_secs(600));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(GOOD.contains(from), "{from}");
            let error = read(&GOOD.replace(from, to)).unwrap_err();
            let message = heddle_telemetry::ErrorChain(&error).to_string();
            assert!(message.contains(expected), "{to}: {message}");
        };
        check(
            "kind: IdlRepo",
            "kind: Other",
            "failed to find an IdlRepo of heddle.dev/v1alpha1 in repo.yaml",
        );
        check("plugin: prost", "plugn: prost", "unknown field `plugn`");
        check("plugin: prost", "plugn: prost", "at line 14");
        check(
            "https://git.example/idl.git",
            "http://git.example/idl.git",
            "spec.source.url",
        );
        check(
            "path: rust/",
            "path: ../rust",
            "spec.generate[].path: the path \"../rust\" leads out",
        );
        check(
            "  output:\n",
            "  output:\n    messageTemplate: ${x}\n",
            "spec.output.messageTemplate: failed to read the template: there is no variable ${x}",
        );
        check(
            "  source:\n",
            "  source:\n    ref: {branch: a, tag: b}\n",
            "spec.source.ref: set exactly one",
        );
        check(
            "  source:\n",
            "  source:\n    ref: {semver: \">>1\"}\n",
            "spec.source.ref.semver",
        );
        check(
            "  source:\n",
            "  source:\n    include: [\"a{\"]\n",
            "pattern \"a{\"",
        );
        check("name: shop", "name: ../shop", "metadata.name: lower-case letters");
        check(
            "  - name: rust",
            "  - {name: rust, plugin: go}\n  - name: rust",
            "two generators are called \"rust\"",
        );
    }
}
