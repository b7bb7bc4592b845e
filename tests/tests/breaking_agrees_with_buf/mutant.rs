//! Schemas that differ from a base by a few edits at random. Edits know little of the language: what does not compile
//! afterwards is thrown away, so that they can be bold.

use crate::edit::Edit;
use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The lines of `.proto` files by path.
pub(crate) type Files = BTreeMap<String, Vec<String>>;

/// A base before and after its edits, in a package and a folder of its own so that many fit into one descriptor set.
pub(crate) struct Mutant {
    /// Its package and folder.
    pub(crate) name: String,
    pub(crate) edits: Vec<Edit>,
    pub(crate) before: Files,
    pub(crate) after: Files,
}

/// The bases, with the name `mutant` where each mutant's own goes.
const BASES: [[(&str, &str); 3]; 3] = [
    [
        ("main", include_str!("../../fixtures/breaking/proto2/main.proto")),
        (
            "other",
            include_str!("../../fixtures/breaking/proto2/other.proto"),
        ),
        (
            "extra",
            include_str!("../../fixtures/breaking/proto2/extra.proto"),
        ),
    ],
    [
        ("main", include_str!("../../fixtures/breaking/proto3/main.proto")),
        (
            "other",
            include_str!("../../fixtures/breaking/proto3/other.proto"),
        ),
        (
            "extra",
            include_str!("../../fixtures/breaking/proto3/extra.proto"),
        ),
    ],
    [
        (
            "main",
            include_str!("../../fixtures/breaking/editions/main.proto"),
        ),
        (
            "other",
            include_str!("../../fixtures/breaking/editions/other.proto"),
        ),
        (
            "extra",
            include_str!("../../fixtures/breaking/editions/extra.proto"),
        ),
    ],
];

impl Mutant {
    /// The mutant that this number stands for, always the same.
    pub(crate) fn number(number: u64) -> Self {
        let mut random = StdRng::seed_from_u64(number);
        let name = format!("m{number}");
        let base = &BASES[(number % 3) as usize];
        let before: Files = base
            .iter()
            .map(|(file, text)| (format!("{name}/{file}.proto"), lines(text, &name)))
            .collect();
        let mut mutant = Self {
            edits: Vec::new(),
            after: before.clone(),
            before,
            name,
        };
        for _ in 0..*[1, 1, 1, 2, 3].choose(&mut random).unwrap_or(&1) {
            let edit = Edit::random(&mut random, &mut mutant.after, &mutant.name);
            mutant.edits.extend(edit);
        }
        mutant
    }
}

fn lines(text: &str, name: &str) -> Vec<String> {
    text.replace("mutant", name).lines().map(str::to_owned).collect()
}

/// Writes one version of all mutants into `folder`.
pub(crate) fn write<'m>(folder: &Path, versions: impl Iterator<Item = &'m Files>) -> Result<()> {
    for (path, lines) in versions.flatten() {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a file has no folder")?)?;
        fs::write(path, lines.join("\n") + "\n")?;
    }
    Ok(())
}
