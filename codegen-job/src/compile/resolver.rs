//! How the compiler gets at files: import roots in order, then the well-known types; and what it stumbled over.

use super::diagnostic::{Diagnostic, Place};
use super::forward::forwarded;
use super::scan::scan;
use super::{Input, suggest};
use protox::Error;
use protox::file::{File, FileResolver, GoogleFileResolver};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Files that can always be imported.
pub(super) const WELL_KNOWN: &[&str] = &[
    "google/protobuf/any.proto",
    "google/protobuf/api.proto",
    "google/protobuf/compiler/plugin.proto",
    "google/protobuf/descriptor.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/source_context.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/type.proto",
    "google/protobuf/wrappers.proto",
];

/// What the resolver knows and the compiler's errors do not say, shared across the compiler's thread.
#[derive(Clone, Default)]
pub(super) struct Findings(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    last_file: String,
    missing: BTreeSet<String>,
    obstacle: Option<Diagnostic>,
}

/// Stands in for a diagnostic that [`Findings`] holds.
#[derive(Debug, thiserror::Error)]
#[error("the file cannot be parsed")]
struct Obstructed;

pub(super) struct Resolver {
    input: Input,
    findings: Findings,
    well_known: GoogleFileResolver,
}

impl Resolver {
    pub(super) fn new(input: &Input, findings: &Findings) -> Self {
        Self {
            input: input.clone(),
            findings: findings.clone(),
            well_known: GoogleFileResolver::new(),
        }
    }

    fn open_source(&self, import: &str, path: &str, bytes: &[u8]) -> Result<File, Error> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let place = Place::new(path, &valid, valid.len(), 0);
                return Err(self.obstruct(Diagnostic::new(place, "the file is not valid UTF-8 from here on")));
            }
        };
        if let Some(found) = scan(text) {
            let place = Place::new(path, text, found.offset, found.length);
            return Err(self.obstruct(Diagnostic::new(place, found.message).with_help(found.help)));
        }
        let file = File::from_source(import, text)?;
        let forwarded = forwarded(&file.file_descriptor_proto().dependency, |name| self.text(name));
        if forwarded.is_empty() {
            return Ok(file);
        }
        // At the end, where it moves nothing that a message could point at.
        let lines = forwarded.iter().map(|name| format!("\nimport \"{name}\";"));
        File::from_source(import, &format!("{text}{}", lines.collect::<String>()))
    }

    fn text(&self, import: &str) -> Option<&str> {
        let path = self.input.sources.resolve(import, &self.input.roots)?;
        std::str::from_utf8(self.input.sources.bytes(path)?).ok()
    }

    fn obstruct(&self, diagnostic: Diagnostic) -> Error {
        self.findings.record(|record| record.obstacle = Some(diagnostic));
        Error::new(Obstructed)
    }
}

impl FileResolver for Resolver {
    fn open_file(&self, import: &str) -> Result<File, Error> {
        let path = self.input.sources.resolve(import, &self.input.roots);
        self.findings
            .record(|record| record.last_file = path.unwrap_or(import).to_owned());
        if let Some((path, bytes)) = path.and_then(|path| Some((path, self.input.sources.bytes(path)?))) {
            let opened = self.open_source(import, path, bytes);
            // Copies from newer protobuf releases have syntax that the parser does not know. Ours stand in for them.
            if opened.is_ok() || !WELL_KNOWN.contains(&import) {
                return opened;
            }
            self.findings.record(|record| record.obstacle = None);
        }
        self.well_known.open_file(import).inspect_err(|_| {
            self.findings
                .record(|record| _ = record.missing.insert(import.to_owned()));
        })
    }
}

impl Findings {
    fn record<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        // A panic of the compiler leaves nothing half-written here: each change is one assignment.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file that was opened last.
    pub(super) fn last_file(&self) -> String {
        self.record(|record| record.last_file.clone())
    }

    /// What is wrong, in our form.
    pub(super) fn diagnostics(&self, error: &Error, input: &Input) -> Vec<Diagnostic> {
        if let Some(obstacle) = self.record(|record| record.obstacle.take()) {
            return vec![obstacle];
        }
        let path = error.file().map(|import| suggest::path_of(import, input));
        let text = path
            .and_then(|path| input.sources.bytes(path))
            .map(String::from_utf8_lossy);
        let mut found = Diagnostic::read(error, path, text.as_deref());
        if let (true, [first, ..]) = (error.is_file_not_found(), found.as_mut_slice()) {
            let message = error.to_string();
            let import = message.split('\'').nth(1).unwrap_or_default();
            if self.record(|record| record.missing.contains(import)) {
                first.is_missing_import = true;
                first.notes = vec![
                    suggest::searched(import, input),
                    format!("help: {}", suggest::help(import, input)),
                ];
            }
        }
        found
    }
}
