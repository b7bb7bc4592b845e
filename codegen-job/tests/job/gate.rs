//! Breaking changes, as a Job and a person at a terminal hear of them.

use crate::harness::{Ended, FOOD, PET, Stage};
use heddle_crds::codegen::EXIT_BREAKING;
use heddle_crds::idl_repo::Reason;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A field of another type.
fn broken() -> String {
    PET.1.replace("string name", "int64 name")
}

fn gated(policy: &str) -> (Stage, String) {
    let mut stage = Stage::new();
    stage.output_fields = format!("  compatibility: {{policy: {policy}}}");
    stage.deliver();
    let first = stage.source.branch("main").unwrap().unwrap();
    (stage, first)
}

fn against(stage: &Stage, commit: &str, more: &[&str]) -> Ended {
    let against = format!("--against={commit}");
    let mut arguments = vec![against.as_str()];
    arguments.extend(more);
    stage.run_with(&arguments)
}

#[test]
fn a_refused_commit_leaves_the_output_as_it_is_and_reports_what_it_breaks() {
    let (stage, first) = gated("Refuse");
    let tip = stage.output.branch("main").unwrap();
    let second = stage.commit("Break", &[(PET.0, &broken())]);
    let ended = against(&stage, &first, &[]);
    let command = format!("heddle.dev/accept-breaking={second}");
    ended.expect_failure(
        Reason::BreakingChanges,
        &[
            "zoo/v1/pet.proto:5:15: FIELD_SAME_TYPE: ",
            "\n5 | message Pet",
            &command,
        ],
    );
    let report = ended.report.unwrap();
    let comparison = report.comparison.unwrap();
    assert_eq!((comparison.against, comparison.breaking_changes), (first, 1));
    assert!(!report.delivered);
    assert_eq!(stage.output.branch("main").unwrap(), tip);
}

#[test]
fn an_accepted_commit_says_so_in_its_trailer() {
    let (stage, first) = gated("Refuse");
    stage.commit("Break", &[(PET.0, &broken())]);
    let ended = against(&stage, &first, &["--accept-breaking"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.report.unwrap().comparison.unwrap().accepted);
    let message = &stage.output.log("main").unwrap()[0].message;
    let trailer = format!("\nHeddle-Breaking-Changes: 1 since {first}, accepted\n");
    assert!(message.contains(&trailer), "{message}");
}

#[test]
fn a_commit_that_is_gone_cannot_be_compared_with_and_closes_the_gate_by_refusal_alone() {
    let gone = "1".repeat(40);
    let (stage, _) = gated("Refuse");
    against(&stage, &gone, &[]).expect_failure(Reason::BaselineUnavailable, &[&gone, "accept-breaking"]);
    let (stage, _) = gated("Warn");
    let ended = against(&stage, &gone, &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let comparison = ended.report.unwrap().comparison.unwrap();
    assert!(comparison.problem.unwrap().contains(&gone));
}

#[test]
fn a_dry_run_shows_what_would_break_before_the_diff() {
    let (stage, first) = gated("Refuse");
    stage.commit("Break", &[(PET.0, &broken())]);
    let ended = against(&stage, &first, &["--dry-run"]);
    let found = ended.stdout.find("zoo/v1/pet.proto:5:15: FIELD_SAME_TYPE: ");
    let diff = ended.stdout.find("--- a/rust/zoo");
    assert!(found.is_some() && found < diff, "{}", ended.stdout);
}

/// A checkout of the source's main branch.
fn checkout(stage: &Stage) -> PathBuf {
    let folder = stage.path("checkout");
    let status = Command::new("git")
        .args(["clone", "--quiet"])
        .arg(stage.source.path())
        .arg(&folder)
        .status();
    assert!(status.unwrap().success());
    folder
}

fn check(stage: &Stage, folder: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["--local-source", folder];
    arguments.extend(more);
    let mut command = stage.command("check", &arguments);
    command.env("HEDDLE_LOG_FORMAT", "human").output().unwrap()
}

#[test]
fn a_checkout_is_compared_with_a_revision_of_itself_without_a_network() {
    let mut stage = Stage::new();
    let folder = checkout(&stage);
    stage.source_url = "https://git.invalid/idl.git".into();
    let name = folder.display().to_string();
    let output = check(&stage, &name, &["--against", "main"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("No breaking changes since "));

    fs::write(folder.join(PET.0), broken()).unwrap();
    let output = check(&stage, &name, &["--against", "main"]);
    assert_eq!(output.status.code(), Some(EXIT_BREAKING));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "zoo/v1/pet.proto:5:15: FIELD_SAME_TYPE: ",
        "\n5 | message Pet { int64 name = 1; }\n  |               ^^^^^\n",
        "\n1 breaking change since ",
        "2 files compile\n",
    ] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    let output = check(&stage, &name, &["--against", "nowhere"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"nowhere\""));
}

#[test]
fn a_level_decides_what_counts() {
    let stage = Stage::new();
    let folder = checkout(&stage);
    let renamed = PET.1.replace("string name", "string nick");
    fs::write(folder.join(PET.0), renamed).unwrap();
    let name = folder.display().to_string();
    for (level, code) in [("wire", 0), ("WIRE_JSON", EXIT_BREAKING), ("file", EXIT_BREAKING)] {
        let output = check(&stage, &name, &["--against", "HEAD", "--level", level]);
        assert_eq!(output.status.code(), Some(code), "{level}: {output:?}");
    }
    let output = check(&stage, &name, &["--against", "HEAD", "--level", "loose"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("wire-json"));
}

#[test]
fn a_file_with_descriptors_can_be_compared_with() {
    let stage = Stage::new();
    let folder = checkout(&stage);
    let set = stage.path("old.binpb");
    let mut compiler = protox::Compiler::new([&folder]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([PET.0, FOOD.0]).unwrap();
    fs::write(&set, compiler.encode_file_descriptor_set()).unwrap();
    let (name, set) = (folder.display().to_string(), set.display().to_string());
    assert_eq!(check(&stage, &name, &["--against", &set]).status.code(), Some(0));
    fs::remove_file(folder.join(FOOD.0)).unwrap();
    let output = check(&stage, &name, &["--against", &set]);
    assert_eq!(output.status.code(), Some(EXIT_BREAKING), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("FILE_NO_DELETE: "));
}
