//! The same over ssh, against Debian's sshd.

use heddle_git_remote::{
    Cancellation, GitError, GitErrorKind, OutputBranch, PushOutcome, Remote, fetch_commit, list_references,
};
use heddle_git_server::SshServer;
use tempfile::TempDir;

use super::fixture::{commit, id, remote, secret};
use super::stall::Stall;

struct Ssh {
    server: SshServer,
    directory: TempDir,
}

impl Ssh {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            server: SshServer::start_with(&directory.path().join("ssh"), settings).unwrap(),
            directory,
        }
    }

    fn remote(&self, repository: &str, identity: &str, known_hosts: &str) -> Remote {
        let credentials = secret(&[("identity", identity), ("known_hosts", known_hosts)]);
        remote(&self.server.url(repository)).with_credentials(credentials)
    }

    fn good(&self, repository: &str) -> Remote {
        self.remote(
            repository,
            &self.server.identity().unwrap(),
            &self.server.known_hosts().unwrap(),
        )
    }
}

fn failure(remote: &Remote) -> GitError {
    list_references(remote).unwrap_err()
}

#[test]
fn listing_fetching_and_pushing_work_over_ssh() {
    let ssh = Ssh::start();
    let repository = ssh.server.repository("team/idl.git").unwrap();
    let old = repository.commit("main", "old", &[("a", Some(b"old"))]).unwrap();
    let tip = repository
        .commit("main", "new", &[("a", Some(&vec![b'n'; 300_000]))])
        .unwrap();
    let remote = ssh.good("team/idl.git");

    let references = list_references(&remote).unwrap();
    assert!(references.iter().any(|reference| reference.commit == id(&tip)));
    for (wanted, size) in [(&tip, 300_000), (&old, 3)] {
        let folder = ssh.directory.path().join(wanted);
        let snapshot = fetch_commit(&remote, &folder, id(wanted), None, &mut |_| {}).unwrap();
        assert_eq!(snapshot.read("a").unwrap().unwrap().len(), size);
    }

    let branch = OutputBranch::open(
        &remote,
        &ssh.directory.path().join("out"),
        "generated",
        &mut |_| {},
    )
    .unwrap();
    let mine = commit(&branch, &[("gen", Some("x"))]);
    assert_eq!(branch.push(mine).unwrap(), PushOutcome::Pushed);
    assert_eq!(repository.log("generated").unwrap()[0].parents, [tip]);
}

#[test]
fn a_hook_that_refuses_is_quoted_over_ssh() {
    let ssh = Ssh::start();
    let repository = ssh.server.repository("out.git").unwrap();
    repository
        .install_hook("update", "#!/bin/sh\necho 'protected' >&2\nexit 1\n")
        .unwrap();
    let branch = OutputBranch::open(
        &ssh.good("out.git"),
        &ssh.directory.path().join("out"),
        "main",
        &mut |_| {},
    )
    .unwrap();
    let outcome = branch.push(commit(&branch, &[("gen", Some("x"))])).unwrap();
    let PushOutcome::Rejected { reason } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.starts_with("hook declined: protected"), "{reason}");
}

#[test]
fn host_keys_that_are_unknown_or_changed_are_not_trusted() {
    let ssh = Ssh::start();
    ssh.server.repository("idl.git").unwrap();
    let identity = ssh.server.identity().unwrap();
    let cases = [
        ("# nothing yet".to_owned(), "has no key for this host and port"),
        (ssh.server.wrong_known_hosts().unwrap(), "has another key for it"),
    ];
    for (known_hosts, expected) in cases {
        let error = failure(&ssh.remote("idl.git", &identity, &known_hosts));
        assert_eq!(error.kind(), GitErrorKind::HostKeyNotTrusted, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            error.to_string().contains(&ssh.server.fingerprint().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn a_key_that_the_server_does_not_know_is_refused() {
    let ssh = Ssh::start();
    let other = ssh.server.other_identity().unwrap();
    let error = failure(&ssh.remote("idl.git", &other, &ssh.server.known_hosts().unwrap()));
    assert_eq!(error.kind(), GitErrorKind::AuthenticationFailed, "{error}");
}

#[test]
fn encrypted_keys_need_their_passphrase() {
    let ssh = Ssh::start();
    ssh.server.repository("idl.git").unwrap();
    let (identity, known_hosts) = (
        ssh.server.encrypted_identity("phrase").unwrap(),
        ssh.server.known_hosts().unwrap(),
    );
    let with = |password: &str| {
        let credentials = secret(&[
            ("identity", &identity),
            ("password", password),
            ("known_hosts", &known_hosts),
        ]);
        remote(&ssh.server.url("idl.git")).with_credentials(credentials)
    };
    list_references(&with("phrase")).unwrap();
    assert_eq!(failure(&with("wrong")).kind(), GitErrorKind::InvalidCredentials);
}

#[test]
fn a_repository_that_does_not_exist_is_not_found_over_ssh() {
    let ssh = Ssh::start();
    let error = failure(&ssh.good("gone.git"));
    assert_eq!(error.kind(), GitErrorKind::RepositoryNotFound, "{error}");
}

#[test]
fn a_cancelled_operation_over_ssh_ends() {
    let ssh = Ssh::start();
    let cancellation = Cancellation::default();
    cancellation.cancel();
    let error = failure(&ssh.good("idl.git").with_cancellation(cancellation));
    assert_eq!(error.kind(), GitErrorKind::Cancelled);
}

#[test]
fn a_port_that_does_not_speak_ssh_is_a_failed_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let ssh = Ssh::start();
    let credentials = secret(&[
        ("identity", &ssh.server.identity().unwrap()),
        ("known_hosts", "# none"),
    ]);
    let error = failure(&remote(&format!("ssh://git@{address}/idl.git")).with_credentials(credentials));
    server.join().unwrap();
    assert_eq!(error.kind(), GitErrorKind::ConnectionFailed, "{error}");
}

#[test]
fn a_stalled_fetch_over_ssh_is_cancelled_or_times_out() {
    let stall = Stall::new();
    let (key, value) = stall.setting();
    let ssh = Ssh::start_with(&[(&key, &value)]);
    let repository = ssh.server.repository("idl.git").unwrap();
    let wanted = id(&repository.commit("main", "c", &[("n", Some(b"1"))]).unwrap());
    stall.assert_cancels(ssh.good("idl.git"), ssh.directory.path().join("one"), wanted);
    stall.assert_times_out(&ssh.good("idl.git"), &ssh.directory.path().join("two"), wanted);
}

#[test]
fn a_commit_that_is_nowhere_is_not_found_over_ssh() {
    let ssh = Ssh::start();
    ssh.server
        .repository("idl.git")
        .unwrap()
        .commit("main", "c", &[("n", Some(b"1"))])
        .unwrap();
    let wanted = id(&"1234567890".repeat(4));
    let folder = ssh.directory.path().join("clone");
    let error = fetch_commit(&ssh.good("idl.git"), &folder, wanted, None, &mut |_| {})
        .map(|snapshot| snapshot.commit())
        .unwrap_err();
    assert_eq!(error.kind(), GitErrorKind::CommitNotFound, "{error}");
}
