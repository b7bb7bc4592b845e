//! The same program on a laptop or in the CI of a pull request.

use crate::harness::{FOOD, PET, Stage};
use std::fs;
use std::process::{Command, Stdio};

/// A checkout of the source, with changes.
fn checkout(stage: &Stage, files: &[(&str, &str)]) -> String {
    let folder = stage.path("checkout");
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder.display().to_string()
}

#[test]
fn a_dry_run_shows_the_diff_and_pushes_nothing() {
    let stage = Stage::new();
    stage.deliver();
    let tip = stage.output.branch("main").unwrap();
    stage.commit(
        "Rename",
        &[(PET.0, &PET.1.replace("string name = 1", "string nickname = 1"))],
    );
    let ended = stage.run_with(&["--dry-run"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for part in [
        "--- a/rust/zoo/v1/zoo.v1.rs\n+++ b/rust/zoo/v1/zoo.v1.rs\n@@ ",
        "\n-    pub name: ::prost::alloc::string::String,\n+    pub nickname: ::prost::alloc::string::String,\n",
        "\nWould deliver: 1 file written, 2 unchanged\n",
    ] {
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'), "colours are for terminals");
    assert_eq!(stage.output.branch("main").unwrap(), tip);
}

#[test]
fn a_working_directory_can_be_compared_before_it_is_pushed() {
    let stage = Stage::new();
    stage.deliver();
    let folder = checkout(&stage, &[PET, FOOD]);
    let ended = stage.run_with(&["--dry-run", "--local-source", &folder]);
    assert_eq!(
        ended.stdout, "Would deliver: 0 files written, 3 unchanged\n",
        "{ended:#?}"
    );
    // Without --dry-run there would be no commit to name in the trailers.
    assert_eq!(stage.run_with(&["--local-source", &folder]).code, Some(2));
}

#[test]
fn check_compiles_a_working_directory_without_a_network() {
    let mut stage = Stage::new();
    stage.source_url = "https://git.invalid/idl.git".into();
    let folder = checkout(&stage, &[PET, FOOD]);
    let output = stage
        .command("check", &["--local-source", &folder])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 files compile\n");
    checkout(&stage, &[(PET.0, "syntax = \"proto3\";\nmessage {}\n")]);
    let output = stage
        .command("check", &["--local-source", &folder])
        .env("HEDDLE_LOG_FORMAT", "human")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(65));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in [
        "error: failed to compile the IDL: 1 problem\n\nzoo/v1/pet.proto:2:9:",
        "\n2 | message {}\n",
        "\nhint: ",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn check_compiles_the_commit_that_the_reference_means() {
    let stage = Stage::new();
    let output = stage.command("check", &[]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 files compile\n");
}

#[test]
fn plugins_are_listed_with_versions_and_places() {
    let stage = Stage::new();
    stage.plugin("mine", "#!/bin/sh\necho protoc-gen-mine 3.2.1\n");
    stage.plugin("mute", "#!/bin/sh\nexit 1\n");
    let output = Command::new(env!("CARGO_BIN_EXE_heddle-codegen"))
        .args(["plugins", "--plugin-folder"])
        .arg(stage.path("plugins"))
        .env("PATH", "/nonexistent")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let place = stage.path("plugins/protoc-gen-mine").display().to_string();
    assert_eq!(lines[0], ["prost", "0.5.0", "built", "in"]);
    assert_eq!(lines[2], ["mine", "3.2.1", &place]);
    assert!(
        lines[3][0] == "mute" && lines[3][1].starts_with("sha256:"),
        "{list}"
    );
}

#[test]
fn plugins_are_found_and_run_by_relative_paths() {
    let stage = Stage::new();
    stage.plugin("mine", "#!/bin/sh\necho protoc-gen-mine 3.2.1\n");
    for (folder, path) in [("plugins", "/nonexistent"), ("/nonexistent", "plugins")] {
        let output = Command::new(env!("CARGO_BIN_EXE_heddle-codegen"))
            .args(["plugins", "--plugin-folder", folder])
            .env("PATH", path)
            .current_dir(stage.folder.path())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let list = String::from_utf8(output.stdout).unwrap();
        // The version is what it said, and so it ran.
        let line = list.lines().find(|line| line.starts_with("mine ")).unwrap();
        assert!(line.contains(" 3.2.1 "), "{line}");
        let place = stage.path("plugins/protoc-gen-mine").display().to_string();
        assert!(line.ends_with(&place), "{line}");
    }
}
