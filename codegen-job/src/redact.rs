//! Keeps secrets out of text that strangers wrote: plugins could repeat what they should never have seen.

use heddle_git_remote::SecretKey;
use std::path::Path;
use std::sync::Arc;

/// What a secret is replaced by.
const MASK: &str = "***";
/// Shorter values are left alone: they would mask ordinary words, and are no secrets worth the name.
const SHORTEST: usize = 6;
/// The keys whose values are secret; the others are names, certificates and public keys.
const SECRET_KEYS: [SecretKey; 3] = [SecretKey::Password, SecretKey::BearerToken, SecretKey::Identity];

/// Masks the values of Secrets. `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Vec<String>>);

impl Redactor {
    /// Masks what is in the folders of Secrets. One that cannot be read is reported by those who need it.
    pub fn for_folders<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut secrets: Vec<String> = folders
            .into_iter()
            .flat_map(|folder| SECRET_KEYS.map(|key| folder.join(key.as_str())))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            // A private key is as secret in its lines.
            .flat_map(|text| {
                text.lines()
                    .map(|line| line.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .filter(|line| line.len() >= SHORTEST && !line.starts_with("-----"))
            .collect();
        // A secret that is a part of another must not uncover the rest of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(Arc::new(secrets))
    }

    /// `text` without secrets.
    pub fn redact(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
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
}
