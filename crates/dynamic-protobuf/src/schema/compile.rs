//! Compiles descriptor sets into tables: names are declared first, then references resolved, then tables laid out.

mod declare;
mod defaults;
mod fields;
mod files;
mod layout;
mod lengths;

use super::error::{SchemaError, SchemaErrorKind, SchemaErrors};
use super::features::Features;
use super::tables::{FileTable, Symbol, Tables};
use crate::descriptor::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Fields and extensions of one message: a slot's index has 16 bits.
const MAX_FIELDS_PER_MESSAGE: usize = 16_384;

/// Compiles a set.
pub(super) fn compile(set: FileDescriptorSet) -> Result<Tables, SchemaErrors> {
    lengths::check(&set.file)?;
    let (files, errors) = files::admit(set.file);
    let mut compiler = Compiler {
        errors,
        ..Compiler::new(&files)
    };
    compiler.declare();
    compiler.resolve_fields();
    compiler.resolve_services();
    let Compiler {
        errors, mut tables, ..
    } = compiler;
    errors.into_result()?;
    tables.files = files
        .into_iter()
        .map(|proto| FileTable {
            edition: proto.edition,
            proto,
        })
        .collect();
    Ok(tables)
}

/// The work in progress.
struct Compiler<'f> {
    files: &'f [FileDescriptorProto],
    tables: Tables,
    errors: SchemaErrors,
    /// By the index of the message.
    messages: Vec<PendingMessage<'f>>,
    extensions: Vec<PendingField<'f>>,
}

/// A message whose fields are not resolved yet.
struct PendingMessage<'f> {
    proto: &'f DescriptorProto,
    features: Features,
    /// Extensions of it from anywhere in the set.
    extensions: Vec<PendingField<'f>>,
}

/// An extension with the scope it is declared in.
#[derive(Clone)]
struct PendingField<'f> {
    proto: &'f FieldDescriptorProto,
    scope: String,
    features: Features,
    file: u32,
}

impl<'f> Compiler<'f> {
    fn new(files: &'f [FileDescriptorProto]) -> Self {
        Self {
            files,
            tables: Tables::default(),
            errors: SchemaErrors::none(),
            messages: Vec::new(),
            extensions: Vec::new(),
        }
    }

    fn error(&mut self, file: u32, element: &str, kind: SchemaErrorKind) {
        let files = self.files;
        self.errors.push(|| SchemaError {
            file: files[file as usize].name.clone(),
            element: element.to_owned(),
            kind,
        });
    }

    /// The type that `name` means inside `scope`: fully qualified with a leading dot, else the innermost that fits.
    fn resolve(&self, scope: &str, name: &str) -> Option<Symbol> {
        if let Some(absolute) = name.strip_prefix('.') {
            return self.tables.symbols.get(absolute).copied();
        }
        let mut scope = scope;
        loop {
            let candidate = qualified(scope, name);
            if let Some(found) = self.tables.symbols.get(candidate.as_str()) {
                return Some(*found);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }
}

/// `name` inside `scope`.
fn qualified(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}

/// Where the last part of a full name begins.
fn name_at(full_name: &str) -> u32 {
    full_name.rfind('.').map_or(0, |dot| dot + 1) as u32
}

/// Whether `name` is what the language calls an identifier.
fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
