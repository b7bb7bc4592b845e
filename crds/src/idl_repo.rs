//! `IdlRepo`: a Git repository of protobuf IDL, and the repository that code generated from it is delivered to.
#![expect(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each type inside a function"
)]

mod compatibility;
mod reason;
mod status;
pub mod template;

use crate::schema::duration_schema;
use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

pub use crate::reason::Retry;
pub use crate::reference::SecretReference;
pub use compatibility::{Compatibility, Level, Policy, Publish};
pub use reason::{ConditionType, Reason};
pub use status::{
    AcceptedBreaking, Comparison, FINDINGS_LIMIT, FileCounts, Finding, IdlRepoStatus, LastRun, Published,
    RunError,
};

/// Where the IDL is, what to generate from it, and where the result goes.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "heddle.dev",
    version = "v1alpha1",
    kind = "IdlRepo",
    namespaced,
    status = "IdlRepoStatus",
    category = "heddle",
    shortname = "idl",
    derive = "PartialEq",
    doc = "A Git repository of protobuf IDL. On each new commit Heddle compiles it, generates code, and delivers the code as a commit to the output repository.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.observedRevision",
        description = "The newest source commit seen"
    ),
    printcolumn(
        name = "Generated",
        type_ = "string",
        json_path = ".status.generatedRevision",
        description = "The source commit that the delivered code was generated from"
    ),
    printcolumn(
        name = "Last run",
        type_ = "date",
        json_path = ".status.lastRun.startedAt",
        description = "How long ago the last Job started"
    ),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 200")
        .message("metadata.name: at most 200 characters, so that names of Jobs can be derived from it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdlRepoSpec {
    /// The repository of `.proto` files.
    pub source: Source,
    /// How often the source is asked for new commits, such as `5m`: from 10 seconds to 24 hours. A tenth of it is
    /// added or taken away at random, so that many repositories do not ask at once.
    #[serde(default = "default_interval")]
    #[schemars(schema_with = "duration_schema", default = "default_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message("interval: between 10s and 24h"))]
    pub interval: Duration,
    /// How long one run may take, from its Job's start to the pushed commit, such as `10m`: from 10 seconds to 6 hours.
    #[serde(default = "default_timeout")]
    #[schemars(schema_with = "duration_schema", default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('6h')").message("timeout: between 10s and 6h"))]
    pub timeout: Duration,
    /// Stops asking the source and starting runs while true. A run in progress goes on.
    #[serde(default)]
    pub suspend: bool,
    /// The generators to run, each over the whole set of files, in this order.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub generate: Vec<Generator>,
    /// The repository that receives the generated code.
    pub output: Output,
    /// Compares each commit with the one that was delivered last, before anything is generated from it. Nothing is
    /// compared, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
    /// Whether programs in the cluster find the descriptor set of what was delivered.
    #[serde(default)]
    pub publish: Publish,
    /// Settings of the Job's pod.
    #[serde(default, skip_serializing_if = "JobSettings::is_default")]
    pub job: JobSettings,
}

/// A Git repository of `.proto` files, and which of them count.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The address of the repository, `https://…` or `ssh://…`.
    #[schemars(length(min = 9, max = 2048))]
    #[x_kube(validation = url_scheme_rule("source.url"), validation = url_plain_rule("source.url"))]
    pub url: String,
    /// What to follow. The remote's default branch, if absent.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Glob patterns of the files to generate code for, relative to the repository's root. Every `.proto` file, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub include: Vec<String>,
    /// Glob patterns of files not to generate code for. They can still be imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub exclude: Vec<String>,
    /// Directories that imports are looked up in, relative to the repository's root, in order. The root, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    #[x_kube(validation = relative_paths_rule("source.importRoots"))]
    pub import_roots: Vec<String>,
    /// A Secret in this namespace with credentials: `username` and `password`, or `bearerToken`, and `ca.crt` for
    /// https; `identity` and `known_hosts` for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// What to follow in the source: exactly one of the fields.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].filter(set, set).size() == 1").message("source.ref: set exactly one of branch, tag, semver and commit"))]
pub struct Reference {
    /// The newest commit of this branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,
    /// The commit of this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tag: Option<String>,
    /// The highest tag that satisfies this range of semantic versions, such as `>=1.2, <2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub semver: Option<String>,
    /// This commit, by its full id of 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(equal = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{40}$')").message("source.ref.commit: the full id, 40 lower-case hexadecimal digits"))]
    pub commit: Option<String>,
}

/// One run of one generator.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generator {
    /// A name for this entry, used in messages.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("generate[].name: lower-case letters, digits and '-'"))]
    pub name: String,
    /// The plugin: built in are `prost` and `tonic` (Rust), `go` and `go-grpc` (Go). Any other name `x` runs
    /// `protoc-gen-x` from the codegen image.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$')").message("generate[].plugin: the name without 'protoc-gen-', of lower-case letters, digits, '-' and '_'"))]
    pub plugin: String,
    /// Options handed to the plugin, each `key` or `key=value`; they are joined with commas, as protoc does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 1024)))]
    pub options: Vec<String>,
    /// The directory that receives the files, relative to `output.path`. That directory itself, if empty. Generators
    /// with the same path may extend each other's files at insertion points.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = relative_path_rule("generate[].path"))]
    pub path: String,
}

/// Where generated code goes.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// The address of the repository, `https://…` or `ssh://…`.
    #[schemars(length(min = 9, max = 2048))]
    #[x_kube(validation = url_scheme_rule("output.url"), validation = url_plain_rule("output.url"))]
    pub url: String,
    /// The branch to push to. It is created when missing.
    #[serde(default = "default_branch")]
    #[schemars(length(min = 1, max = 255), default = "default_branch")]
    pub branch: String,
    /// The directory that everything is written below, relative to the repository's root. The root, if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = relative_path_rule("output.path"))]
    pub path: String,
    /// A Secret in this namespace with credentials that may push; keys as in `source.secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Who the commits are by.
    #[serde(default)]
    pub author: Author,
    /// The commit message. `${name}`, `${namespace}`, `${repository}`, `${reference}`, `${commit}`, `${shortCommit}`,
    /// `${subject}` and `${files}` are replaced; trailers follow it in any case.
    #[serde(default = "default_message_template")]
    #[schemars(length(min = 1, max = 4096), default = "default_message_template")]
    pub message_template: String,
}

/// Who a commit is by.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Author {
    /// The name.
    #[serde(default = "default_author_name")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[^<>\n\r]+$"),
        default = "default_author_name"
    )]
    pub name: String,
    /// The e-mail address.
    #[serde(default = "default_author_email")]
    #[schemars(
        length(min = 3, max = 255),
        regex(pattern = r"^[^<>\s]+@[^<>\s]+$"),
        default = "default_author_email"
    )]
    pub email: String,
}

/// Settings of the Job's pod.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSettings {
    /// Requests and limits of the container. Those that the operator was installed with, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
}

impl IdlRepoSpec {
    /// A digest (SHA-256, 64 hexadecimal digits) of everything that decides what a run writes to the output: not of
    /// intervals, time limits, the gate, the publication and settings of the pod, so that changing those starts no run.
    pub fn digest(&self) -> String {
        let Self {
            source,
            generate,
            output,
            interval: _,
            timeout: _,
            suspend: _,
            compatibility: _,
            publish: _,
            job: _,
        } = self;
        // Serialising plain structs with string keys to memory has no way to fail.
        let bytes = serde_json::to_vec(&(source, generate, output)).unwrap_or_default();
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl JobSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Author {
    fn default() -> Self {
        Self {
            name: default_author_name(),
            email: default_author_email(),
        }
    }
}

fn default_interval() -> Duration {
    std::time::Duration::from_secs(5 * 60).into()
}

fn default_timeout() -> Duration {
    std::time::Duration::from_secs(10 * 60).into()
}

fn default_branch() -> String {
    "main".into()
}

fn default_message_template() -> String {
    "Generate code from ${repository} at ${shortCommit}".into()
}

fn default_author_name() -> String {
    "Heddle".into()
}

fn default_author_email() -> String {
    "heddle@heddle.dev".into()
}

fn url_scheme_rule(field: &str) -> kube::core::Rule {
    kube::core::Rule::new("self.startsWith('https://') || self.startsWith('ssh://')").message(
        format!("{field}: must start with https:// or ssh:// (write git@host:path as ssh://git@host/path)")
            .as_str(),
    )
}

// A user's name is part of an ssh address; anything secret belongs in a Secret.
fn url_plain_rule(field: &str) -> kube::core::Rule {
    kube::core::Rule::new(
        r"self.matches('^https://[^/@?#\\s\\\\]+(/[^?#\\s\\\\]*)?$') || self.matches('^ssh://([^/@:?#\\s\\\\]+@)?[^/@?#\\s\\\\]+(/[^?#\\s\\\\]*)$')",
    )
    .message(format!(
        "{field}: a host and a path, without password, query, fragment or spaces; put credentials into the Secret that secretRef names"
    ).as_str())
}

const RELATIVE_PATH: &str =
    "!p.startsWith('/') && !p.contains('\\\\') && !p.split('/').exists(s, s == '..' || s == '.git')";

fn relative_path_rule(field: &str) -> kube::core::Rule {
    kube::core::Rule::new(RELATIVE_PATH.replace("p.", "self.")).message(
        format!("{field}: a path inside the repository, relative, with '/' and without '..' or '.git'")
            .as_str(),
    )
}

fn relative_paths_rule(field: &str) -> kube::core::Rule {
    kube::core::Rule::new(format!("self.all(p, {RELATIVE_PATH})")).message(
        format!("{field}: paths inside the repository, relative, with '/' and without '..' or '.git'")
            .as_str(),
    )
}
