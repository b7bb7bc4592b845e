//! Where the descriptors come from, and which type is meant.

use crate::publish::{self, ReadPublishedError};
use heddle_crds::publication::SET_BYTES_LIMIT;
use heddle_dynamic_protobuf::{MessageDescriptor, Schema, SchemaErrors};
use kube::Client;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How many types a message lists.
const LISTED: usize = 8;
/// How alike names must be to be offered, from 0 to 1.
const LIKENESS: f64 = 0.7;

/// An IdlRepo of the cluster that kubectl talks to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdlRepoName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why there is no type to work with.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no descriptor set.
    #[error("failed to use {what} as a descriptor set: {source}")]
    Compile {
        /// Which.
        what: String,
        /// Everything that is wrong with it.
        source: SchemaErrors,
    },
    /// There is no way to a cluster.
    #[error("failed to find the cluster: is there a kubeconfig?")]
    Configure(#[source] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("failed to make a client of the cluster")]
    Connect(#[source] kube::Error),
    /// The cluster has no set.
    #[error(transparent)]
    ReadPublished(#[from] ReadPublishedError),
    /// There is no such type.
    #[error("failed to find message {name}: {hint}")]
    FindType {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
}

impl FromStr for IdlRepoName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(format!("{text:?} is no NAMESPACE/NAME")),
        }
    }
}

/// The schema in a file: a `google.protobuf.FileDescriptorSet`, as `protoc --descriptor_set_out --include_imports` and
/// `buf build` write it.
///
/// # Errors
/// When there is no such file, or it is no descriptor set.
pub fn read_schema(path: &Path) -> Result<Schema, SchemaError> {
    let fail = |source| SchemaError::ReadFile {
        path: path.to_owned(),
        source,
    };
    let mut set = Vec::new();
    let file = fs::File::open(path).map_err(fail)?;
    let limit = SET_BYTES_LIMIT as u64 + 1;
    file.take(limit).read_to_end(&mut set).map_err(fail)?;
    if set.len() > SET_BYTES_LIMIT {
        let text = format!("it is larger than {SET_BYTES_LIMIT} bytes");
        return Err(fail(std::io::Error::other(text)));
    }
    compile(&set, &path.display().to_string())
}

/// The schema that an IdlRepo publishes in the cluster that kubectl talks to.
///
/// # Errors
/// When there is no cluster or nothing is published.
pub async fn read_published(idl_repo: &IdlRepoName) -> Result<Schema, SchemaError> {
    let config = kube::Config::infer().await.map_err(SchemaError::Configure)?;
    let client = Client::try_from(config).map_err(SchemaError::Connect)?;
    let IdlRepoName { namespace, name } = idl_repo;
    let set = publish::read(client, namespace, name).await?;
    compile(&set, &format!("what IdlRepo {namespace}/{name} publishes"))
}

fn compile(set: &[u8], what: &str) -> Result<Schema, SchemaError> {
    Schema::from_descriptor_set(set).map_err(|source| SchemaError::Compile {
        what: what.to_owned(),
        source,
    })
}

/// The message of this full name, or of this short one if only one type has it.
///
/// # Errors
/// [`SchemaError::FindType`] with names that are alike.
pub fn find_type<'s>(schema: &'s Schema, name: &str) -> Result<MessageDescriptor<'s>, SchemaError> {
    if let Some(found) = schema.message(name.trim_start_matches('.')) {
        return Ok(found);
    }
    let is_candidate = |message: &MessageDescriptor<'_>| !message.is_map_entry();
    let named: Vec<_> = schema
        .messages()
        .filter(is_candidate)
        .filter(|message| message.name() == name)
        .collect();
    if let [only] = named.as_slice() {
        return Ok(*only);
    }
    let hint = match named.is_empty() {
        true => hint(schema, name),
        false => format!("{} types have that name: {}", named.len(), list(named.iter())),
    };
    Err(SchemaError::FindType {
        name: name.to_owned(),
        hint,
    })
}

fn hint(schema: &Schema, name: &str) -> String {
    let likeness = |message: &MessageDescriptor<'_>| {
        let short = name.rsplit('.').next().unwrap_or(name);
        strsim::jaro_winkler(message.full_name(), name).max(strsim::jaro_winkler(message.name(), short))
    };
    let mut messages: Vec<_> = schema
        .messages()
        .filter(|message| !message.is_map_entry())
        .map(|message| (likeness(&message), message))
        .collect();
    messages.sort_by(|one, other| other.0.total_cmp(&one.0));
    let alike = messages.iter().filter(|(likeness, _)| *likeness >= LIKENESS);
    let alike: Vec<_> = alike.map(|(_, message)| *message).collect();
    match alike.is_empty() {
        true => format!(
            "there are {} messages, such as {}",
            messages.len(),
            list(messages.iter().map(|(_, message)| message))
        ),
        false => format!("did you mean {}?", list(alike.iter())),
    }
}

fn list<'m, 's: 'm>(messages: impl Iterator<Item = &'m MessageDescriptor<'s>>) -> String {
    let names: Vec<_> = messages.take(LISTED).map(|message| message.full_name()).collect();
    names.join(", ")
}
