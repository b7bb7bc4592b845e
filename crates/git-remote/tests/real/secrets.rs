//! No secret in any error, whatever fails.

use heddle_git_remote::{Credentials, GitError, OutputBranch, PushOutcome, Remote, list_references};
use heddle_git_server::SshServer;

use super::fixture::{Fixture, commit, remote, secret};

const CANARY: &str = "canary-7f3a9c";

fn assert_silent(error: &GitError) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(CANARY), "{text}");
    // `canary-7f3a9c` as basic authentication would carry it, at each of base64's three alignments.
    for encoded in ["Y2FuYXJ5LTdmM2E5", "NhbmFyeS03ZjNhOW", "jYW5hcnktN2YzYTlj"] {
        assert!(!text.contains(encoded), "{text}");
    }
}

fn basic(fixture: &Fixture) -> Credentials {
    secret(&[
        ("username", "writer"),
        ("password", CANARY),
        ("ca.crt", fixture.server.ca_pem()),
    ])
}

#[test]
fn failed_logins_and_unreachable_hosts_show_no_secret() {
    let fixture = Fixture::start();
    fixture.server.repository("idl.git").unwrap();
    let token = secret(&[("bearerToken", CANARY), ("ca.crt", fixture.server.ca_pem())]);
    let cases: [Remote; 4] = [
        fixture.remote("idl.git").with_credentials(basic(&fixture)),
        fixture.remote("idl.git").with_credentials(token),
        fixture.remote("gone.git").with_credentials(basic(&fixture)),
        remote("https://git.heddle.invalid/idl.git").with_credentials(basic(&fixture)),
    ];
    for case in cases {
        assert!(!format!("{case:?}").contains(CANARY));
        assert_silent(&list_references(&case).unwrap_err());
    }
}

#[test]
fn a_server_that_echoes_the_password_is_masked() {
    let fixture = Fixture::start();
    let repository = fixture.server.repository("out.git").unwrap();
    let password = super::fixture::PASSWORD;
    let script = format!("#!/bin/sh\necho 'login writer:{password} is not good enough' >&2\nexit 1\n");
    repository.install_hook("pre-receive", &script).unwrap();
    let branch = OutputBranch::open(
        &fixture.remote("out.git"),
        &fixture.folder("clone"),
        "main",
        &mut |_| {},
    )
    .unwrap();

    let outcome = branch.push(commit(&branch, &[("a", Some("1"))])).unwrap();

    let PushOutcome::Rejected { reason } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(!reason.contains(password), "{reason}");
    assert!(
        reason.contains("login writer:<redacted> is not good enough"),
        "{reason}"
    );
}

#[test]
fn a_wrong_passphrase_shows_neither_it_nor_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let server = SshServer::start(&directory.path().join("ssh")).unwrap();
    let identity = server.encrypted_identity("right").unwrap();
    let body = identity.lines().nth(1).unwrap().to_owned();
    let known_hosts = server.known_hosts().unwrap();
    let credentials = secret(&[
        ("identity", &identity),
        ("password", CANARY),
        ("known_hosts", &known_hosts),
    ]);

    let error = list_references(&remote(&server.url("idl.git")).with_credentials(credentials)).unwrap_err();

    assert_silent(&error);
    assert!(!format!("{error:?}").contains(&body));
}
