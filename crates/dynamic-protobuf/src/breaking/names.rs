//! Complete names, each of bounded length: a small descriptor set can put many short names into one long one, and lists of
//! names that people can take in.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Display;
use std::hash::{Hash, Hasher};

/// The longest name that is kept as it is.
const MAX_NAME_BYTES: usize = 1_024;
/// What is kept of a longer one, beside what tells it from others.
const KEPT_BYTES: usize = 256;
/// How many things a sentence lists.
const MAX_LISTED: usize = 8;

/// The complete name of what `scope` declares as `name`.
pub(super) fn joined(scope: &str, name: &str) -> String {
    match scope {
        "" => bounded(name).into_owned(),
        scope => bounded(&format!("{scope}.{name}")).into_owned(),
    }
}

/// A type's name as written in a descriptor, in the form that [`joined`] gives it.
pub(super) fn complete(name: &str) -> Cow<'_, str> {
    let name = undotted(name);
    if name.len() <= MAX_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let join = |scope: String, part| joined(&scope, part);
    Cow::Owned(name.split('.').fold(String::new(), join))
}

/// A type's name as written in a descriptor, without the dot that says it is complete.
pub(super) fn undotted(name: &str) -> &str {
    name.strip_prefix('.').unwrap_or(name)
}

/// The name, or of a longer one than anybody writes its beginning and a digest of all.
pub(super) fn bounded(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let kept = name
        .get(..name.floor_char_boundary(KEPT_BYTES))
        .unwrap_or_default();
    let digest = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, name).hash(&mut hasher);
        hasher.finish()
    };
    Cow::Owned(format!("{kept}…{:016x}{:016x}", digest(0), digest(1)))
}

/// The first of many things as a sentence lists them.
pub(super) fn listed<T: Display>(mut all: impl Iterator<Item = T>) -> String {
    let mut parts: Vec<String> = all.by_ref().take(MAX_LISTED).map(|one| one.to_string()).collect();
    if all.next().is_some() {
        parts.push("and more".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_joined_part_by_part_and_read_whole() {
        let parts = [
            "a".repeat(1_000),
            "b".repeat(20),
            "é".repeat(400),
            "c".to_owned(),
            "d".to_owned(),
        ];
        let mut scope = String::new();
        for (count, part) in parts.iter().enumerate() {
            scope = joined(&scope, part);
            assert!(scope.len() <= MAX_NAME_BYTES);
            assert_eq!(complete(&format!(".{}", parts[..=count].join("."))), scope);
        }
        assert_ne!(scope, joined(&parts[..4].join("."), "e"));
    }

    #[test]
    fn a_long_list_ends_early() {
        assert_eq!(listed(0..3), "0, 1, 2");
        assert_eq!(listed(0..8), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(listed(0..), "0, 1, 2, 3, 4, 5, 6, 7, and more");
    }
}
