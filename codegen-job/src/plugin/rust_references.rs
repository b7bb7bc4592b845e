//! Types that generated Rust refers to and that nobody generates: the code would not compile where it is used.

use prost_types::compiler::CodeGeneratorRequest;
use prost_types::{DescriptorProto, FileDescriptorProto};
use protoc_gen_prost::{Param, Params};
use std::collections::{BTreeMap, BTreeSet};

/// prost has its own types for this one.
const WELL_KNOWN: &str = "google.protobuf";

/// A sentence for each package that is referred to, but neither generated nor said to be elsewhere.
pub(super) fn warnings(request: &CodeGeneratorRequest) -> Vec<String> {
    let generated: BTreeSet<&str> = request
        .proto_file
        .iter()
        .filter(|file| request.file_to_generate.iter().any(|name| name == file.name()))
        .map(FileDescriptorProto::package)
        .collect();
    let packages = packages(&request.proto_file);
    let externs = externs(request.parameter());
    let is_extern = |name: &str| {
        externs
            .iter()
            .any(|prefix| name == prefix || name.starts_with(&format!("{prefix}.")))
    };
    let files = request
        .proto_file
        .iter()
        .filter(|file| generated.contains(file.package()));
    let missing: BTreeSet<&str> = files
        .flat_map(references)
        .filter(|name| !is_extern(name))
        .filter_map(|name| packages.get(&name).copied())
        .filter(|package| !generated.contains(package) && *package != WELL_KNOWN)
        .collect();
    let sentence = |package: &str| {
        format!(
            "types of package {package} are used, but no code is generated for it: select its files in source.include, \
             or say where its code is by the option extern_path=.{package}=::some_crate"
        )
    };
    missing.into_iter().map(sentence).collect()
}

/// The packages of all types, by full names with a dot before them.
fn packages(files: &[FileDescriptorProto]) -> BTreeMap<String, &str> {
    let mut packages = BTreeMap::new();
    for file in files {
        let scope = if file.package().is_empty() {
            String::new()
        } else {
            format!(".{}", file.package())
        };
        let mut pending: Vec<(String, &DescriptorProto)> = file
            .message_type
            .iter()
            .map(|message| (scope.clone(), message))
            .collect();
        let enums = file.enum_type.iter().map(|one| format!("{scope}.{}", one.name()));
        packages.extend(enums.map(|name| (name, file.package())));
        while let Some((scope, message)) = pending.pop() {
            let name = format!("{scope}.{}", message.name());
            let enums = message
                .enum_type
                .iter()
                .map(|one| format!("{name}.{}", one.name()));
            packages.extend(enums.map(|name| (name, file.package())));
            pending.extend(message.nested_type.iter().map(|nested| (name.clone(), nested)));
            packages.insert(name, file.package());
        }
    }
    packages
}

/// The types that a file's messages and services refer to.
fn references(file: &FileDescriptorProto) -> Vec<String> {
    let methods = file.service.iter().flat_map(|service| &service.method);
    let mut names: Vec<String> = methods
        .flat_map(|method| [method.input_type().to_owned(), method.output_type().to_owned()])
        .collect();
    let mut pending: Vec<&DescriptorProto> = file.message_type.iter().collect();
    while let Some(message) = pending.pop() {
        pending.extend(&message.nested_type);
        names.extend(message.field.iter().filter_map(|field| field.type_name.clone()));
    }
    names
}

/// What the option `extern_path` says is elsewhere.
fn externs(parameter: &str) -> Vec<String> {
    let parameters = Params::from_protoc_plugin_opts(parameter).into_iter().flatten();
    let paths = parameters.filter_map(|parameter| match parameter {
        Param::KeyValue {
            param: "extern_path",
            key,
            ..
        } => Some(key.to_owned()),
        _ => None,
    });
    paths.collect()
}
