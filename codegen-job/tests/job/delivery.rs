//! A commit of IDL in, a commit of generated code out: once, exactly what is needed, and nothing of others touched.

use crate::harness::{Ended, FOOD, PROST, Stage, TRACE_ID};
use heddle_crds::idl_repo::Reason;

const RECORD: &str = ".heddle/pets.zoo.json";

#[test]
fn a_commit_of_idl_becomes_a_commit_of_code_with_trailers() {
    let mut stage = Stage::new();
    stage.output_fields = "    author: {name: Weaver, email: weaver@example.com}".into();
    let report = stage.deliver();
    assert!(report.committed);
    assert_eq!(
        (report.files.written, report.files.pruned, report.files.unchanged),
        (3, 0, 0)
    );
    let log = stage.output.log("main").unwrap();
    assert_eq!(report.output_revision.as_deref(), Some(log[0].id.as_str()));
    assert_eq!(log[0].author, "Weaver <weaver@example.com>");
    let source = stage.source.branch("main").unwrap().unwrap();
    assert_eq!(report.source_revision, source);
    let message = &log[0].message;
    let expected = format!(
        "Generate code from {url} at {short}\n\nHeddle-Source: {url}\nHeddle-Source-Commit: {source}\n\
         Heddle-Plugin: prost 0.5.0\nTraceparent: 00-{TRACE_ID}-",
        url = stage.source_url,
        short = &source[..12]
    );
    assert!(message.starts_with(&expected), "{message}");
    let expected = [
        RECORD,
        "rust/mod.rs",
        "rust/zoo/food/v1/zoo.food.v1.rs",
        "rust/zoo/v1/zoo.v1.rs",
    ];
    assert_eq!(stage.delivered_paths(), expected);
}

#[test]
fn the_same_idl_again_makes_no_commit() {
    let stage = Stage::new();
    let first = stage.deliver();
    stage.commit("Nothing that counts", &[("README.md", "hello")]);
    let second = stage.deliver();
    assert!(!second.committed);
    assert_eq!(second.output_revision, first.output_revision);
    assert_ne!(second.source_revision, first.source_revision);
    assert_eq!(second.files.unchanged, 3);
    assert_eq!(stage.output.log("main").unwrap().len(), 1);
}

#[test]
fn what_is_no_longer_generated_is_pruned_and_peoples_files_stay() {
    let stage = Stage::new();
    stage
        .output
        .commit(
            "main",
            "By hand",
            &[("rust/mine.rs", Some(b"mine")), ("README.md", Some(b"ours"))],
        )
        .unwrap();
    stage.deliver();
    stage.source.commit("main", "No food", &[(FOOD.0, None)]).unwrap();
    let report = stage.deliver();
    assert_eq!((report.files.written, report.files.pruned), (1, 1));
    assert_eq!(
        stage.delivered_paths(),
        [
            RECORD,
            "README.md",
            "rust/mine.rs",
            "rust/mod.rs",
            "rust/zoo/v1/zoo.v1.rs"
        ]
    );
}

#[test]
fn a_generated_file_that_was_edited_comes_back() {
    let stage = Stage::new();
    stage.deliver();
    let before = stage.delivered();
    stage
        .output
        .commit("main", "Edit", &[("rust/mod.rs", Some(b"edited"))])
        .unwrap();
    let ended = stage.run();
    assert!(ended.report.as_ref().unwrap().committed);
    assert_eq!(stage.delivered(), before);
    assert!(
        ended.stderr.contains("a generated file had been edited"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_of_somebody_is_never_overwritten() {
    let stage = Stage::new();
    let tip = stage
        .output
        .commit("main", "By hand", &[("rust/mod.rs", Some(b"mine"))])
        .unwrap();
    stage.run().expect_failure(
        Reason::OutputConflict,
        &["rust/mod.rs is in the way and was not written by Heddle"],
    );
    assert_eq!(stage.output.branch("main").unwrap(), Some(tip));
}

#[test]
fn a_file_of_another_idl_repo_is_never_overwritten() {
    let stage = Stage::new();
    stage.deliver();
    let files = stage.output.files("main").unwrap();
    let record = String::from_utf8(files[RECORD].clone())
        .unwrap()
        .replace("\"zoo\"", "\"other\"");
    let moved = [
        (RECORD, None),
        (".heddle/pets.other.json", Some(record.as_bytes())),
    ];
    stage.output.commit("main", "Another", &moved).unwrap();
    stage.run().expect_failure(
        Reason::OutputConflict,
        &[
            "rust/mod.rs: it belongs to the IdlRepo pets/other",
            "delete .heddle/pets.other.json and the files it names",
        ],
    );
}

#[test]
fn an_idl_repo_does_not_conflict_with_itself_when_a_directory_moves_from_the_output_to_its_generator() {
    let mut stage = Stage::new();
    stage.output_fields = "    path: rust".into();
    stage.generate = vec!["{name: rust, plugin: prost}".into()];
    stage.deliver();
    stage.output_fields = String::new();
    stage.generate = vec![PROST.into()];
    let report = stage.deliver();
    assert_eq!((report.files.written, report.files.pruned), (0, 0));
    let paths = stage.delivered_paths();
    assert!(paths.contains(&RECORD.to_owned()), "{paths:?}");
    assert!(!paths.contains(&format!("rust/{RECORD}")), "{paths:?}");
}

#[test]
fn what_was_written_below_a_former_path_stays_when_nothing_of_it_is_generated_again() {
    let mut stage = Stage::new();
    stage.deliver();
    let before = stage.delivered();
    stage.output_fields = "    path: elsewhere".into();
    stage.deliver();
    let after = stage.delivered();
    assert!(before.iter().all(|file| after.contains(file)), "{after:?}");
}

#[test]
fn a_missing_branch_starts_at_the_default_branch() {
    let mut stage = Stage::new();
    let tip = stage
        .output
        .commit("main", "By hand", &[("README.md", Some(b"ours"))])
        .unwrap();
    stage.output_fields = "    branch: generated\n    path: gen".into();
    stage.deliver();
    let log = stage.output.log("generated").unwrap();
    assert_eq!(log[0].parents, [tip.as_str()]);
    assert!(
        stage
            .output
            .files("generated")
            .unwrap()
            .contains_key("gen/rust/mod.rs")
    );
    assert_eq!(stage.output.branch("main").unwrap(), Some(tip));
}

#[test]
fn a_missing_branch_is_created_also_when_nothing_changes() {
    let mut stage = Stage::new();
    let first = stage.deliver();
    stage.output_fields = "    branch: copy".into();
    let second = stage.deliver();
    assert!(!second.committed);
    assert_eq!(stage.output.branch("copy").unwrap(), first.output_revision);
}

#[test]
fn a_push_of_others_in_mid_run_is_built_upon() {
    let stage = Stage::new();
    let first = stage
        .output
        .commit("main", "By hand", &[("README.md", Some(b"1"))])
        .unwrap();
    let other = stage
        .output
        .commit("side", "By hand", &[("README.md", Some(b"2"))])
        .unwrap();
    assert_ne!(first, other);
    stage.output.move_branch_during_next_push("main", &other).unwrap();
    let ended = stage.run();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended.stderr.contains("the output branch has moved"),
        "{}",
        ended.stderr
    );
    let log = stage.output.log("main").unwrap();
    assert_eq!(log[0].parents, [other]);
    assert!(stage.delivered_paths().contains(&"README.md".to_owned()));
}

#[test]
fn a_conflicting_push_in_mid_run_is_respected() {
    let stage = Stage::new();
    stage
        .output
        .commit("main", "By hand", &[("README.md", Some(b"1"))])
        .unwrap();
    let other = stage
        .output
        .commit("side", "By hand", &[("rust/mod.rs", Some(b"mine"))])
        .unwrap();
    stage.output.move_branch_during_next_push("main", &other).unwrap();
    stage
        .run()
        .expect_failure(Reason::OutputConflict, &["rust/mod.rs is in the way"]);
    assert_eq!(stage.output.branch("main").unwrap(), Some(other));
}

#[test]
fn others_who_always_push_first_make_the_run_give_up() {
    let stage = Stage::new();
    stage
        .output
        .commit("main", "By hand", &[("README.md", Some(b"0"))])
        .unwrap();
    // Each push finds that somebody has made a new commit in the meantime.
    let script = "#!/bin/sh\nset -e\nunset GIT_QUARANTINE_PATH\n\
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b\n\
        tip=$(git rev-parse refs/heads/main)\nnew=$(git commit-tree -p $tip -m more $tip^{tree})\n\
        exec git update-ref refs/heads/main $new\n";
    stage.output.install_hook("pre-receive", script).unwrap();
    stage.run().expect_failure(
        Reason::OutputMoved,
        &["branch \"main\"", "others pushed to it during each of 6 tries"],
    );
}

#[test]
fn a_server_that_refuses_the_push_is_quoted() {
    let stage = Stage::new();
    stage
        .output
        .install_hook(
            "pre-receive",
            "#!/bin/sh\necho 'no robots on Sundays' >&2\nexit 1\n",
        )
        .unwrap();
    stage
        .run()
        .expect_failure(Reason::PushRejected, &["the server refused", "branch protection"]);
}

#[test]
fn two_runs_in_different_places_write_the_same_bytes() {
    let (one, two) = (Stage::new(), Stage::new());
    for stage in [&one, &two] {
        stage.deliver();
    }
    assert_eq!(one.delivered(), two.delivered());
}

#[test]
fn tags_versions_and_commits_can_be_followed() {
    let mut stage = Stage::new();
    let first = stage.source.branch("main").unwrap().unwrap();
    stage.source.tag("v1.2.0", &first).unwrap();
    stage.commit("Newer", &[("more.proto", "syntax = \"proto3\";")]);
    for reference in [
        "tag: v1.2.0".to_owned(),
        "semver: \">=1, <2\"".into(),
        format!("commit: {first}"),
    ] {
        stage.source_fields = format!("    ref: {{{reference}}}");
        assert_eq!(stage.deliver().source_revision, first, "{reference}");
    }
    stage.source_fields = "    ref: {branch: main}".into();
    let ended = stage.run_with(&["--commit", &first]);
    assert_eq!(ended.report.unwrap().source_revision, first);
}

#[test]
fn tonic_extends_what_prost_writes() {
    let mut stage = Stage::new();
    stage
        .generate
        .push("{name: grpc, plugin: tonic, path: rust}".into());
    stage.deliver();
    let delivered = stage.delivered();
    let (_, messages) = delivered
        .iter()
        .find(|(path, _)| path.ends_with("zoo.v1.rs"))
        .unwrap();
    assert!(
        messages.contains("include!(\"zoo.v1.tonic.rs\");\n// @@protoc_insertion_point(module)"),
        "{messages}"
    );
    stage.generate.remove(0);
    stage.run().expect_failure(
        Reason::InvalidSpec,
        &["generator \"grpc\" extends", "prost before tonic"],
    );
}

#[test]
fn every_log_line_and_every_request_carries_the_trace() {
    let stage = Stage::new();
    let ended = stage.run();
    let log = ended.log();
    assert!(log.len() >= 4, "{}", ended.stderr);
    for line in log {
        assert_eq!(line["trace_id"], TRACE_ID, "{line}");
    }
    for request in stage.server.requests() {
        assert!(
            request
                .traceparent
                .as_deref()
                .is_some_and(|parent| parent.contains(TRACE_ID)),
            "{}",
            request.target
        );
    }
}

#[test]
fn a_push_whose_answer_gets_lost_makes_one_commit_and_counts_as_delivered() {
    let stage = Stage::new();
    // Runs when the branch has been moved, and ends git receive-pack before it can say so.
    stage
        .output
        .install_hook("post-receive", "#!/bin/sh\nkill -9 $PPID\n")
        .unwrap();
    let ended = stage.run();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let report = ended.report.unwrap();
    assert_eq!(report.output_revision, stage.output.branch("main").unwrap());
    assert_eq!(stage.output.log("main").unwrap().len(), 1);
    assert!(report.committed);
    assert_eq!(report.files.written, 3);
}

#[test]
fn a_large_commit_is_delivered_where_only_the_work_folder_can_be_written_to() {
    let mut stage = Stage::new();
    // CodeGeneratorResponse { supported_features: 1, file { name: "x.t", content: 12,000,000 bytes of noise } }, so
    // that the pack is larger than what is kept in memory.
    let script = "#!/bin/sh\n[ $# = 0 ] || exit 1\n\
                  printf '\\020\\001\\172\\212\\266\\334\\005\\012\\003x.t\\172\\200\\266\\334\\005'\n\
                  head -c 9000000 /dev/urandom | base64 -w0\n";
    stage.plugin("noisy", script);
    stage.generate = vec!["{name: noise, plugin: noisy}".into()];
    let mut command = stage.command("run", &[]);
    command.env("TMPDIR", stage.path("missing"));
    let ended = Ended::new(command.output().unwrap(), &stage.path("report.json"));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let delivered = stage.output.files("main").unwrap();
    assert_eq!(delivered["x.t"].len(), 12_000_000);
}
