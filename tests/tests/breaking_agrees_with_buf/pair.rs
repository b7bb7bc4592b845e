//! Two versions of something, compiled, and what both tools make of them.

use crate::edit::Edit;
use crate::mutant::{Mutant, write};
use crate::oracle::{Buf, Told, counted};
use crate::real;
use anyhow::{Result, ensure};
use heddle_dynamic_protobuf::breaking::{Finding, Level, Rule, check};
use heddle_dynamic_protobuf::descriptor::FileDescriptorSet;
use heddle_tests::public_idl::Idl;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How many differences are printed.
const MOST_PRINTED: usize = 30;

/// The descriptor sets of both versions.
pub(crate) struct Pair {
    pub(crate) against: PathBuf,
    pub(crate) new: PathBuf,
    folder: TempDir,
}

impl Pair {
    fn empty() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            against: folder.path().join("against.binpb"),
            new: folder.path().join("new.binpb"),
            folder,
        })
    }

    /// Compiles mutants, and leaves out those that are no schemas.
    pub(crate) fn of_mutants(buf: &Buf, mutants: &mut Vec<Mutant>) -> Result<Self> {
        let pair = Self::empty()?;
        loop {
            let after = mutants.iter().map(|mutant| &mutant.after);
            let mut wrong = pair.compile(buf, &pair.new, |folder| write(folder, after))?;
            if wrong.is_empty() {
                wrong = buf.refused(&pair.new)?;
            }
            if wrong.is_empty() {
                break;
            }
            mutants.retain(|mutant| !wrong.contains(&mutant.name));
        }
        let before = mutants.iter().map(|mutant| &mutant.before);
        let wrong = pair.compile(buf, &pair.against, |folder| write(folder, before))?;
        ensure!(wrong.is_empty(), "bases do not compile: {wrong:?}");
        Ok(pair)
    }

    /// Compiles two versions of public IDL.
    pub(crate) fn of_idl(former: &Idl, current: &Idl) -> Result<Self> {
        let pair = Self::empty()?;
        real::compile(former, &pair.against)?;
        real::compile(current, &pair.new)?;
        Ok(pair)
    }

    /// The same the other way round: what was added is then deleted.
    pub(crate) fn reversed(self) -> Self {
        Self {
            against: self.new,
            new: self.against,
            folder: self.folder,
        }
    }

    /// Compiles what `fill` puts into a folder: gives the folders of the files that are wrong.
    fn compile(
        &self,
        buf: &Buf,
        to: &Path,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<BTreeSet<String>> {
        let sources = tempfile::tempdir_in(self.folder.path())?;
        fill(sources.path())?;
        buf.build(sources.path(), to)
    }

    fn check(&self, level: Level) -> Result<Vec<Finding>> {
        let read =
            |path: &Path| -> Result<FileDescriptorSet> { Ok(FileDescriptorSet::decode(&fs::read(path)?)?) };
        Ok(check(&read(&self.against)?, &read(&self.new)?, level))
    }

    /// What one of the two tells at a level and the other does not, each with what it says in words.
    pub(crate) fn differences(&self, level: Level, theirs: &[(Told, String)]) -> Result<Vec<String>> {
        let ours = self.check(level)?;
        let our_count = counted(ours.iter().map(Told::from));
        let their_count = counted(theirs.iter().map(|(told, _)| told.clone()));
        let only_ours = ours.iter().filter(|finding| {
            let told = Told::from(*finding);
            our_count.get(&told) > their_count.get(&told)
        });
        let only_theirs = theirs
            .iter()
            .filter(|(told, _)| their_count.get(told) > our_count.get(told));
        let only_ours = only_ours.map(|finding| format!("only we: {finding}"));
        Ok(only_ours
            .chain(only_theirs.map(|(told, message)| format!("only buf: {told} {message}")))
            .collect())
    }

    /// The mutants, by their folders, in which a level finds something that has a place.
    pub(crate) fn broken_at(&self, level: Level) -> Result<BTreeSet<String>> {
        let found = self.check(level)?;
        let files = found
            .iter()
            .filter_map(|finding| finding.location.as_ref())
            .map(|location| &location.file);
        Ok(files
            .filter_map(|file| file.split('/').next())
            .map(str::to_owned)
            .collect())
    }

    /// Fails unless both tools tell the same at each level. Gives the rules that were broken.
    pub(crate) fn assert_agreement(&self, buf: &Buf, mutants: &[Mutant]) -> Result<BTreeSet<String>> {
        let theirs = buf.breaking(&self.against, &self.new, &Level::ALL)?;
        for level in Level::ALL {
            let at_level: Vec<(Told, String)> = theirs
                .iter()
                .filter(|(told, _)| is_on(&told.rule, level))
                .cloned()
                .collect();
            let differences = self.differences(level, &at_level)?;
            print(&differences, mutants);
            ensure!(
                differences.is_empty(),
                "{} differences at {level}",
                differences.len()
            );
            println!("{level}: {} findings", at_level.len());
        }
        Ok(theirs.into_iter().map(|(told, _)| told.rule).collect())
    }
}

fn is_on(rule: &str, level: Level) -> bool {
    let rule = Rule::ALL.iter().find(|known| known.as_str() == rule);
    rule.is_some_and(|rule| rule.is_on_at(level))
}

/// Differences, and how the mutants came about that have them.
fn print(differences: &[String], mutants: &[Mutant]) {
    for difference in differences.iter().take(MOST_PRINTED) {
        println!("{difference}");
    }
    let has_any = |mutant: &&Mutant| {
        let folder = format!(" {}/", mutant.name);
        differences.iter().any(|line| line.contains(&folder))
    };
    for mutant in mutants.iter().filter(has_any).take(MOST_PRINTED) {
        let edits: Vec<String> = mutant.edits.iter().map(Edit::to_string).collect();
        println!("{}: {}", mutant.name, edits.join(", "));
    }
}
