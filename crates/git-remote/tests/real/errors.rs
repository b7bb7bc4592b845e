//! Each way in which a remote can fail, against servers that really fail so.

use std::net::TcpListener;

use heddle_git_remote::{AddressPolicy, GitError, GitErrorKind, Remote, Selector, list_references, resolve};
use heddle_git_server::{Redirect, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::fixture::{Fixture, PASSWORD, READER_PASSWORD, remote, secret};

const IDL: &str = "idl.git";

fn failure(remote: &Remote) -> GitError {
    list_references(remote).unwrap_err()
}

#[test]
fn a_host_that_does_not_exist_is_unknown() {
    let error = failure(&remote("https://git.heddle.invalid/idl.git"));
    assert_eq!(error.kind(), GitErrorKind::HostUnknown, "{error}");
    assert!(
        error.to_string().contains("\"git.heddle.invalid\"") && error.is_transient(),
        "{error}"
    );
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure(&remote(&format!("https://{free}/idl.git")));
    assert_eq!(error.kind(), GitErrorKind::ConnectionFailed, "{error}");
    assert!(
        error.to_string().contains(&free.to_string()) && error.is_transient(),
        "{error}"
    );
}

#[test]
fn a_server_that_does_not_speak_tls_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let error = failure(&remote(&format!("https://{address}/idl.git")));
    server.join().unwrap();
    assert_eq!(error.kind(), GitErrorKind::ConnectionFailed, "{error}");
}

#[test]
fn certificates_are_trusted_by_the_remotes_own_authority_only() {
    let (fixture, other) = (Fixture::start(), Fixture::start());
    fixture.server.repository(IDL).unwrap();
    let url = fixture.server.url(IDL);
    let with_ca = |ca: &str| {
        remote(&url).with_credentials(secret(&[
            ("username", "writer"),
            ("password", PASSWORD),
            ("ca.crt", ca),
        ]))
    };

    // The right authority before and after: nothing of one remote sticks to another.
    list_references(&with_ca(fixture.server.ca_pem())).unwrap();
    let wrong = failure(&with_ca(other.server.ca_pem()));
    let system = failure(&remote(&url));
    list_references(&with_ca(fixture.server.ca_pem())).unwrap();

    assert_eq!(wrong.kind(), GitErrorKind::TlsNotTrusted, "{wrong}");
    assert!(wrong.to_string().contains("check that \"ca.crt\""), "{wrong}");
    assert_eq!(system.kind(), GitErrorKind::TlsNotTrusted, "{system}");
    assert!(
        system.to_string().contains("into the Secret as \"ca.crt\""),
        "{system}"
    );
}

#[test]
fn a_certificate_for_another_name_is_not_trusted() {
    let fixture = Fixture::start_with(|options| options.names = vec!["elsewhere.example".to_owned()]);
    let error = failure(&fixture.remote(IDL));
    assert_eq!(error.kind(), GitErrorKind::TlsNotTrusted, "{error}");
    assert!(
        error.to_string().contains("not for the host \"localhost\""),
        "{error}"
    );
}

#[test]
fn missing_and_wrong_credentials_are_told_apart() {
    let fixture = Fixture::start();
    fixture.server.repository(IDL).unwrap();
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "the server wants credentials"),
        (
            &[("username", "writer"), ("password", "wrong")],
            "refuses \"username\" and \"password\"",
        ),
        (&[("bearerToken", "wrong")], "refuses \"bearerToken\""),
    ];
    for (entries, expected) in cases {
        let entries = [entries, &[("ca.crt", fixture.server.ca_pem())]].concat();
        let error = failure(&remote(&fixture.server.url(IDL)).with_credentials(secret(&entries)));
        assert_eq!(error.kind(), GitErrorKind::AuthenticationFailed, "{error}");
        assert!(
            error.to_string().contains(expected) && !error.is_transient(),
            "{error}"
        );
    }
}

#[test]
fn a_bearer_token_logs_in() {
    let fixture = Fixture::start();
    fixture.server.repository(IDL).unwrap();
    let credentials = secret(&[
        ("bearerToken", READER_PASSWORD),
        ("ca.crt", fixture.server.ca_pem()),
    ]);
    list_references(&remote(&fixture.server.url(IDL)).with_credentials(credentials)).unwrap();
}

#[test]
fn a_repository_that_does_not_exist_is_not_found() {
    let fixture = Fixture::start();
    let error = failure(&fixture.remote("gone.git"));
    assert_eq!(error.kind(), GitErrorKind::RepositoryNotFound, "{error}");
    assert!(
        error.to_string().contains("/gone.git") && error.to_string().contains("404"),
        "{error}"
    );
}

#[test]
fn a_missing_branch_is_not_found_in_a_real_listing() {
    let fixture = Fixture::start();
    fixture
        .server
        .repository(IDL)
        .unwrap()
        .commit("main", "c", &[("a", Some(b"a"))])
        .unwrap();
    let references = list_references(&fixture.remote(IDL)).unwrap();
    let error = resolve(&references, &Selector::Branch("mian".to_owned())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to find branch mian; did you mean main?"
    );
}

#[test]
fn addresses_that_the_policy_denies_are_not_connected_to() {
    let fixture = Fixture::start();
    let ssh = format!("ssh://git@{}/idl.git", fixture.server.address());
    let identity = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
    for url in [
        fixture.server.url(IDL),
        format!("https://{}/idl.git", fixture.server.address()),
        ssh,
    ] {
        let credentials = secret(&[("identity", identity), ("known_hosts", "# none")]);
        let guarded = Remote::new(url.parse().unwrap()).with_credentials(credentials);
        let error = failure(&guarded.with_address_policy(AddressPolicy::default()));
        assert_eq!(error.kind(), GitErrorKind::AddressRefused, "{error}");
    }
    assert!(fixture.server.requests().is_empty());
}

#[test]
fn redirects_are_followed_within_the_host_only() {
    let redirect = |from: &str, to: &str| Redirect {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let fixture = Fixture::start_with(|options| {
        options.redirects = vec![
            redirect("/old/", "/"),
            redirect("/away/", "https://evil.example/canary-path/"),
            redirect("/plain/", "http://localhost/"),
            redirect("/loop/", "/loop/"),
            redirect("/login/idl.git/info/refs", "/users/sign_in"),
        ];
    });
    let repository = fixture.server.repository(IDL).unwrap();
    let commit = repository.commit("main", "c", &[("a", Some(b"a"))]).unwrap();

    let moved = fixture.remote("old/idl.git");
    let snapshot = heddle_git_remote::fetch_commit(
        &moved,
        &fixture.folder("clone"),
        commit.parse().unwrap(),
        None,
        &mut |_| {},
    );
    assert_eq!(snapshot.unwrap().commit().to_string(), commit);

    for (path, target) in [
        ("away/idl.git", "https://evil.example,"),
        ("plain/idl.git", "http://localhost,"),
        ("loop/idl.git", "itself, again and again,"),
        ("login/idl.git", "another page of the same host,"),
    ] {
        let error = failure(&fixture.remote(path));
        assert_eq!(error.kind(), GitErrorKind::RedirectRefused, "{error}");
        assert!(
            error.to_string().contains(&format!("redirects to {target}")),
            "{error}"
        );
        assert!(!error.to_string().contains("canary-path"), "{error}");
    }
}

#[test]
fn an_authority_that_is_used_as_a_servers_certificate_is_explained() {
    let fixture = Fixture::start_with(|options| {
        options.tls = Some(self_signed(&options.data, "localhost"));
    });
    let ca = std::fs::read_to_string(fixture.folder("server/self.crt")).unwrap();
    let error = failure(&remote(&fixture.server.url(IDL)).with_credentials(secret(&[("ca.crt", &ca)])));
    assert_eq!(error.kind(), GitErrorKind::TlsNotTrusted, "{error}");
    assert!(
        error.to_string().contains("it is an authority's certificate"),
        "{error}"
    );
}

/// What `openssl req -x509` makes by default.
fn self_signed(directory: &std::path::Path, name: &str) -> TlsFiles {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let files = TlsFiles {
        certificate: directory.join("self.crt"),
        key: directory.join("self.key"),
    };
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[test]
fn a_repository_of_sha256_objects_is_named_as_such() {
    let fixture = Fixture::start();
    let path = fixture.server.repository(IDL).unwrap().path().to_path_buf();
    std::fs::remove_dir_all(&path).unwrap();
    let made = std::process::Command::new("git")
        .args(["init", "--quiet", "--bare", "--object-format=sha256"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    fixture
        .server
        .repository(IDL)
        .unwrap()
        .commit("main", "c", &[("a", Some(b"a"))])
        .unwrap();
    let error = failure(&fixture.remote(IDL));
    assert!(
        error
            .to_string()
            .contains("unknown remote object format 'sha256'"),
        "{error}"
    );
}
