//! Keeps secrets out of text that strangers wrote: plugins could repeat what they should never have seen.

use heddle_git_remote::{SecretKey, secrets_of_login};
use std::path::Path;
use std::sync::Arc;

/// What a secret is replaced by.
const MASK: &str = "***";
/// Shorter values are left alone: they would mask ordinary words, and are no secrets worth the name.
const SHORTEST: usize = 6;
/// The keys whose values are always secret. User names and passwords can take each other's place; the other keys are
/// names, certificates and public keys.
const SECRET_KEYS: [SecretKey; 2] = [SecretKey::BearerToken, SecretKey::Identity];

/// Masks the values of Secrets. `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Vec<String>>);

impl Redactor {
    /// Masks what is in the folders of Secrets. One that cannot be read is reported by those who need it.
    pub fn for_folders<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut secrets: Vec<String> = folders
            .into_iter()
            .flat_map(secrets_in)
            .filter(|line| line.len() >= SHORTEST && !line.starts_with("-----"))
            .collect();
        // A secret that is a part of another must not uncover the rest of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(Arc::new(secrets))
    }

    /// Masks this one too.
    #[must_use]
    pub fn and(&self, secret: &str) -> Self {
        let mut secrets = self.0.as_ref().clone();
        if secret.len() >= SHORTEST {
            secrets.insert(0, secret.to_owned());
        }
        Self(Arc::new(secrets))
    }

    /// `text` without secrets.
    pub fn redact(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

fn secrets_in(folder: &Path) -> Vec<String> {
    let read = |key: SecretKey| std::fs::read_to_string(folder.join(key.as_str())).unwrap_or_default();
    let [username, password] = [SecretKey::Username, SecretKey::Password].map(read);
    let others = SECRET_KEYS.map(read);
    // A private key is as secret in its lines.
    let lines = others.iter().flat_map(|text| text.lines()).map(str::trim);
    let login = secrets_of_login(username.trim(), password.trim());
    login.into_iter().chain(lines).map(str::to_owned).collect()
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} secrets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_masked_and_names_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nbase64base64\nmore64more64\n-----END OPENSSH PRIVATE KEY-----\n";
        for (name, text) in [
            ("username", "robot-account"),
            ("password", "hunter22\n"),
            ("identity", key),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let redactor = Redactor::for_folders([folder.path(), Path::new("/nonexistent")]);
        let text = "robot-account said hunter22 and more64more64 -----BEGIN";
        assert_eq!(redactor.redact(text), "robot-account said *** and *** -----BEGIN");
        assert!(!format!("{redactor:?}").contains("hunter22"));
    }

    #[test]
    fn a_token_in_the_place_of_the_user_name_is_masked() {
        for (username, password) in [
            ("canary-token\n", Some("x-oauth-basic\n")),
            ("canary-token", Some("x")),
            ("canary-token", None),
            ("canary-token-that-is-long", Some("hunter22")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("username"), username).unwrap();
            if let Some(password) = password {
                std::fs::write(folder.path().join("password"), password).unwrap();
            }
            let redactor = Redactor::for_folders([folder.path()]);
            let text = format!("exit {}@host", username.trim());
            assert_eq!(redactor.redact(&text), "exit ***@host", "{password:?}");
        }
    }
}
