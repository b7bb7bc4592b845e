//! The values of a Secret's keys, and what they make together.

use std::collections::BTreeMap;

use super::{Identity, Login, SecretKey, refuse};
use crate::GitError;

/// The values of the keys as text.
#[derive(Default)]
pub(super) struct Values(BTreeMap<SecretKey, String>);

impl Values {
    pub(super) fn insert(&mut self, key: SecretKey, bytes: &[u8]) -> Result<(), GitError> {
        let text = std::str::from_utf8(bytes).map_err(|_| refuse(key, "is not UTF-8 text"))?;
        if text.trim().is_empty() {
            return Err(refuse(key, "is empty"));
        }
        self.0.insert(key, text.to_owned());
        Ok(())
    }

    pub(super) fn take(&mut self, key: SecretKey) -> Option<String> {
        self.0.remove(&key)
    }

    /// A value that goes into a header. Editors and `echo` leave a line end behind, which is never meant.
    fn take_line(&mut self, key: SecretKey) -> Result<Option<String>, GitError> {
        let Some(text) = self.take(key) else {
            return Ok(None);
        };
        let line = text.trim_end_matches(['\r', '\n']);
        if line.chars().any(char::is_control) {
            return Err(refuse(key, "contains a line end or another control character"));
        }
        Ok(Some(line.to_owned()))
    }

    /// The key with its passphrase; `password` is the passphrase only when no `username` claims it.
    pub(super) fn take_identity(&mut self) -> Result<Option<Identity>, GitError> {
        let public = self.take(SecretKey::IdentityPublic);
        let Some(private) = self.take(SecretKey::Identity) else {
            return Ok(None);
        };
        if !private.trim_start().starts_with("-----BEGIN ") {
            return Err(refuse(
                SecretKey::Identity,
                "is not a private key in PEM or OpenSSH format",
            ));
        }
        let passphrase = match self.0.contains_key(&SecretKey::Username) {
            true => None,
            false => self.take_line(SecretKey::Password)?,
        };
        Ok(Some(Identity {
            private,
            public,
            passphrase,
        }))
    }

    pub(super) fn take_login(&mut self) -> Result<Option<Login>, GitError> {
        let username = self.take_line(SecretKey::Username)?;
        let password = self.take_line(SecretKey::Password)?;
        let token = self.take_line(SecretKey::BearerToken)?;
        match (username, password, token) {
            (None, None, None) => Ok(None),
            (None, None, Some(token)) => Ok(Some(Login::Bearer(token))),
            (Some(username), _, None) if username.contains(':') => Err(refuse(
                SecretKey::Username,
                "contains a colon, which basic authentication cannot carry",
            )),
            (Some(username), Some(password), None) => Ok(Some(Login::Basic { username, password })),
            (Some(_), None, _) => Err(refuse(
                SecretKey::Password,
                "is missing; it belongs to \"username\"",
            )),
            (None, Some(_), _) => Err(refuse(
                SecretKey::Username,
                "is missing; it belongs to \"password\"",
            )),
            (Some(_), Some(_), Some(_)) => Err(refuse(
                SecretKey::BearerToken,
                "excludes \"username\" and \"password\"; give one or the other",
            )),
        }
    }
}
