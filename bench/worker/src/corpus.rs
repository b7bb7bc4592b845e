//! The folder that says what is measured: the same bytes for every subject.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Everything that is measured.
pub struct Corpus {
    /// A `FileDescriptorSet` with all types of all messages.
    pub schema: Vec<u8>,
    /// The messages.
    pub cases: Vec<Case>,
}

/// A message and what is done to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// What it is called in commands, tables and names of files.
    pub name: String,
    /// The full name of its type.
    pub message_type: String,
    /// The way to the one deep scalar, by number.
    pub path: Vec<Step>,
    /// The same way by name, such as `lines[5].price.units`.
    pub path_by_name: String,
    /// What the deep scalar is changed to.
    pub new_value: i64,
    /// The field mask that the message is trimmed by.
    pub mask: Vec<String>,
    /// The message, encoded.
    #[serde(skip)]
    pub wire: Vec<u8>,
    /// The message as canonical JSON.
    #[serde(skip)]
    pub json: Vec<u8>,
}

/// A field, and which element of it when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The number of the field.
    pub number: u32,
    /// The element.
    pub index: Option<usize>,
}

impl Corpus {
    /// Reads what [`Corpus::write`] has written.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut cases: Vec<Case> =
            serde_json::from_slice(&read(folder, "cases.json")?).context("failed to read cases.json")?;
        for case in &mut cases {
            case.wire = read(folder, &format!("{}.binpb", case.name))?;
            case.json = read(folder, &format!("{}.json", case.name))?;
        }
        Ok(Self {
            schema: read(folder, "schema.binpb")?,
            cases,
        })
    }

    /// Writes the corpus into a folder that exists.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let cases = serde_json::to_vec_pretty(&self.cases).context("failed to describe the cases")?;
        write(folder, "cases.json", &cases)?;
        write(folder, "schema.binpb", &self.schema)?;
        for case in &self.cases {
            write(folder, &format!("{}.binpb", case.name), &case.wire)?;
            write(folder, &format!("{}.json", case.name), &case.json)?;
        }
        Ok(())
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let file = folder.join(name);
    fs::read(&file).with_context(|| format!("failed to read {}", file.display()))
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let file = folder.join(name);
    fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))
}
