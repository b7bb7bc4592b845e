//! Rules about types, extensions and services that a file or a package loses, and packages that are lost whole.

use super::Rule;
use super::collect::Findings;
use super::element::{File, Message};
use super::index::Index;
use super::names::{bounded, joined};
use super::source::Position;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    check_packages(old, new, findings);
    for kind in KINDS {
        if findings.want(&[kind.file_rule, kind.package_rule]) {
            let (before, after) = ((kind.all)(old), (kind.all)(new));
            check_files(&kind, &before, &after, new, findings);
            check_kind_in_packages(&kind, &before, &after, new, findings);
        }
    }
}

fn check_packages(old: &Index<'_>, new: &Index<'_>, findings: &mut Findings) {
    let packages = |index: &Index<'_>| -> BTreeSet<String> {
        let files = index.files.values();
        files.map(|file| file.proto.package.clone()).collect()
    };
    for package in packages(old).difference(&packages(new)) {
        findings.add_without_place(Rule::PackageNoDelete, || {
            format!("package `{package}` was deleted; keep it, with what it declared")
        });
    }
}

/// A kind of thing that is declared in files.
struct Kind {
    name: &'static str,
    file_rule: Rule,
    package_rule: Rule,
    all: for<'a> fn(&'a Index<'a>) -> Declarations<'a>,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "enum",
        file_rule: Rule::EnumNoDelete,
        package_rule: Rule::PackageEnumNoDelete,
        all: |index| {
            let all = index.enums.values();
            Declarations::of(all.map(|one| (one.file, one.nested_name.clone())))
        },
    },
    Kind {
        name: "extension",
        file_rule: Rule::ExtensionNoDelete,
        package_rule: Rule::PackageExtensionNoDelete,
        all: |index| Declarations::of(index.extensions().map(|one| (one.file, one.nested_name()))),
    },
    Kind {
        name: "message",
        file_rule: Rule::MessageNoDelete,
        package_rule: Rule::PackageMessageNoDelete,
        all: |index| {
            let all = index.messages.values();
            Declarations::of(all.map(|one| (one.file, one.nested_name.clone())))
        },
    },
    Kind {
        name: "service",
        file_rule: Rule::ServiceNoDelete,
        package_rule: Rule::PackageServiceNoDelete,
        all: |index| {
            let all = index.services.values();
            let mut declarations = Declarations::of(all.map(|one| (one.file, one.proto.name.clone())));
            let files = index.files.values();
            declarations
                .packages
                .extend(files.map(|file| file.proto.package.as_str()));
            declarations
        },
    },
];

/// What a version declares of one kind.
struct Declarations<'a> {
    /// By the path of the file and the name below the package.
    in_files: BTreeMap<(&'a str, String), &'a File<'a>>,
    /// By the package and the name below it.
    in_packages: BTreeMap<(&'a str, String), &'a File<'a>>,
    /// The packages that a deletion is told of. For types and extensions these are the ones that still have any of the kind: that
    /// a package loses its last enum is left unsaid, because buf leaves it unsaid.
    packages: BTreeSet<&'a str>,
}

impl<'a> Declarations<'a> {
    fn of(all: impl Iterator<Item = (&'a File<'a>, String)>) -> Self {
        let mut declarations = Self {
            in_files: BTreeMap::new(),
            in_packages: BTreeMap::new(),
            packages: BTreeSet::new(),
        };
        for (file, name) in all {
            let (path, package) = (file.proto.name.as_str(), file.proto.package.as_str());
            declarations.in_files.insert((path, name.clone()), file);
            declarations.in_packages.insert((package, name), file);
            declarations.packages.insert(package);
        }
        declarations
    }
}

fn check_files(
    kind: &Kind,
    before: &Declarations<'_>,
    after: &Declarations<'_>,
    new: &Index<'_>,
    findings: &mut Findings,
) {
    for (path, name) in before.in_files.keys() {
        if after.in_files.contains_key(&(*path, name.clone())) {
            continue;
        }
        if let Some(file) = new.files.get(path) {
            findings.add(
                kind.file_rule,
                file,
                || enclosing_position(new, file, name),
                || {
                    format!(
                        "{} `{name}` was deleted from its file; bring it back there",
                        kind.name
                    )
                },
            );
        }
    }
}

fn check_kind_in_packages(
    kind: &Kind,
    before: &Declarations<'_>,
    after: &Declarations<'_>,
    new: &Index<'_>,
    findings: &mut Findings,
) {
    for ((package, name), file) in &before.in_packages {
        if after.in_packages.contains_key(&(*package, name.clone())) || !after.packages.contains(package) {
            continue;
        }
        let message = || {
            let (kind, package) = (kind.name, bounded(package));
            format!(
                "{kind} `{name}` was deleted from package `{package}`; bring it back in any file of the package"
            )
        };
        match place(kind, package, name, file, new) {
            Some((file, position)) => findings.add(kind.package_rule, file, || position, message),
            None => findings.add_without_place(kind.package_rule, message),
        }
    }
}

/// Where a deletion from a package is told; nowhere when the file is gone.
fn place<'m>(
    kind: &Kind,
    package: &str,
    name: &str,
    before: &File<'_>,
    new: &'m Index<'m>,
) -> Option<(&'m File<'m>, Option<Position>)> {
    let file: &File<'_> = new.files.get(before.proto.name.as_str())?;
    if kind.package_rule != Rule::PackageMessageNoDelete {
        return Some((file, enclosing_position(new, file, name)));
    }
    // What a message was in is looked for in all files of the package, as buf does; what else there is, in its own file.
    let mut outer = outer_messages(new, package, name);
    let found = outer.next().map(|message| (message.file, message.position()));
    Some(found.unwrap_or((file, None)))
}

/// The position of the innermost message that is still in the file of those that the name is nested in.
fn enclosing_position(new: &Index<'_>, file: &File<'_>, nested_name: &str) -> Option<Position> {
    let mut outer = outer_messages(new, &file.proto.package, nested_name);
    let in_file = outer.find(|message| message.file.proto.name == file.proto.name);
    in_file?.position()
}

/// The messages that are still there of those that the name is nested in, the innermost first.
fn outer_messages<'m, 'n>(
    new: &'m Index<'m>,
    package: &'n str,
    nested_name: &'n str,
) -> impl Iterator<Item = &'m Message<'m>> + use<'m, 'n> {
    let ends = nested_name.rmatch_indices('.').map(|(end, _)| end);
    let outer = ends.filter_map(|end| nested_name.get(..end));
    outer.filter_map(move |outer| new.message(&joined(package, outer)))
}
