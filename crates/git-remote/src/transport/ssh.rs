//! Git over ssh (RFC 4254 exec channels) as a libgit2 subtransport, by libssh2 on a socket of our own.

mod link;

use std::io::{self, Read, Write};
use std::sync::Arc;

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use ssh2::Channel;
use url::Url;

use self::link::{Link, lost};
use super::{fail, fail_io};
use crate::GitError;
use crate::session::Session;

/// Bytes of a failed command's standard error that are read for the reason in it.
const REASON_BYTES: usize = 4096;

/// The connection of one libgit2 remote.
pub(super) struct SshTransport {
    session: Arc<Session>,
}

impl SshTransport {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    fn open(&self, command: &str) -> Result<SshStream, GitError> {
        let url = &self.session.remote().url;
        let link = Link::connect(&self.session)?;
        link.authenticate(url.ssh_user())?;
        let mut channel = link.patiently("opening a channel", || link.ssh.channel_session())?;
        let command = format!("{command} {}", quote(&path(url.url())));
        link.patiently("starting Git", || channel.exec(&command))?;
        Ok(SshStream {
            channel,
            link,
            received: false,
        })
    }
}

impl SmartSubtransport for SshTransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let command = match action {
            Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
            Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
        };
        let stream = self.open(command).map_err(|error| fail(&self.session, error))?;
        Ok(Box::new(stream))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// The path on the server; `/~user/…` is relative to a home directory, as in git's own URLs.
fn path(url: &Url) -> String {
    let path = percent_decode(url.path());
    match path.strip_prefix("/~") {
        Some(home) => format!("~{home}"),
        None => path,
    }
}

fn percent_decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| tail.get(..2)).flatten();
        let decoded = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match decoded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Single quotes for the server's shell, as git quotes.
fn quote(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''").replace('!', r"'\!'"))
}

/// Standard input and output of Git on the server.
struct SshStream {
    // Dropped before the link, whose socket it needs.
    channel: Channel,
    link: Link,
    received: bool,
}

impl SshStream {
    /// The server has closed its output: fine after a complete exchange, else its standard error says why.
    fn explain_end(&mut self) -> Result<(), GitError> {
        let mut words = Vec::new();
        // What has arrived by now is all there is; whether its end has is of no interest.
        let complete = self
            .channel
            .stderr()
            .take(REASON_BYTES as u64)
            .read_to_end(&mut words)
            .is_ok();
        tracing::trace!(complete, "read the standard error of a Git command");
        self.link
            .patiently("closing the channel", || self.channel.close())?;
        self.link
            .patiently("closing the channel", || self.channel.wait_close())?;
        let failed = self.channel.exit_status().is_ok_and(|status| status != 0);
        if self.received && !failed {
            return Ok(());
        }
        Err(explain_words(
            &self.link.session,
            &String::from_utf8_lossy(&words),
        ))
    }
}

/// What Git and the large Git hosts say on standard error.
fn explain_words(session: &Session, words: &str) -> GitError {
    let remote = session.remote().url.to_string();
    let reason = session.sanitize(words);
    let lower = words.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    if says(&[
        "not found",
        "not appear to be a git repository",
        "could not be found",
        "does not exist",
        "no such",
    ]) {
        return GitError::FindRepository { remote, reason };
    }
    if says(&["permission", "denied", "not allowed", "access"]) {
        return GitError::Authenticate { remote, reason };
    }
    match reason.is_empty() {
        true => lost(session, "the server closed the channel without a word"),
        false => GitError::Reject { remote, reason },
    }
}

impl Read for SshStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = Arc::clone(&self.link.session);
        let read = self.link.patiently_io(|| self.channel.read(buffer));
        let result = read.and_then(|count| match count {
            0 => self.explain_end().map(|()| 0),
            _ => {
                self.received = true;
                session.check()?;
                session.count_received(count).map(|()| count)
            }
        });
        result.map_err(|error| fail_io(&session, error))
    }
}

impl Write for SshStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.link.patiently_io(|| self.channel.write(buffer));
        written.map_err(|error| fail_io(&self.link.session, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_quoted_for_the_servers_shell() {
        let decode = |text: &str| path(&Url::parse(text).unwrap());
        assert_eq!(decode("ssh://h/srv/a%20b.git"), "/srv/a b.git");
        assert_eq!(decode("ssh://h/~ci/idl"), "~ci/idl");
        assert_eq!(decode("ssh://h/100%"), "/100%");
        assert_eq!(quote("/it's; rm -rf /"), r"'/it'\''s; rm -rf /'");
    }
}
