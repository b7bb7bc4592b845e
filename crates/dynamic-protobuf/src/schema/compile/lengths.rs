//! Refuses names that are longer than any that people write, before they are made into full names: each is kept in full, so that
//! one long name around many elements would take memory in proportion to the product.

use super::super::error::{SchemaError, SchemaErrorKind, SchemaErrors};
use crate::descriptor::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

/// Bytes of a full name, of a file's path or of a name in JSON. The longest names in public IDL have less than 300.
const MAX_NAME_BYTES: usize = 1_024;

/// Checks all names of all files.
pub(super) fn check(files: &[FileDescriptorProto]) -> Result<(), SchemaErrors> {
    let mut errors = SchemaErrors::none();
    for file in files {
        let mut lengths = Lengths {
            file,
            errors: &mut errors,
        };
        lengths.name(&file.name, 0);
        lengths.file();
    }
    errors.into_result()
}

/// The check of one file. Scopes are given by their length alone.
struct Lengths<'f> {
    file: &'f FileDescriptorProto,
    errors: &'f mut SchemaErrors,
}

impl<'f> Lengths<'f> {
    fn file(&mut self) {
        let file = self.file;
        let scope = self.name(&file.package, 0);
        for message in &file.message_type {
            self.message(message, scope);
        }
        for enumeration in &file.enum_type {
            self.enumeration(enumeration, scope);
        }
        self.fields(&file.extension, scope);
        for service in &file.service {
            let scope = self.name(&service.name, scope);
            for method in &service.method {
                self.name(&method.name, scope);
            }
        }
    }

    fn message(&mut self, message: &DescriptorProto, scope: usize) {
        let scope = self.name(&message.name, scope);
        self.fields(&message.field, scope);
        self.fields(&message.extension, scope);
        for oneof in &message.oneof_decl {
            self.name(&oneof.name, scope);
        }
        for nested in &message.nested_type {
            self.message(nested, scope);
        }
        for enumeration in &message.enum_type {
            self.enumeration(enumeration, scope);
        }
    }

    fn fields(&mut self, fields: &[FieldDescriptorProto], scope: usize) {
        for field in fields {
            self.name(&field.name, scope);
            self.name(field.json_name.as_deref().unwrap_or_default(), 0);
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptorProto, scope: usize) {
        let scope = self.name(&enumeration.name, scope);
        for value in &enumeration.value {
            self.name(&value.name, scope);
        }
    }

    /// The length of the full name of what is called `name` in a scope of this length.
    fn name(&mut self, name: &str, scope: usize) -> usize {
        let length = scope + name.len() + usize::from(scope > 0);
        if length > MAX_NAME_BYTES {
            self.errors.push(|| SchemaError {
                file: start(&self.file.name),
                element: start(name),
                kind: SchemaErrorKind::NameTooLong(MAX_NAME_BYTES),
            });
        }
        length
    }
}

/// So much of a long name as tells which one it is.
fn start(name: &str) -> String {
    name.chars().take(64).collect()
}
