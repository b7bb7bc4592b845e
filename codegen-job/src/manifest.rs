//! The record, kept in the output repository, of the files that Heddle wrote there for one IdlRepo.
//!
//! It holds no times and no commits, so that the same files always give the same bytes.

use crate::repo_path::RepoPath;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The folder of all records, below the output's path.
pub const FOLDER: &str = ".heddle";
const KIND: &str = "OutputManifest";

/// Which IdlRepo a record belongs to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The IdlRepo's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The files that were written for one IdlRepo, relative to the output's path, with digests of their contents.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Whose they are.
    pub owner: Owner,
    /// SHA-256 in hexadecimal digits by path.
    pub files: BTreeMap<RepoPath, String>,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of the right shape.
    #[error("failed to parse the record")]
    Parse(#[source] serde_json::Error),
    /// It is something else.
    #[error("failed to read the record: it is of kind {0:?}")]
    CheckKind(String),
    /// It holds a path that Heddle would never write.
    #[error("failed to read the record")]
    ReadPath(#[source] crate::repo_path::RepoPathError),
}

/// The record as it is written.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    idl_repo: Owner,
    files: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    sha256: String,
}

impl Owner {
    /// The file that the record is in, relative to the output's path.
    pub fn file(&self) -> String {
        // Namespaces have no dots, so no two owners share a file.
        format!("{FOLDER}/{}.{}.json", self.namespace, self.name)
    }
}

impl Manifest {
    /// Reads a record.
    ///
    /// # Errors
    /// When somebody has damaged it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(bytes).map_err(ManifestError::Parse)?;
        if document.kind != KIND {
            return Err(ManifestError::CheckKind(document.kind));
        }
        let entry = |entry: Entry| {
            Ok((
                RepoPath::parse(&entry.path).map_err(ManifestError::ReadPath)?,
                entry.sha256,
            ))
        };
        Ok(Self {
            owner: document.idl_repo,
            files: document.files.into_iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    /// The record as JSON with a line for each file, so that Git can merge it and people can read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = Document {
            api_version: format!("{}/{}", heddle_crds::GROUP, heddle_crds::VERSION),
            kind: KIND.into(),
            idl_repo: self.owner.clone(),
            files: self
                .files
                .iter()
                .map(|(path, sha256)| Entry {
                    path: path.as_str().into(),
                    sha256: sha256.clone(),
                })
                .collect(),
        };
        // Strings and lists have no way to fail.
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// The SHA-256 digest of `bytes` in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let manifest = Manifest {
            owner: Owner {
                namespace: "shop".into(),
                name: "idl".into(),
            },
            files: [("b.rs", "2"), ("a/c.rs", "1")]
                .map(|(path, sha256)| (RepoPath::parse(path).unwrap(), sha256.to_owned()))
                .into(),
        };
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.find("a/c.rs") < text.find("b.rs") && text.ends_with("}\n"),
            "{text}"
        );
        assert_eq!(manifest.owner.file(), ".heddle/shop.idl.json");
    }

    #[test]
    fn a_damaged_record_is_an_error_and_never_empty() {
        let good = Manifest {
            owner: Owner {
                namespace: "a".into(),
                name: "b".into(),
            },
            files: BTreeMap::new(),
        };
        let text = String::from_utf8(good.to_bytes()).unwrap();
        for bad in [
            "",
            "{}",
            "<<<<<<< HEAD\n",
            &text.replace("OutputManifest", "Other"),
        ] {
            assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let escaping = text.replace(
            "\"files\": []",
            "\"files\": [{\"path\": \"../x\", \"sha256\": \"\"}]",
        );
        assert!(escaping.contains("../x") && Manifest::parse(escaping.as_bytes()).is_err());
    }
}
