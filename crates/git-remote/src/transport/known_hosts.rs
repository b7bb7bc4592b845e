//! The `known_hosts` format of sshd(8): which keys a host may show.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::{digest, hmac};

use crate::{GitError, SecretKey};

const SSH_PORT: u16 = 22;
/// What libssh2 can negotiate, best first; `ssh-rsa` keys sign by three methods.
const METHODS: [(&str, &[&str]); 5] = [
    ("ssh-ed25519", &["ssh-ed25519"]),
    ("ecdsa-sha2-nistp256", &["ecdsa-sha2-nistp256"]),
    ("ecdsa-sha2-nistp384", &["ecdsa-sha2-nistp384"]),
    ("ecdsa-sha2-nistp521", &["ecdsa-sha2-nistp521"]),
    ("ssh-rsa", &["rsa-sha2-512", "rsa-sha2-256"]),
];

/// The lines of a `known_hosts` file that are about one host.
#[derive(Debug)]
pub(super) struct KnownHost {
    keys: Vec<Key>,
}

/// One line's key.
#[derive(Debug)]
struct Key {
    algorithm: String,
    bytes: Vec<u8>,
    revoked: bool,
}

/// What the file says about a key that a host shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Trusted,
    /// The file has no key for the host.
    Unknown,
    /// The file has other keys for the host.
    Changed,
    /// The file says that the key must not be trusted.
    Revoked,
}

impl KnownHost {
    /// Picks the lines about `host` at `port`.
    ///
    /// # Errors
    /// A line is malformed; its number is named.
    pub(super) fn find(text: &str, host: &str, port: u16) -> Result<Self, GitError> {
        let names = names(host, port);
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (patterns, key) = parse_line(line).ok_or_else(|| GitError::ReadCredentials {
                key: SecretKey::KnownHosts,
                reason: format!("is malformed in line {}; see ssh-keyscan", index + 1),
            })?;
            if let Some(key) = key.filter(|_| matches_host(patterns, &names)) {
                keys.push(key);
            }
        }
        Ok(Self { keys })
    }

    pub(super) fn judge(&self, shown: &[u8]) -> Verdict {
        let mut same = self.keys.iter().filter(|key| key.bytes == shown).peekable();
        if same.peek().is_none() {
            return if self.keys.is_empty() {
                Verdict::Unknown
            } else {
                Verdict::Changed
            };
        }
        if same.any(|key| key.revoked) {
            Verdict::Revoked
        } else {
            Verdict::Trusted
        }
    }

    /// Host key methods for the key exchange: those of known keys first, so that a server with several keys shows
    /// one that can be judged.
    pub(super) fn method_preference(&self) -> String {
        let known = |algorithm: &str| self.keys.iter().any(|key| key.algorithm == algorithm);
        let (first, rest): (Vec<_>, Vec<_>) = METHODS.iter().partition(|(algorithm, _)| known(algorithm));
        let methods = first
            .iter()
            .chain(&rest)
            .flat_map(|(_, methods)| methods.iter().copied());
        methods.collect::<Vec<_>>().join(",")
    }
}

/// The fingerprint as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(shown: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, shown);
    let algorithm = algorithm(shown).unwrap_or("unknown");
    format!("{algorithm} SHA256:{}", STANDARD_NO_PAD.encode(hash))
}

/// The name at the front of a key's wire format (RFC 4253, section 6.6).
fn algorithm(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(rest.get(..length)?).ok()
}

/// How a host may be written: with its port, and, as ssh falls back to, without.
fn names(host: &str, port: u16) -> Vec<String> {
    match port {
        SSH_PORT => vec![host.to_owned()],
        _ => vec![format!("[{host}]:{port}"), host.to_owned()],
    }
}

/// A line's host patterns and key; no key for certificate authorities, which libssh2 cannot check.
fn parse_line(line: &str) -> Option<(&str, Option<Key>)> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let (marker, patterns) = match first.strip_prefix('@') {
        Some(marker) => (Some(marker), words.next()?),
        None => (None, first),
    };
    let algorithm = words.next()?.to_owned();
    let bytes = STANDARD.decode(words.next()?).ok()?;
    match marker {
        Some("cert-authority") => Some((patterns, None)),
        Some("revoked") => Some((
            patterns,
            Some(Key {
                algorithm,
                bytes,
                revoked: true,
            }),
        )),
        Some(_) => None,
        None => Some((
            patterns,
            Some(Key {
                algorithm,
                bytes,
                revoked: false,
            }),
        )),
    }
}

fn matches_host(patterns: &str, names: &[String]) -> bool {
    if let Some(hashed) = patterns.strip_prefix("|1|") {
        return names.iter().any(|name| matches_hash(hashed, name));
    }
    let matches = |pattern: &str| {
        names
            .iter()
            .any(|name| matches_pattern(pattern.as_bytes(), name.as_bytes()))
    };
    let (denied, named): (Vec<_>, Vec<_>) = patterns.split(',').partition(|pattern| pattern.starts_with('!'));
    named.into_iter().any(matches) && !denied.into_iter().any(|pattern| matches(&pattern[1..]))
}

/// `salt|hash`, where hash is HMAC-SHA1 of the name keyed with the salt, both in base64.
fn matches_hash(hashed: &str, name: &str) -> bool {
    let decoded = hashed
        .split_once('|')
        .and_then(|(salt, hash)| Some((STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?)));
    decoded.is_some_and(|(salt, hash)| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        hmac::verify(&key, name.as_bytes(), &hash).is_ok()
    })
}

/// `*` and `?` as in ssh_config(5); host names are compared without regard to case.
fn matches_pattern(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|start| matches_pattern(rest, &name[start..])),
        Some((first, rest)) => name.split_first().is_some_and(|(byte, name)| {
            (*first == b'?' || first.eq_ignore_ascii_case(byte)) && matches_pattern(rest, name)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up key in wire format: the algorithm's name and a few bytes.
    fn key(algorithm: &str, byte: u8) -> Vec<u8> {
        let mut bytes = u32::try_from(algorithm.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(algorithm.as_bytes());
        bytes.extend([byte; 8]);
        bytes
    }

    fn line(patterns: &str, algorithm: &str, byte: u8) -> String {
        format!(
            "{patterns} {algorithm} {} comment\n",
            STANDARD.encode(key(algorithm, byte))
        )
    }

    fn judge(file: &str, host: &str, port: u16, byte: u8) -> Verdict {
        KnownHost::find(file, host, port)
            .unwrap()
            .judge(&key("ssh-ed25519", byte))
    }

    #[test]
    fn keys_are_trusted_for_the_hosts_they_are_listed_for() {
        let file = [
            "# comment\n\n",
            &line("a.example,10.0.0.1", "ssh-ed25519", 1),
            &line("[b]:2222", "ssh-ed25519", 2),
        ]
        .concat();
        assert_eq!(judge(&file, "a.example", 22, 1), Verdict::Trusted);
        assert_eq!(judge(&file, "10.0.0.1", 22, 1), Verdict::Trusted);
        assert_eq!(judge(&file, "a.example", 22, 2), Verdict::Changed);
        assert_eq!(judge(&file, "c.example", 22, 1), Verdict::Unknown);
        assert_eq!(judge(&file, "b", 2222, 2), Verdict::Trusted);
        assert_eq!(judge(&file, "b", 22, 2), Verdict::Unknown);
        assert_eq!(judge(&file, "a.example", 2222, 1), Verdict::Trusted);
    }

    #[test]
    fn patterns_negations_and_revocations_count() {
        let file = [
            line("*.example,!bad.example", "ssh-ed25519", 1),
            line("@revoked *", "ssh-ed25519", 9),
        ]
        .concat();
        assert_eq!(judge(&file, "good.EXAMPLE", 22, 1), Verdict::Trusted);
        assert_eq!(judge(&file, "bad.example", 22, 1), Verdict::Changed);
        assert_eq!(judge(&file, "good.example", 22, 9), Verdict::Revoked);
    }

    #[test]
    fn hashed_names_match() {
        let salt = [7_u8; 20];
        let hash = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt),
            b"a.example",
        );
        let hashed = format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash));
        assert_eq!(
            judge(&line(&hashed, "ssh-ed25519", 1), "a.example", 22, 1),
            Verdict::Trusted
        );
        assert_eq!(
            judge(&line(&hashed, "ssh-ed25519", 1), "b.example", 22, 1),
            Verdict::Unknown
        );
    }

    #[test]
    fn malformed_lines_are_named_by_number() {
        let error = KnownHost::find("# ok\nhost ssh-ed25519 ***", "host", 22).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn methods_of_known_keys_come_first() {
        let host = KnownHost::find(&line("h", "ssh-rsa", 1), "h", 22).unwrap();
        assert!(
            host.method_preference()
                .starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519")
        );
    }
}
