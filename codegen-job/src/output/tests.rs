//! Plans for every state that an output branch can be in.

use super::*;
use crate::plugin::GeneratedFile;

const RECORD: &str = "gen/.heddle/shop.idl.json";

fn owner() -> Owner {
    Owner {
        namespace: "shop".into(),
        name: "idl".into(),
    }
}

fn generated(files: &[(&str, &str)]) -> GeneratedFiles {
    let file = |text: &str| GeneratedFile {
        text: text.into(),
        generator: "rust".into(),
    };
    GeneratedFiles(
        files
            .iter()
            .map(|(path, text)| (RepoPath::parse(path).unwrap(), file(text)))
            .collect(),
    )
}

/// `there` are the files of the branch, `recorded` those of the record with the contents they were written with.
fn observed(there: &[(&str, &str)], recorded: Option<&[(&str, &str)]>) -> ObservedOutput {
    let mut contents: BTreeMap<String, Vec<u8>> = there
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    let own = recorded.map(|files| Manifest {
        owner: owner(),
        files: files
            .iter()
            .map(|(path, text)| (RepoPath::parse(path).unwrap(), digest(text.as_bytes())))
            .collect(),
    });
    if let Some(own) = &own {
        contents.insert(RECORD.into(), own.to_bytes());
    }
    ObservedOutput {
        paths: contents.keys().cloned().collect(),
        contents,
        own,
        former: BTreeMap::new(),
        others: BTreeMap::new(),
    }
}

fn attempt(files: &[(&str, &str)], observed: &ObservedOutput) -> Result<Plan, PlanError> {
    plan(
        &owner(),
        &RepoPath::parse("gen").unwrap(),
        &generated(files),
        observed,
    )
}

/// Expects these changes: `+path`, `-path`; and the counts written, pruned and unchanged.
fn check(files: &[(&str, &str)], observed: &ObservedOutput, expected: &[&str], counts: [u32; 3]) -> Plan {
    let plan = attempt(files, observed).unwrap();
    let changes: Vec<_> = plan
        .edits
        .iter()
        .map(|(path, edit)| format!("{}{path}", if *edit == Edit::Delete { '-' } else { '+' }))
        .collect();
    assert_eq!(changes, expected);
    assert_eq!(
        [plan.counts.written, plan.counts.pruned, plan.counts.unchanged],
        counts
    );
    plan
}

fn check_refused(files: &[(&str, &str)], observed: &ObservedOutput, expected: &[&str]) {
    let message = attempt(files, observed).unwrap_err().to_string();
    for part in expected {
        assert!(message.contains(part), "expected {part:?} in {message}");
    }
}

#[test]
fn the_first_run_writes_everything_and_the_second_nothing() {
    let files = [("a.rs", "A"), ("b/c.rs", "C")];
    check(
        &files,
        &observed(&[("README", "")], None),
        &["+gen/.heddle/shop.idl.json", "+gen/a.rs", "+gen/b/c.rs"],
        [2, 0, 0],
    );
    check(
        &files,
        &observed(&[("gen/a.rs", "A"), ("gen/b/c.rs", "C")], Some(&files)),
        &[],
        [0, 0, 2],
    );
}

#[test]
fn what_is_no_longer_generated_is_pruned_and_peoples_files_stay() {
    let there = [("gen/a.rs", "A"), ("gen/old.rs", "O"), ("gen/mine.rs", "M")];
    let before = observed(&there, Some(&[("a.rs", "A"), ("old.rs", "O")]));
    let plan = check(
        &[("a.rs", "A2")],
        &before,
        &["+gen/.heddle/shop.idl.json", "+gen/a.rs", "-gen/old.rs"],
        [1, 1, 0],
    );
    assert!(plan.reclaimed.is_empty());
}

#[test]
fn nothing_generated_any_more_takes_the_record_away_too() {
    let before = observed(&[("gen/a.rs", "A")], Some(&[("a.rs", "A")]));
    check(
        &[],
        &before,
        &["-gen/.heddle/shop.idl.json", "-gen/a.rs"],
        [0, 1, 0],
    );
    check(&[], &observed(&[], None), &[], [0, 0, 0]);
}

#[test]
fn heddles_files_that_were_edited_or_removed_come_back() {
    let before = observed(
        &[("gen/a.rs", "edited"), ("gen/old.rs", "edited")],
        Some(&[("a.rs", "A"), ("b.rs", "B"), ("old.rs", "O")]),
    );
    let plan = check(
        &[("a.rs", "A"), ("b.rs", "B")],
        &before,
        &[
            "+gen/.heddle/shop.idl.json",
            "+gen/a.rs",
            "+gen/b.rs",
            "-gen/old.rs",
        ],
        [2, 1, 0],
    );
    assert_eq!(plan.reclaimed, ["gen/a.rs", "gen/old.rs"]);
}

#[test]
fn a_file_of_somebody_is_a_conflict_unless_it_is_the_same() {
    check_refused(
        &[("a.rs", "A")],
        &observed(&[("gen/a.rs", "mine")], None),
        &["gen/a.rs is in the way and was not written by Heddle"],
    );
    check_refused(
        &[("a.rs", "A")],
        &observed(&[("gen/a.rs", "mine")], Some(&[("b.rs", "B")])),
        &["gen/a.rs is in the way"],
    );
    check(
        &[("a.rs", "A")],
        &observed(&[("gen/a.rs", "A")], None),
        &["+gen/.heddle/shop.idl.json"],
        [0, 0, 1],
    );
    let many: Vec<(String, String)> = (0..8).map(|n| (format!("gen/{n}"), String::new())).collect();
    let many: Vec<_> = many
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let files: Vec<_> = many
        .iter()
        .map(|(path, _)| (path.strip_prefix("gen/").unwrap(), "x"))
        .collect();
    check_refused(
        &files,
        &observed(&many, None),
        &["gen/0, gen/1, gen/2, gen/3, gen/4 and 3 more"],
    );
}

#[test]
fn a_link_or_submodule_in_the_way_has_no_contents_and_is_a_conflict() {
    let mut before = observed(&[], None);
    before.paths.insert("gen/a.rs".into());
    check_refused(&[("a.rs", "")], &before, &["gen/a.rs is in the way"]);
}

#[test]
fn a_file_of_another_idl_repo_is_a_conflict_even_if_it_is_the_same() {
    let mut before = observed(&[("gen/a.rs", "A")], None);
    before.others.insert(
        "gen/a.rs".into(),
        ForeignRecord {
            path: "gen/.heddle/zoo.pets.json".into(),
            owner: Owner {
                namespace: "zoo".into(),
                name: "pets".into(),
            },
        },
    );
    check_refused(
        &[("a.rs", "A")],
        &before,
        &[
            "gen/a.rs: it belongs to the IdlRepo zoo/pets",
            "if that IdlRepo is gone, delete gen/.heddle/zoo.pets.json and the files it names",
        ],
    );
}

#[test]
fn what_a_former_record_of_the_same_idl_repo_names_is_taken_over_and_the_record_removed() {
    let mut before = observed(&[("gen/a.rs", "A"), ("gen/b.rs", "B"), ("gen/old.rs", "O")], None);
    let names = [("gen/a.rs", "A"), ("gen/b.rs", "B"), ("gen/old.rs", "O")];
    let former = names.map(|(path, text)| (path.to_owned(), digest(text.as_bytes())));
    before
        .former
        .insert(".heddle/shop.idl.json".into(), former.into());
    let plan = check(
        &[("a.rs", "A"), ("b.rs", "B2")],
        &before,
        &[
            "-.heddle/shop.idl.json",
            "+gen/.heddle/shop.idl.json",
            "+gen/b.rs",
            "-gen/old.rs",
        ],
        [1, 1, 1],
    );
    assert!(plan.reclaimed.is_empty());
}

#[test]
fn files_and_directories_do_not_shadow_each_other() {
    check_refused(
        &[("a/b.rs", "")],
        &observed(&[("gen/a", "")], None),
        &["gen/a is a file where a directory has to be"],
    );
    check_refused(
        &[("a", "")],
        &observed(&[("gen/a/b.rs", "")], None),
        &["gen/a/b.rs is in a directory where a file has to be"],
    );
    let own = observed(&[("gen/a", "A")], Some(&[("a", "A")]));
    check(
        &[("a/b.rs", "")],
        &own,
        &["+gen/.heddle/shop.idl.json", "-gen/a", "+gen/a/b.rs"],
        [1, 1, 0],
    );
}

#[test]
fn the_folder_of_records_is_reserved() {
    check_refused(
        &[(".heddle/shop.idl.json", "{}")],
        &observed(&[], None),
        &["of generator \"rust\"", ".heddle is Heddle's own"],
    );
}
