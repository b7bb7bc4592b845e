use super::*;
use crate::GitErrorKind;

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n";

fn secret(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

#[test]
fn basic_and_bearer_logins_are_read_and_trailing_line_ends_dropped() {
    let basic =
        Credentials::from_secret(&secret(&[("username", "ci\n"), ("password", "pass word\r\n")])).unwrap();
    let Some(Login::Basic { username, password }) = basic.login() else {
        panic!("{basic:?}")
    };
    assert_eq!((username.as_str(), password.as_str()), ("ci", "pass word"));
    let bearer = Credentials::from_secret(&secret(&[("bearerToken", "token")])).unwrap();
    assert!(matches!(bearer.login(), Some(Login::Bearer(token)) if token == "token"));
}

#[test]
fn a_password_beside_an_identity_is_its_passphrase() {
    let credentials =
        Credentials::from_secret(&secret(&[("identity", KEY), ("password", "phrase")])).unwrap();
    assert_eq!(
        credentials.identity().unwrap().passphrase.as_deref(),
        Some("phrase")
    );
    assert!(credentials.login().is_none());
}

#[test]
fn each_bad_key_is_named_and_no_value_is_shown() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("username", "canary")], "\"password\" is missing"),
        (&[("password", "canary")], "\"username\" is missing"),
        (
            &[("username", "a:canary"), ("password", "canary")],
            "\"username\" contains a colon",
        ),
        (
            &[
                ("username", "canary"),
                ("password", "canary"),
                ("bearerToken", "canary"),
            ],
            "\"bearerToken\" excludes",
        ),
        (
            &[("bearerToken", "can\nary")],
            "\"bearerToken\" contains a line end",
        ),
        (&[("bearerToken", "  ")], "\"bearerToken\" is empty"),
        (&[("ca.crt", "canary")], "\"ca.crt\" contains no certificate"),
        (
            &[("ca.crt", "-----BEGIN CERTIFICATE-----\ncanary\n")],
            "\"ca.crt\" is not valid PEM",
        ),
        (
            &[(
                "ca.crt",
                "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n",
            )],
            "malformed",
        ),
        (&[("identity", "canary")], "\"identity\" is not a private key"),
    ];
    for (entries, expected) in cases {
        let error = Credentials::from_secret(&secret(entries)).unwrap_err();
        assert_eq!(error.kind(), GitErrorKind::InvalidCredentials);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn ssh_needs_identity_and_known_hosts() {
    let url: RemoteUrl = "ssh://git@host/repo".parse().unwrap();
    let missing = |entries: &[(&str, &str)]| {
        Credentials::from_secret(&secret(entries))
            .unwrap()
            .check_for(&url)
            .unwrap_err()
            .to_string()
    };
    assert!(missing(&[]).contains("\"identity\" is missing"));
    assert!(missing(&[("identity", KEY)]).contains("\"known_hosts\" is missing"));
}

#[test]
fn debug_shows_no_value() {
    let all = secret(&[
        ("username", "u"),
        ("password", "canary"),
        ("identity", KEY),
        ("known_hosts", "canary"),
    ]);
    let credentials = Credentials::from_secret(&all).unwrap();
    assert!(!format!("{credentials:?}").contains("canary"));
}

#[test]
fn a_mounted_folder_reads_like_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("username"), "ci").unwrap();
    fs::write(directory.path().join("password"), "pw").unwrap();
    let mounted = Credentials::from_directory(directory.path()).unwrap();
    assert!(mounted == Credentials::from_secret(&secret(&[("username", "ci"), ("password", "pw")])).unwrap());
    let gone = Credentials::from_directory(&directory.path().join("gone")).unwrap_err();
    assert_eq!(gone.kind(), GitErrorKind::InvalidCredentials);
}

#[test]
fn a_user_name_that_is_a_token_is_a_secret_and_a_placeholder_is_none() {
    let check = |username: &str, password: &str, expected: &[&str]| {
        let data = secret(&[("username", username), ("password", password)]);
        let secrets = Credentials::from_secret(&data).unwrap().secrets();
        let (header, plain) = secrets.split_last().unwrap();
        assert!(header.len() > username.len(), "{header}");
        assert_eq!(plain, expected, "{username} {password}");
    };
    check("robot", "hunter22", &["hunter22"]);
    check("canary", "x-oauth-basic", &["canary"]);
    check("canary", "X", &["canary"]);
    check(
        "ghp_0123456789abcdef",
        "hunter22",
        &["hunter22", "ghp_0123456789abcdef"],
    );
    assert_eq!(secrets_of_login("canary", ""), ["canary"]);
    assert_eq!(secrets_of_login("", "phrase"), ["phrase"]);
}
