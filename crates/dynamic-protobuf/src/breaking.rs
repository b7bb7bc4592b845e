//! Which changes between two versions of a schema break those who use it.
//!
//! The rules, their names and their places are those of `buf breaking`
//! (<https://buf.build/docs/breaking/rules/>), so that both tools say the same of the same change.
//!
//! ```
//! use heddle_dynamic_protobuf::breaking::{Level, check};
//! use heddle_dynamic_protobuf::descriptor::FileDescriptorSet;
//!
//! # struct Text(&'static str);
//! # impl protox::file::FileResolver for Text {
//! #     fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
//! #         protox::file::File::from_source(name, self.0)
//! #     }
//! # }
//! # fn compile(text: &'static str) -> Result<FileDescriptorSet, Box<dyn std::error::Error>> {
//! #     let mut compiler = protox::Compiler::with_file_resolver(Text(text));
//! #     compiler.include_source_info(true).open_file("user.proto")?;
//! #     Ok(FileDescriptorSet::decode(&compiler.encode_file_descriptor_set())?)
//! # }
//! let before = compile("syntax = \"proto3\";\nmessage User { string name = 1; }\n")?;
//! let after = compile("syntax = \"proto3\";\nmessage User { int32 name = 1; }\n")?;
//! let findings = check(&before, &after, Level::Wire);
//! assert!(findings[0].to_string().starts_with("user.proto:2:16: FIELD_WIRE_COMPATIBLE_TYPE: "));
//! assert!(check(&before, &before, Level::File).is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod collect;
mod default_value;
mod deletions;
mod element;
mod enums;
mod features;
mod field_types;
mod fields;
mod files;
mod index;
mod messages;
mod names;
mod option_bytes;
mod ranges;
mod rule;
mod services;
mod source;
#[cfg(test)]
mod tests;

pub use rule::{Level, Rule, UnknownLevel};

use crate::descriptor::FileDescriptorSet;
use collect::Findings;
use element::File;
use index::Index;
use std::fmt;

/// A place in a `.proto` file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file's path below its import root, in the new descriptor set.
    pub file: String,
    /// The line, from one; one as well when the set does not tell it.
    pub line: u32,
    /// The column, from one, in bytes; one as well when the set does not tell it.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One change that breaks a rule.
///
/// Findings order by place, then by rule; those without a place come first. In text a finding is
/// `file:line:column: RULE: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Where to look in the new schema. What was deleted is reported at what it was in, a deleted option at the start of its
    /// file; `None` when its whole file or package is gone.
    pub location: Option<Location>,
    /// The rule that the change breaks.
    pub rule: Rule,
    /// What changed and what to do instead, for people.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{}: {}", self.rule, self.message)
    }
}

/// What in `new` breaks those who use `against`, the version before, by the rules of `level`.
///
/// Findings are sorted, and the same two sets give the same findings whatever the order of their files. Places come from the
/// source information in `new`; sets without it give files only. Sets that no compiler would write (two types of one name, types
/// that are not there) are compared as far as they can be and never panic.
pub fn check(against: &FileDescriptorSet, new: &FileDescriptorSet, level: Level) -> Vec<Finding> {
    let old_files: Vec<File<'_>> = against.file.iter().map(File::old).collect();
    let new_files: Vec<File<'_>> = new.file.iter().map(File::new).collect();
    let (old, new) = (Index::new(&old_files), Index::new(&new_files));
    let mut findings = Findings::new(level);
    files::check(&old, &new, &mut findings);
    deletions::check(&old, &new, &mut findings);
    messages::check(&old, &new, &mut findings);
    fields::check(&old, &new, &mut findings);
    enums::check(&old, &new, &mut findings);
    services::check(&old, &new, &mut findings);
    findings.sorted()
}
