//! Generates code that reads every field of every message, in the shape that each library's generated code has.

use anyhow::{Context, Result};
use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::fmt::Write as _;
use std::path::Path;

/// What differs between the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Library {
    Prost,
    RustProtobuf,
}

/// Writes one file for each library.
pub(crate) fn generate(set: &FileDescriptorSet) -> Result<()> {
    let out = std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?;
    for (library, name) in [
        (Library::Prost, "prost.walk.rs"),
        (Library::RustProtobuf, "rust_protobuf.walk.rs"),
    ] {
        let mut code = String::new();
        for file in &set.file {
            // The well-known types of both, and rust-protobuf's older descriptor.proto, come with the libraries.
            let is_google = file.package() == "google.protobuf";
            if file.name() == "google/protobuf/timestamp.proto"
                || is_google && library == Library::RustProtobuf
            {
                continue;
            }
            let module = match library {
                Library::Prost => format!("generated::{}", file.package().replace('.', "::")),
                Library::RustProtobuf => format!("generated::{}", stem(file.name())),
            };
            for message in &file.message_type {
                push_message(&mut code, library, &module, message)?;
            }
        }
        std::fs::write(Path::new(&out).join(name), code)
            .with_context(|| format!("failed to write {name}"))?;
    }
    Ok(())
}

fn stem(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file).trim_end_matches(".proto")
}

fn push_message(code: &mut String, library: Library, module: &str, message: &DescriptorProto) -> Result<()> {
    if message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
    {
        return Ok(());
    }
    let inner = format!("{module}::{}", module_name(message.name()));
    let in_oneof = |field: &&FieldDescriptorProto| field.oneof_index.is_some() && !field.proto3_optional();
    let plain = message.field.iter().filter(|field| !in_oneof(field));
    let mut names: Vec<String> = plain.map(|field| field_name(library, field.name())).collect();
    for (index, oneof) in message.oneof_decl.iter().enumerate() {
        let members: Vec<_> = message.field.iter().filter(in_oneof).collect();
        let members: Vec<_> = members
            .iter()
            .filter(|field| field.oneof_index() == index as i32)
            .collect();
        if members.is_empty() {
            continue;
        }
        names.push(field_name(library, oneof.name()));
        let kind = format!("{inner}::{}", oneof.name().to_upper_camel_case());
        writeln!(
            code,
            "impl Walk for {kind} {{ fn walk(&self) -> u64 {{ match self {{"
        )?;
        for member in members {
            writeln!(
                code,
                "Self::{}(value) => value.walk(),",
                member.name().to_upper_camel_case()
            )?;
        }
        writeln!(code, "}} }} }}")?;
    }
    writeln!(
        code,
        "impl Walk for {module}::{} {{ fn walk(&self) -> u64 {{ 0_u64",
        message.name().to_upper_camel_case()
    )?;
    for name in names {
        writeln!(code, ".wrapping_add(self.{name}.walk())")?;
    }
    writeln!(code, "}} }}")?;
    message
        .nested_type
        .iter()
        .try_for_each(|nested| push_message(code, library, &inner, nested))
}

fn module_name(message: &str) -> String {
    message.to_snake_case()
}

fn field_name(library: Library, name: &str) -> String {
    match (library, name) {
        (Library::Prost, "type" | "enum" | "struct" | "match") => format!("r#{name}"),
        (Library::RustProtobuf, "type" | "enum" | "struct" | "match") => format!("{name}_"),
        _ => name.to_snake_case(),
    }
}
