use super::*;
use crate::GitErrorKind;

fn id(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn reference(name: &str, digit: char) -> Reference {
    Reference {
        name: name.to_owned(),
        object: id(digit),
        commit: id(digit),
        symbolic_target: None,
    }
}

fn repository() -> Vec<Reference> {
    let head = Reference {
        symbolic_target: Some("refs/heads/main".to_owned()),
        ..reference("HEAD", '1')
    };
    let annotated = Reference {
        object: id('f'),
        ..reference("refs/tags/v1.10.0", '4')
    };
    vec![
        head,
        reference("refs/heads/main", '1'),
        reference("refs/heads/maintenance", '2'),
        reference("refs/tags/v1.9.0", '3'),
        annotated,
        reference("refs/tags/v2.0.0-rc.1", '5'),
        reference("refs/tags/1.10.0", '6'),
        reference("refs/tags/nightly", '7'),
    ]
}

fn commit(selector: Selector) -> CommitId {
    resolve(&repository(), &selector).unwrap().commit
}

#[test]
fn names_resolve_to_their_commits() {
    assert_eq!(commit(Selector::Default), id('1'));
    assert_eq!(commit(Selector::Branch("maintenance".into())), id('2'));
    assert_eq!(
        commit(Selector::Tag("v1.10.0".into())),
        id('4'),
        "annotated tags are peeled"
    );
    let default = resolve(&repository(), &Selector::Default).unwrap();
    assert_eq!(default.reference.as_deref(), Some("refs/heads/main"));
}

#[test]
fn versions_are_compared_as_versions_and_prereleases_only_taken_when_asked_for() {
    let highest = |requirement: &str| {
        resolve(&repository(), &Selector::Semver(requirement.parse().unwrap()))
            .unwrap()
            .reference
            .unwrap()
    };
    assert_eq!(highest("*"), "refs/tags/1.10.0");
    assert_eq!(highest("^1"), "refs/tags/1.10.0");
    assert_eq!(highest("<1.10"), "refs/tags/v1.9.0");
    assert_eq!(highest(">=2.0.0-rc.0"), "refs/tags/v2.0.0-rc.1");
}

#[test]
fn a_commit_resolves_with_a_name_that_points_at_it() {
    let resolved = resolve(&repository(), &Selector::Commit(id('1'))).unwrap();
    assert_eq!(resolved.reference.as_deref(), Some("refs/heads/main"));
    let unnamed = resolve(&repository(), &Selector::Commit(id('9'))).unwrap();
    assert_eq!((unnamed.commit, unnamed.reference), (id('9'), None));
}

#[test]
fn missing_names_come_with_suggestions() {
    let text = |selector: Selector| {
        let error = resolve(&repository(), &selector).unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::ReferenceNotFound);
        error.to_string()
    };
    assert_eq!(
        text(Selector::Branch("mian".into())),
        "failed to find branch mian; did you mean main?"
    );
    assert_eq!(
        text(Selector::Tag("v1.9.1".into())),
        "failed to find tag v1.9.1; did you mean v1.9.0 or v1.10.0?"
    );
    assert_eq!(text(Selector::Branch("zzz".into())), "failed to find branch zzz");
    let none = text(Selector::Semver("^9".parse().unwrap()));
    assert!(
        none.contains("satisfies \"^9\"; did you mean v2.0.0-rc.1"),
        "{none}"
    );
}

#[test]
fn an_empty_repository_is_called_empty() {
    for selector in [Selector::Default, Selector::Branch("main".into())] {
        let error = resolve(&[], &selector).unwrap_err();
        assert!(error.to_string().contains("the repository is empty"), "{error}");
    }
}
