//! Which files of a set are compiled: each once, with its imports, in an edition that is known.

use super::super::error::{SchemaError, SchemaErrorKind, SchemaErrors};
use super::is_identifier;
use crate::descriptor::{Edition, FileDescriptorProto};
use std::collections::HashMap;

/// The distinct files, and what is wrong with them. Sets merged from several often hold a file twice; equal copies are one.
pub(super) fn admit(set: Vec<FileDescriptorProto>) -> (Vec<FileDescriptorProto>, SchemaErrors) {
    let mut errors = SchemaErrors::none();
    let mut files: Vec<FileDescriptorProto> = Vec::with_capacity(set.len());
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for file in set {
        match by_name.get(&file.name) {
            Some(&index) if same(&files[index], &file) => {}
            Some(_) => errors.push(|| wrong(&file, SchemaErrorKind::DuplicateFile)),
            None => {
                by_name.insert(file.name.clone(), files.len());
                files.push(file);
            }
        }
    }
    for file in &files {
        check(file, &by_name, &mut errors);
    }
    (files, errors)
}

fn same(one: &FileDescriptorProto, other: &FileDescriptorProto) -> bool {
    one.package == other.package
        && one.message_type == other.message_type
        && one.enum_type == other.enum_type
        && one.service == other.service
        && one.extension == other.extension
        && one.edition == other.edition
}

fn check(file: &FileDescriptorProto, by_name: &HashMap<String, usize>, errors: &mut SchemaErrors) {
    if matches!(file.edition, Edition::Unknown(_)) {
        errors.push(|| wrong(file, SchemaErrorKind::UnknownEdition));
    }
    if !file.package.is_empty() && !file.package.split('.').all(is_identifier) {
        errors.push(|| wrong(file, SchemaErrorKind::InvalidName(file.package.clone())));
    }
    for (index, import) in file.dependency.iter().enumerate() {
        let weak = file
            .weak_dependency
            .iter()
            .any(|weak| usize::try_from(*weak) == Ok(index));
        if !weak && !by_name.contains_key(import) {
            errors.push(|| wrong(file, SchemaErrorKind::MissingImport(import.clone())));
        }
    }
}

fn wrong(file: &FileDescriptorProto, kind: SchemaErrorKind) -> SchemaError {
    SchemaError {
        file: file.name.clone(),
        element: String::new(),
        kind,
    }
}
