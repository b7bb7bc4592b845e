//! Listing and fetching over HTTPS.

use std::fs;

use heddle_git_remote::{FileKind, GitErrorKind, Limits, Selector, fetch_commit, list_references, resolve};
use heddle_git_server::{Account, WorkCopy};

use super::fixture::{Fixture, PASSWORD, id};
use super::stall::Stall;

const IDL: &str = "idl.git";

#[test]
fn references_are_listed_with_the_default_branch_and_peeled_tags() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(IDL).unwrap();
    let first = repository
        .commit("main", "one", &[("a.proto", Some(b"1"))])
        .unwrap();
    repository.tag("v1.0.0", &first).unwrap();
    let second = repository
        .commit("main", "two", &[("a.proto", Some(b"2"))])
        .unwrap();

    let references = list_references(&fixture.remote(IDL)).unwrap();

    let head = references
        .iter()
        .find(|reference| reference.name == "HEAD")
        .unwrap();
    assert_eq!(head.symbolic_target.as_deref(), Some("refs/heads/main"));
    assert_eq!(
        resolve(&references, &Selector::Default).unwrap().commit,
        id(&second)
    );
    let tag = resolve(&references, &Selector::Semver("^1".parse().unwrap())).unwrap();
    assert_eq!(tag.commit, id(&first));
    let annotated = references
        .iter()
        .find(|reference| reference.name == "refs/tags/v1.0.0")
        .unwrap();
    assert_ne!(annotated.object, annotated.commit);
}

#[test]
fn an_empty_repository_has_no_references() {
    let fixture = Fixture::start();
    fixture.server.repository(IDL).unwrap();
    assert!(list_references(&fixture.remote(IDL)).unwrap().is_empty());
}

#[test]
fn what_the_git_command_line_pushes_is_fetched_without_history() {
    let fixture = Fixture::start();
    fixture.server.repository(IDL).unwrap();
    let account: Account = format!("writer:{PASSWORD}:write").parse().unwrap();
    let url = fixture.server.url(IDL);
    let copy = WorkCopy::clone(&url, &account, &fixture.server.ca_file(), &fixture.folder("work")).unwrap();
    copy.write("greet/greet.proto", b"syntax = \"proto3\";").unwrap();
    copy.commit("one").unwrap();
    copy.write("greet/README", &vec![b'x'; 3_000_000]).unwrap();
    let commit = copy.commit("two\n\nbody").unwrap();
    copy.push("main").unwrap();

    let mut received = 0;
    let snapshot = fetch_commit(
        &fixture.remote(IDL),
        &fixture.folder("clone"),
        id(&commit),
        None,
        &mut |progress| {
            received = progress.received_objects;
        },
    )
    .unwrap();

    assert_eq!(
        (snapshot.commit(), snapshot.summary().unwrap().as_str()),
        (id(&commit), "two")
    );
    let files = snapshot.files().unwrap();
    let names: Vec<_> = files
        .iter()
        .map(|file| (file.path.as_str(), file.kind, file.size))
        .collect();
    let expected = [
        ("greet/README", FileKind::File, 3_000_000),
        ("greet/greet.proto", FileKind::File, 18),
    ];
    assert_eq!(names, expected);
    assert_eq!(
        snapshot.read("greet/greet.proto").unwrap().unwrap(),
        b"syntax = \"proto3\";"
    );
    assert_eq!(snapshot.read("greet").unwrap(), None);
    assert_eq!(snapshot.read("gone").unwrap(), None);
    assert_eq!(received, 5, "one commit with its two trees and two blobs");
}

#[test]
fn a_commit_in_the_past_is_fetched_by_its_id() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(IDL).unwrap();
    let old = repository.commit("main", "old", &[("a", Some(b"old"))]).unwrap();
    repository.commit("main", "new", &[("a", Some(b"new"))]).unwrap();

    let snapshot = fetch_commit(
        &fixture.remote(IDL),
        &fixture.folder("clone"),
        id(&old),
        None,
        &mut |_| {},
    )
    .unwrap();

    assert_eq!(snapshot.read("a").unwrap().unwrap(), b"old");
    assert_eq!(
        fs::read_to_string(fixture.folder("clone/shallow"))
            .unwrap()
            .trim(),
        old
    );
}

#[test]
fn a_server_that_gives_out_tips_only_is_asked_for_more_history() {
    let fixture = Fixture::start_with(|options| options.any_commit = false);
    let repository = fixture.server.repository(IDL).unwrap();
    let ids: Vec<_> = (0..80)
        .map(|n| {
            repository
                .commit("main", "c", &[("n", Some(format!("{n}").as_bytes()))])
                .unwrap()
        })
        .collect();

    for (index, reference) in [
        (70, Some("refs/heads/main")),
        (5, None),
        (20, Some("refs/heads/gone")),
    ] {
        let folder = fixture.folder(&format!("clone-{index}"));
        let wanted = id(&ids[index]);
        let snapshot = fetch_commit(&fixture.remote(IDL), &folder, wanted, reference, &mut |_| {}).unwrap();
        assert_eq!(snapshot.read("n").unwrap().unwrap(), index.to_string().as_bytes());
    }
}

#[test]
fn a_commit_that_is_nowhere_is_not_found() {
    for any_commit in [true, false] {
        let fixture = Fixture::start_with(|options| options.any_commit = any_commit);
        let repository = fixture.server.repository(IDL).unwrap();
        repository.commit("main", "c", &[("n", Some(b"1"))]).unwrap();
        let wanted = id(&"1234567890".repeat(4));

        let error = fetch_commit(
            &fixture.remote(IDL),
            &fixture.folder("clone"),
            wanted,
            None,
            &mut |_| {},
        )
        .map(|snapshot| snapshot.commit())
        .unwrap_err();

        assert_eq!(error.kind(), GitErrorKind::CommitNotFound, "{error}");
        assert!(error.to_string().contains("any branch or tag"), "{error}");
    }
}

#[test]
fn a_fetch_is_cancelled_while_the_server_keeps_it_waiting() {
    let stall = Stall::new();
    let fixture = Fixture::start_with(|options| options.settings.extend([stall.setting()]));
    let repository = fixture.server.repository(IDL).unwrap();
    let commit = repository.commit("main", "c", &[("n", Some(b"1"))]).unwrap();
    stall.assert_cancels(fixture.remote(IDL), fixture.folder("clone"), id(&commit));
}

#[test]
fn a_server_that_stalls_is_a_timeout() {
    let stall = Stall::new();
    let fixture = Fixture::start_with(|options| options.settings.extend([stall.setting()]));
    let repository = fixture.server.repository(IDL).unwrap();
    let commit = repository.commit("main", "c", &[("n", Some(b"1"))]).unwrap();
    stall.assert_times_out(&fixture.remote(IDL), &fixture.folder("clone"), id(&commit));
}

#[test]
fn bytes_objects_and_references_are_limited() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(IDL).unwrap();
    // Content that does not compress, so that the pack is as large as it looks.
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let commit = repository
        .commit("main", "c", &[("noise", Some(&noise)), ("b", Some(b"b"))])
        .unwrap();
    let cases = [
        (
            Limits {
                received_bytes: 50_000,
                ..Limits::default()
            },
            "more than 50000 bytes received",
        ),
        (
            Limits {
                objects: 2,
                ..Limits::default()
            },
            "more than 2 objects",
        ),
        (
            Limits {
                references: 1,
                ..Limits::default()
            },
            "more than 1 references",
        ),
    ];
    for (index, (limits, expected)) in cases.into_iter().enumerate() {
        let remote = fixture.remote(IDL).with_limits(limits);
        let folder = fixture.folder(&format!("clone-{index}"));
        let error = fetch_commit(&remote, &folder, id(&commit), None, &mut |_| {})
            .map(|snapshot| snapshot.commit())
            .unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::LimitExceeded, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_trace_goes_along_in_every_request() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository(IDL).unwrap();
    let commit = repository.commit("main", "c", &[("a", Some(b"a"))]).unwrap();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let remote = fixture.remote(IDL).with_trace_parent(Some(parent.to_owned()));

    fetch_commit(&remote, &fixture.folder("clone"), id(&commit), None, &mut |_| {}).unwrap();

    let requests = fixture.server.requests();
    assert!(requests.len() >= 2);
    assert!(
        requests
            .iter()
            .all(|request| request.traceparent.as_deref() == Some(parent)),
        "{requests:?}"
    );
}

#[test]
fn many_remotes_with_different_authorities_work_at_the_same_time() {
    let fixtures: Vec<_> = (0..4).map(|_| Fixture::start()).collect();
    let commits: Vec<_> = fixtures
        .iter()
        .enumerate()
        .map(|(index, fixture)| {
            let repository = fixture.server.repository(IDL).unwrap();
            repository
                .commit("main", "c", &[("n", Some(index.to_string().as_bytes()))])
                .unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        for round in 0..8 {
            for (index, (fixture, commit)) in fixtures.iter().zip(&commits).enumerate() {
                scope.spawn(move || {
                    let folder = fixture.folder(&format!("clone-{round}"));
                    let snapshot =
                        fetch_commit(&fixture.remote(IDL), &folder, id(commit), None, &mut |_| {}).unwrap();
                    assert_eq!(snapshot.read("n").unwrap().unwrap(), index.to_string().as_bytes());
                });
            }
        }
    });
}
