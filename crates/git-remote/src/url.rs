//! URLs of Git remotes: https and ssh, and nothing else.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::GitError;

const HTTPS_PORT: u16 = 443;
const SSH_PORT: u16 = 22;
/// Who logs in over ssh when the URL does not say, as on all large Git hosts.
const SSH_USER: &str = "git";
/// Longer URLs are refused before they are parsed.
const URL_BYTES: usize = 2048;

/// A parsed `https://` or `ssh://` URL without credentials, query or fragment; safe to print.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    url: Url,
    scheme: Scheme,
    host: String,
}

/// How to talk to the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Https,
    Ssh,
}

impl RemoteUrl {
    /// The host as written in URLs: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port given, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or(match self.scheme {
            Scheme::Https => HTTPS_PORT,
            Scheme::Ssh => SSH_PORT,
        })
    }

    /// Whether the remote is reached over ssh, and so needs `identity` and `known_hosts`.
    #[must_use]
    pub fn is_ssh(&self) -> bool {
        self.scheme == Scheme::Ssh
    }

    /// The URL as text, as also printed by `Display`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// `host:port`, for messages.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// The host without the brackets of an IPv6 address, as resolvers and known_hosts want it.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn ssh_user(&self) -> &str {
        match self.url.username() {
            "" => SSH_USER,
            user => user,
        }
    }
}

impl FromStr for RemoteUrl {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > URL_BYTES {
            return Err(refuse(format!("it is longer than {URL_BYTES} bytes")));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse("it contains a space or a control character"));
        }
        let url = Url::parse(text).map_err(|error| refuse(format!("{error}; {EXPECTED}")))?;
        let scheme = scheme(&url)?;
        refuse_extras(&url, scheme)?;
        let host = host(&url)?;
        if url.path().trim_matches('/').is_empty() {
            return Err(refuse("it names no repository after the host"));
        }
        if url.port() == Some(0) {
            return Err(refuse("port 0 cannot be connected to"));
        }
        Ok(Self { url, scheme, host })
    }
}

const EXPECTED: &str = "expected https://host/path or ssh://git@host/path";

fn refuse(reason: impl Into<String>) -> GitError {
    GitError::ParseUrl {
        reason: reason.into(),
    }
}

fn scheme(url: &Url) -> Result<Scheme, GitError> {
    match url.scheme() {
        "https" => Ok(Scheme::Https),
        "ssh" => Ok(Scheme::Ssh),
        // The scheme of `user@host:path` or a pasted token is not worth the risk of printing it.
        _ => Err(refuse(format!("its scheme is neither https nor ssh; {EXPECTED}"))),
    }
}

/// Tokens are pasted into all of these places, and a URL is printed everywhere.
fn refuse_extras(url: &Url, scheme: Scheme) -> Result<(), GitError> {
    if url.password().is_some() {
        return Err(refuse("it contains a password; put credentials into the Secret"));
    }
    if scheme == Scheme::Https && !url.username().is_empty() {
        return Err(refuse("it contains a user name; put credentials into the Secret"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it contains a query or a fragment"));
    }
    Ok(())
}

/// The host, lower-cased and checked also for ssh, whose hosts the url crate leaves as they are.
fn host(url: &Url) -> Result<String, GitError> {
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| refuse("it has no host"))?;
    let host = Host::parse(host).map_err(|error| refuse(format!("its host is invalid: {error}")))?;
    Ok(host.to_string())
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.url.as_str())
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GitErrorKind;

    #[test]
    fn https_and_ssh_urls_are_admitted() {
        for (text, authority, ssh) in [
            (
                "https://git.example.com/team/idl.git",
                "git.example.com:443",
                false,
            ),
            (
                "https://git.example.com:8443/team/idl",
                "git.example.com:8443",
                false,
            ),
            (
                "ssh://git@git.example.com/team/idl.git",
                "git.example.com:22",
                true,
            ),
            ("ssh://[::1]:2222/srv/idl.git", "[::1]:2222", true),
        ] {
            let url: RemoteUrl = text.parse().unwrap();
            assert_eq!((url.authority().as_str(), url.is_ssh()), (authority, ssh));
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn everything_else_is_refused_without_echoing_it() {
        for text in [
            "",
            "git@host:canary/repo.git",
            "http://host/canary",
            "file:///canary",
            "git://host/canary",
            "ext::sh -c canary",
            "/canary",
            "https://user:canary@host/repo",
            "https://canary@host/repo",
            "ssh://git:canary@host/repo",
            "https://host/repo?private_token=canary",
            "https://host/repo#canary",
            "https://host/re\npo",
            "https://host/re po",
            "https://host/",
            "https://host:0/canary",
            "ssh:///canary",
            "ssh://-oProxyCommand=canary /repo",
        ] {
            let error = text.parse::<RemoteUrl>().unwrap_err();
            assert_eq!(error.kind(), GitErrorKind::InvalidUrl, "{text}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }
}
