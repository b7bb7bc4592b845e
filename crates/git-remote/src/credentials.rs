//! Credentials for a remote, from a Kubernetes Secret's data or from the folder it is mounted at.

mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use self::values::Values;
use crate::{GitError, RemoteUrl};

/// Bytes of one key; Kubernetes itself caps a whole Secret at 1 MiB.
const VALUE_BYTES: u64 = 1024 * 1024;

/// User names at least this long are taken for tokens, which hosts also accept in their place.
const TOKEN_LENGTH: usize = 20;
/// What people give for a password when the user name is a token.
const PLACEHOLDERS: [&str; 6] = [
    "",
    "x",
    "x-oauth-basic",
    "x-access-token",
    "x-token-auth",
    "oauth2",
];

/// Which of a user name and a password must never be printed: the password, and the user name where it looks like a
/// token. A password that only fills a place, such as `x-oauth-basic`, is none.
#[must_use]
pub fn secrets_of_login<'a>(username: &'a str, password: &'a str) -> Vec<&'a str> {
    let fills_a_place = PLACEHOLDERS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(password));
    let is_token = !username.is_empty() && (fills_a_place || username.len() >= TOKEN_LENGTH);
    let mut secrets = Vec::new();
    secrets.extend((!fills_a_place).then_some(password));
    secrets.extend(is_token.then_some(username));
    secrets
}

/// The keys that are read; others are ignored. Flux's Git secrets have the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKey {
    /// `username`: for basic authentication, with `password`.
    Username,
    /// `password`: for basic authentication, or the passphrase of `identity`.
    Password,
    /// `bearerToken`: instead of `username` and `password`.
    BearerToken,
    /// `ca.crt`: certificate authorities in PEM, trusted instead of the system's.
    CertificateAuthority,
    /// `identity`: the private key for ssh, in PEM or OpenSSH format.
    Identity,
    /// `identity.pub`: its public key, which can usually be left out.
    IdentityPublic,
    /// `known_hosts`: the ssh server's keys, as `ssh-keyscan` prints them.
    KnownHosts,
}

impl SecretKey {
    const ALL: [Self; 7] = [
        Self::Username,
        Self::Password,
        Self::BearerToken,
        Self::CertificateAuthority,
        Self::Identity,
        Self::IdentityPublic,
        Self::KnownHosts,
    ];

    /// The name of the key in the Secret's data, and of the file in the folder it is mounted at.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Password => "password",
            Self::BearerToken => "bearerToken",
            Self::CertificateAuthority => "ca.crt",
            Self::Identity => "identity",
            Self::IdentityPublic => "identity.pub",
            Self::KnownHosts => "known_hosts",
        }
    }
}

impl fmt::Display for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.as_str())
    }
}

/// How to authenticate to a remote, and what to trust. The default authenticates as nobody and trusts the system's
/// certificate authorities. `Debug` prints which keys are there, never what they hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    login: Option<Login>,
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
    known_hosts: Option<String>,
    origin: Option<String>,
}

/// What goes into the `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Basic { username: String, password: String },
    Bearer(String),
}

impl Login {
    /// The value of the `Authorization` header (RFC 7617, RFC 6750).
    pub(crate) fn authorization(&self) -> String {
        match self {
            Self::Basic { username, password } => {
                format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
            }
            Self::Bearer(token) => format!("Bearer {token}"),
        }
    }

    fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Basic { username, password } => secrets_of_login(username, password),
            Self::Bearer(token) => vec![token],
        }
    }
}

/// A private key for ssh.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) private: String,
    pub(crate) public: Option<String>,
    pub(crate) passphrase: Option<String>,
}

impl Credentials {
    /// Reads the data of a Secret, values decoded from base64 as the Kubernetes client gives them.
    ///
    /// # Errors
    /// [`crate::GitErrorKind::InvalidCredentials`], naming the key that is missing or malformed.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, GitError> {
        let mut values = Values::default();
        for key in SecretKey::ALL {
            if let Some(bytes) = data.get(key.as_str()) {
                values.insert(key, bytes)?;
            }
        }
        Self::from_values(values)
    }

    /// Reads the folder that a Secret is mounted at: one file per key.
    ///
    /// # Errors
    /// [`crate::GitErrorKind::InvalidCredentials`], naming the folder or the key that cannot be used.
    pub fn from_directory(directory: &Path) -> Result<Self, GitError> {
        fs::read_dir(directory).map_err(|source| GitError::OpenCredentials {
            directory: directory.to_path_buf(),
            source,
        })?;
        let mut values = Values::default();
        for key in SecretKey::ALL {
            match read_bounded(&directory.join(key.as_str())) {
                Ok(bytes) => values.insert(key, &bytes)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(refuse(key, format!("cannot be read: {error}"))),
            }
        }
        Self::from_values(values)
    }

    fn from_values(mut values: Values) -> Result<Self, GitError> {
        let authorities = values
            .take(SecretKey::CertificateAuthority)
            .map_or(Ok(Vec::new()), |pem| parse_authorities(&pem))?;
        let identity = values.take_identity()?;
        let known_hosts = values.take(SecretKey::KnownHosts);
        let login = values.take_login()?;
        Ok(Self {
            login,
            authorities,
            identity,
            known_hosts,
            origin: None,
        })
    }

    /// Says where they are from, such as `Secret "push"`, so that errors can name what to look at.
    #[must_use]
    pub fn from_origin(self, origin: impl Into<String>) -> Self {
        Self {
            origin: Some(origin.into()),
            ..self
        }
    }

    pub(crate) fn origin(&self) -> &str {
        self.origin.as_deref().unwrap_or("the Secret")
    }

    pub(crate) fn check_for(&self, url: &RemoteUrl) -> Result<(), GitError> {
        if url.is_ssh() {
            self.identity()?;
            self.known_hosts()?;
        }
        Ok(())
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(crate) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    pub(crate) fn identity(&self) -> Result<&Identity, GitError> {
        self.identity
            .as_ref()
            .ok_or_else(|| refuse(SecretKey::Identity, "is missing; ssh needs a private key"))
    }

    pub(crate) fn known_hosts(&self) -> Result<&str, GitError> {
        self.known_hosts.as_deref().ok_or_else(|| {
            refuse(
                SecretKey::KnownHosts,
                "is missing; ssh needs the server's keys, see ssh-keyscan",
            )
        })
    }

    /// What must never be printed, for masking it in servers' answers.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        if let Some(login) = &self.login {
            secrets.extend(login.secrets().into_iter().map(str::to_owned));
            secrets.extend(login.authorization().split(' ').nth(1).map(str::to_owned));
        }
        secrets.extend(
            self.identity
                .as_ref()
                .and_then(|identity| identity.passphrase.clone()),
        );
        secrets
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = match &self.login {
            Some(Login::Basic { .. }) => "basic",
            Some(Login::Bearer(_)) => "bearer",
            None => "none",
        };
        formatter
            .debug_struct("Credentials")
            .field("login", &login)
            .field("authorities", &self.authorities.len())
            .field("identity", &self.identity.is_some())
            .field("known_hosts", &self.known_hosts.is_some())
            .finish()
    }
}

fn refuse(key: SecretKey, reason: impl Into<String>) -> GitError {
    GitError::ReadCredentials {
        key,
        reason: reason.into(),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(VALUE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > VALUE_BYTES {
        return Err(io::Error::other(format!("it is larger than {VALUE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn parse_authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, GitError> {
    let key = SecretKey::CertificateAuthority;
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refuse(key, "is not valid PEM"))?;
    if certificates.is_empty() {
        return Err(refuse(key, "contains no certificate in PEM"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|_| refuse(key, "contains a malformed certificate"))?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
