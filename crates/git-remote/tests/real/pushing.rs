//! Committing to an output branch and pushing it over HTTPS.

use heddle_git_remote::{GitErrorKind, OutputBranch, PushOutcome};

use super::fixture::{Fixture, READER_PASSWORD, commit, details, edits, id};

const OUT: &str = "out.git";

fn open(fixture: &Fixture, folder: &str, branch: &str) -> OutputBranch {
    OutputBranch::open(&fixture.remote(OUT), &fixture.folder(folder), branch, &mut |_| {}).unwrap()
}

#[test]
fn an_empty_repository_gets_its_first_commit() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    let branch = open(&fixture, "clone", "generated/rust");
    assert_eq!((branch.tip(), branch.base()), (None, None));

    let commit = commit(
        &branch,
        &[("src/lib.rs", Some("// generated")), ("README", Some("hello"))],
    );

    assert_eq!(branch.push(commit).unwrap(), PushOutcome::Pushed);
    let log = repository.log("generated/rust").unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].id, commit.to_string());
    assert_eq!(log[0].author, "author <author@example.com>");
    assert_eq!(log[0].committer, "heddle <heddle@example.com>");
    assert_eq!(
        repository.files("generated/rust").unwrap()["src/lib.rs"],
        b"// generated"
    );
}

#[test]
fn a_missing_branch_starts_at_the_default_branch() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository
        .commit("main", "old", &[("README", Some(b"by people"))])
        .unwrap();
    let main = repository
        .commit("main", "by people", &[("LICENSE", Some(b"x"))])
        .unwrap();
    let branch = open(&fixture, "clone", "generated");
    assert_eq!((branch.tip(), branch.base()), (None, Some(id(&main))));

    let commit = commit(&branch, &[("a.rs", Some("a"))]);

    assert_eq!(branch.push(commit).unwrap(), PushOutcome::Pushed);
    assert_eq!(repository.log("generated").unwrap()[0].parents, [main.as_str()]);
    assert_eq!(repository.files("generated").unwrap()["README"], b"by people");
    assert_eq!(repository.branch("main").unwrap().unwrap(), main);
}

#[test]
fn only_edited_files_change_and_empty_folders_go() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    let files: &[(&str, Option<&[u8]>)] = &[
        ("keep/people.txt", Some(b"p")),
        ("old/deep/x.rs", Some(b"x")),
        ("gen/a.rs", Some(b"1")),
    ];
    let tip = repository.commit("main", "c", files).unwrap();
    let branch = open(&fixture, "clone", "main");
    assert_eq!(branch.tip(), Some(id(&tip)));
    assert_eq!(branch.files().unwrap().len(), 3);
    assert_eq!(branch.read("gen/a.rs").unwrap().unwrap(), b"1");

    let changes = [
        ("gen/a.rs", Some("2")),
        ("gen/new/b.rs", Some("b")),
        ("old/deep/x.rs", None),
        ("gone", None),
    ];
    let commit = commit(&branch, &changes);

    assert_eq!(branch.push(commit).unwrap(), PushOutcome::Pushed);
    let names: Vec<_> = repository.files("main").unwrap().into_keys().collect();
    assert_eq!(names, ["gen/a.rs", "gen/new/b.rs", "keep/people.txt"]);
}

#[test]
fn edits_that_change_nothing_make_no_commit_and_equal_ones_equal_commits() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository.commit("main", "c", &[("a", Some(b"1"))]).unwrap();
    let branch = open(&fixture, "one", "main");
    let same = edits(&[("a", Some("1")), ("gone", None)]);
    assert_eq!(branch.commit(&same, &details("m")).unwrap(), None);
    let other = open(&fixture, "two", "main");
    assert_eq!(
        commit(&branch, &[("a", Some("2"))]),
        commit(&other, &[("a", Some("2"))])
    );
}

#[test]
fn paths_that_cannot_be_in_a_tree_are_named() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository
        .commit("main", "c", &[("file", Some(b"1")), ("folder/x", Some(b"1"))])
        .unwrap();
    let branch = open(&fixture, "one", "main");
    let long = "x".repeat(5000);
    let bad = [
        "",
        "/a",
        "a//b",
        "../a",
        "a/./b",
        ".git/config",
        "a/.GIT/x",
        "a\\b",
        "a\nb",
        "file/x",
        "folder",
        &long,
    ];
    for path in bad {
        let error = branch
            .commit(&edits(&[(path, Some("x"))]), &details("m"))
            .unwrap_err();
        assert!(error.to_string().contains("into a tree"), "{path}: {error}");
    }
}

#[test]
fn a_branch_that_moved_before_the_push_is_left_alone() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository.commit("main", "c", &[("a", Some(b"1"))]).unwrap();
    let mut branch = open(&fixture, "clone", "main");
    let mine = commit(&branch, &[("gen", Some("mine"))]);
    let theirs = repository.commit("main", "theirs", &[("b", Some(b"2"))]).unwrap();

    assert_eq!(
        branch.push(mine).unwrap(),
        PushOutcome::Moved {
            now: Some(id(&theirs))
        }
    );
    assert_eq!(repository.branch("main").unwrap().unwrap(), theirs);

    branch.refresh(&mut |_| {}).unwrap();
    assert_eq!(branch.read("b").unwrap().unwrap(), b"2");
    let again = commit(&branch, &[("gen", Some("mine"))]);
    assert_eq!(branch.push(again).unwrap(), PushOutcome::Pushed);
    assert_eq!(repository.log("main").unwrap()[0].parents, [theirs]);
}

#[test]
fn a_branch_that_moves_during_the_push_is_left_alone() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    let first = repository.commit("main", "c", &[("a", Some(b"1"))]).unwrap();
    let theirs = repository.commit("main", "theirs", &[("b", Some(b"2"))]).unwrap();
    repository.move_branch("main", &first).unwrap();
    let branch = open(&fixture, "clone", "main");
    let mine = commit(&branch, &[("gen", Some("mine"))]);
    repository.move_branch_during_next_push("main", &theirs).unwrap();

    assert_eq!(
        branch.push(mine).unwrap(),
        PushOutcome::Moved {
            now: Some(id(&theirs))
        }
    );
    assert_eq!(repository.branch("main").unwrap().unwrap(), theirs);
}

#[test]
fn a_branch_that_somebody_else_creates_or_removes_has_moved() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository.commit("main", "c", &[("a", Some(b"1"))]).unwrap();
    let branch = open(&fixture, "one", "generated");
    let mine = commit(&branch, &[("gen", Some("mine"))]);
    let theirs = repository
        .commit("generated", "theirs", &[("b", Some(b"2"))])
        .unwrap();
    assert_eq!(
        branch.push(mine).unwrap(),
        PushOutcome::Moved {
            now: Some(id(&theirs))
        }
    );

    let branch = open(&fixture, "two", "generated");
    let mine = commit(&branch, &[("gen", Some("mine"))]);
    std::fs::remove_file(repository.path().join("refs/heads/generated")).unwrap();
    assert_eq!(branch.push(mine).unwrap(), PushOutcome::Moved { now: None });
}

#[test]
fn pushing_the_same_commit_again_finds_it_pushed() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    let branch = open(&fixture, "one", "generated");
    let mine = commit(&branch, &[("gen", Some("mine"))]);
    assert_eq!(branch.push(mine).unwrap(), PushOutcome::Pushed);
    assert_eq!(branch.push(mine).unwrap(), PushOutcome::Pushed);
    assert_eq!(repository.log("generated").unwrap().len(), 1);
}

#[test]
fn a_hook_that_refuses_is_quoted() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository
        .install_hook(
            "pre-receive",
            "#!/bin/sh\nprintf 'GH006: \\033[31mprotected\\n' >&2\nexit 1\n",
        )
        .unwrap();
    let branch = open(&fixture, "one", "generated");
    let mine = commit(&branch, &[("gen", Some("mine"))]);

    let PushOutcome::Rejected { reason } = branch.push(mine).unwrap() else {
        panic!("not rejected")
    };

    assert_eq!(reason, "pre-receive hook declined: GH006: [31mprotected");
    assert_eq!(repository.branch("generated").unwrap(), None);
}

#[test]
fn an_account_that_may_only_read_cannot_push() {
    let fixture = Fixture::start();
    fixture.server.repository(OUT).unwrap();
    let remote = fixture
        .remote(OUT)
        .with_credentials(fixture.credentials("reader", READER_PASSWORD));
    let branch = OutputBranch::open(&remote, &fixture.folder("clone"), "main", &mut |_| {}).unwrap();

    let error = branch.push(commit(&branch, &[("a", Some("1"))])).unwrap_err();

    assert_eq!(error.kind(), GitErrorKind::AuthenticationFailed);
    assert!(
        error.to_string().contains("may not push to this repository"),
        "{error}"
    );
    assert!(
        error.to_string().contains("this account may only read"),
        "{error}"
    );
}

/// Larger than what is kept in memory, also when compressed: six random bits a character (xorshift by Marsaglia).
fn noise() -> String {
    let mut state = 2_463_534_242_u32;
    let mut character = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b'0' + (state >> 26) as u8)
    };
    (0..13_000_000).map(|_| character()).collect()
}

#[test]
fn a_large_push_goes_through() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    let branch = open(&fixture, "one", "main");
    let noise = noise();
    let mine = commit(&branch, &[("noise", Some(&noise))]);

    assert_eq!(branch.push(mine).unwrap(), PushOutcome::Pushed);
    assert_eq!(repository.files("main").unwrap()["noise"].len(), noise.len());
}

#[test]
fn a_large_push_is_spooled_in_the_directory_that_was_given() {
    let fixture = Fixture::start();
    fixture.server.repository(OUT).unwrap();
    let spool = fixture.folder("spool");
    let remote = fixture.remote(OUT).with_spool_directory(&spool);
    let branch = OutputBranch::open(&remote, &fixture.folder("one"), "main", &mut |_| {}).unwrap();
    let mine = commit(&branch, &[("noise", Some(&noise()))]);

    let error = branch.push(mine).unwrap_err().to_string();
    assert!(error.contains("write a request"), "{error}");

    std::fs::create_dir(&spool).unwrap();
    assert_eq!(branch.push(mine).unwrap(), PushOutcome::Pushed);
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
}

#[test]
fn a_name_that_no_branch_can_have_is_refused() {
    let fixture = Fixture::start();
    fixture.server.repository(OUT).unwrap();
    for name in ["", "a..b", "a b", "a~1", "/a", "a.lock"] {
        let error = OutputBranch::open(&fixture.remote(OUT), &fixture.folder("x"), name, &mut |_| {})
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::ReferenceNotFound, "{name}: {error}");
    }
}

#[test]
fn files_and_folders_can_take_each_others_place() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(OUT).unwrap();
    repository
        .commit("main", "c", &[("file", Some(b"1")), ("folder/x", Some(b"1"))])
        .unwrap();
    let branch = open(&fixture, "one", "main");
    let swap = [
        ("file", None),
        ("file/x", Some("2")),
        ("folder", Some("2")),
        ("folder/x", None),
    ];

    assert_eq!(branch.push(commit(&branch, &swap)).unwrap(), PushOutcome::Pushed);

    let names: Vec<_> = repository.files("main").unwrap().into_keys().collect();
    assert_eq!(names, ["file/x", "folder"]);
}
