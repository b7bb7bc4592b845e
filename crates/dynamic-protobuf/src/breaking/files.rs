//! Rules about files: their deletion, their package, syntax and options.

use super::Rule;
use super::collect::Findings;
use super::element::File;
use super::index::Index;
use super::option_bytes;
use crate::descriptor::Edition;

pub(super) fn check(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    for (path, before) in &old.files {
        match new.files.get(path) {
            Some(after) => {
                check_values(before, after, findings);
                check_options(before, after, findings);
            }
            None => findings.add_without_place(Rule::FileNoDelete, || {
                format!("file `{path}` was deleted; keep it, with what it declared")
            }),
        }
    }
}

fn check_values(before: &File<'_>, after: &File<'_>, findings: &mut Findings) {
    let (old, new) = (&before.proto.package, &after.proto.package);
    if old != new {
        findings.add(
            Rule::FileSamePackage,
            after,
            || after.source.position(&[2]),
            || {
                format!(
                    "the package changed from `{old}` to `{new}`, which renames every type; declare \
                a new file instead"
                )
            },
        );
    }
    let (old, new) = (syntax(before), syntax(after));
    if old != new {
        findings.add(
            Rule::FileSameSyntax,
            after,
            || after.source.position(&[12]),
            || format!("the syntax changed from {old} to {new}; go back to {old}"),
        );
    }
}

fn syntax(file: &File<'_>) -> &'static str {
    match file.proto.edition {
        Edition::Proto2 => "proto2",
        Edition::Proto3 => "proto3",
        Edition::Edition2023 | Edition::Edition2024 | Edition::Unknown(_) => "editions",
    }
}

/// How an option is written, and what it is when it is not.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag(bool),
    OptimizeFor,
}

/// The options that generated code is seen through, with their numbers in `FileOptions`.
const OPTIONS: [(Rule, &str, u16, Kind); 16] = [
    (
        Rule::FileSameCcEnableArenas,
        "cc_enable_arenas",
        31,
        Kind::Flag(true),
    ),
    (
        Rule::FileSameCcGenericServices,
        "cc_generic_services",
        16,
        Kind::Flag(false),
    ),
    (Rule::FileSameCsharpNamespace, "csharp_namespace", 37, Kind::Text),
    (Rule::FileSameGoPackage, "go_package", 11, Kind::Text),
    (
        Rule::FileSameJavaGenericServices,
        "java_generic_services",
        17,
        Kind::Flag(false),
    ),
    (
        Rule::FileSameJavaMultipleFiles,
        "java_multiple_files",
        10,
        Kind::Flag(false),
    ),
    (
        Rule::FileSameJavaOuterClassname,
        "java_outer_classname",
        8,
        Kind::Text,
    ),
    (Rule::FileSameJavaPackage, "java_package", 1, Kind::Text),
    (Rule::FileSameObjcClassPrefix, "objc_class_prefix", 36, Kind::Text),
    (Rule::FileSameOptimizeFor, "optimize_for", 9, Kind::OptimizeFor),
    (Rule::FileSamePhpClassPrefix, "php_class_prefix", 40, Kind::Text),
    (
        Rule::FileSamePhpMetadataNamespace,
        "php_metadata_namespace",
        44,
        Kind::Text,
    ),
    (Rule::FileSamePhpNamespace, "php_namespace", 41, Kind::Text),
    (
        Rule::FileSamePyGenericServices,
        "py_generic_services",
        18,
        Kind::Flag(false),
    ),
    (Rule::FileSameRubyPackage, "ruby_package", 45, Kind::Text),
    (Rule::FileSameSwiftPrefix, "swift_prefix", 39, Kind::Text),
];

fn check_options(before: &File<'_>, after: &File<'_>, findings: &mut Findings) {
    for (rule, name, number, kind) in OPTIONS {
        let (old, new) = (value(before, number, kind), value(after, number, kind));
        if old != new {
            findings.add(
                rule,
                after,
                || after.source.position(&[8, i32::from(number)]),
                || {
                    format!(
                        "the option `{name}` changed from {old} to {new}, which moves or changes \
                    generated code; set it back"
                    )
                },
            );
        }
    }
}

fn value(file: &File<'_>, number: u16, kind: Kind) -> String {
    let (encoded, number) = (&file.proto.options.encoded, u32::from(number));
    match kind {
        Kind::Text => {
            let text = option_bytes::bytes(encoded, number).unwrap_or_default();
            format!("\"{}\"", text.escape_ascii())
        }
        Kind::Flag(default) => option_bytes::bool(encoded, number).unwrap_or(default).to_string(),
        Kind::OptimizeFor => match option_bytes::number(encoded, number) {
            Some(2) => "CODE_SIZE".to_owned(),
            Some(3) => "LITE_RUNTIME".to_owned(),
            _ => "SPEED".to_owned(),
        },
    }
}
