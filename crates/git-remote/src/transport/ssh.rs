//! Git over ssh (RFC 4254 exec channels) as a libgit2 subtransport, by libssh2 on a socket of our own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Channel, ErrorCode, MethodType};
use url::Url;

use super::known_hosts::{KnownHost, Verdict, fingerprint};
use super::{fail, fail_io, socket};
use crate::session::Session;
use crate::{GitError, SecretKey};

/// `LIBSSH2_ERROR_EAGAIN`: nothing is wrong, the socket is not ready.
const AGAIN: i32 = -37;
/// `LIBSSH2_ERROR_FILE`, `_METHOD_NONE`, `_KEYFILE_AUTH_FAILED`: the private key cannot be used.
const BAD_KEY: [i32; 3] = [-16, -17, -48];
/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED` and `_PUBLICKEY_UNVERIFIED`: the server does not accept the key.
const REFUSED_KEY: [i32; 2] = [-18, -19];
/// Bytes of a failed command's standard error that are read for the reason in it.
const REASON_BYTES: usize = 4096;
/// For saying goodbye when a connection is dropped.
const CLOSE_TIMEOUT_MILLISECONDS: u32 = 1000;

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

/// An ssh connection on a socket that never blocks; waiting is done here.
struct Link {
    ssh: ssh2::Session,
    stream: TcpStream,
    session: Arc<Session>,
}

impl Link {
    /// Connects, agrees on keys, and checks that the server is who it should be.
    fn connect(session: &Arc<Session>) -> Result<Self, GitError> {
        let remote = session.remote();
        remote.check()?;
        let known = KnownHost::find(
            remote.credentials.known_hosts()?,
            remote.url.bare_host(),
            remote.url.port(),
        )?;
        let stream = socket::connect(session)?.into_stream();
        let failed = |error: io::Error| super::broken(session, error.kind(), &error.to_string());
        stream.set_nonblocking(true).map_err(failed)?;
        let mut ssh = ssh2::Session::new().map_err(|error| lost(session, error.message()))?;
        ssh.set_tcp_stream(stream.try_clone().map_err(failed)?);
        ssh.set_blocking(false);
        ssh.method_pref(MethodType::HostKey, &known.method_preference())
            .map_err(|error| lost(session, error.message()))?;
        let link = Self {
            ssh: ssh.clone(),
            stream,
            session: Arc::clone(session),
        };
        link.patiently("agreeing on keys", || ssh.handshake())?;
        link.check_host_key(&known)?;
        Ok(link)
    }

    fn check_host_key(&self, known: &KnownHost) -> Result<(), GitError> {
        let (key, _) = self
            .ssh
            .host_key()
            .ok_or_else(|| lost(&self.session, "it shows no host key"))?;
        let reason = match known.judge(key) {
            Verdict::Trusted => return Ok(()),
            Verdict::Unknown => "known_hosts in the Secret has no key for this host and port",
            Verdict::Changed => "known_hosts in the Secret has another key for it (replaced, or an impostor)",
            Verdict::Revoked => "known_hosts in the Secret marks it as revoked",
        };
        Err(GitError::TrustHostKey {
            authority: self.session.authority(),
            reason: reason.to_owned(),
            fingerprint: fingerprint(key),
        })
    }

    fn authenticate(&self, user: &str) -> Result<(), GitError> {
        let identity = self.session.remote().credentials.identity()?;
        let public = identity.public.as_deref();
        let passphrase = identity.passphrase.as_deref();
        self.patiently("authenticating", || {
            self.ssh
                .userauth_pubkey_memory(user, public, &identity.private, passphrase)
        })
    }

    /// Repeats `step` until the socket lets it finish.
    fn patiently<T>(
        &self,
        step_name: &'static str,
        mut step: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, GitError> {
        let started = Instant::now();
        loop {
            match step() {
                Err(error) if error.code() == ErrorCode::Session(AGAIN) => self.wait(step_name, started)?,
                result => return result.map_err(|error| self.explain(&error)),
            }
        }
    }

    /// [`Self::patiently`] for reads and writes of the channel.
    fn patiently_io(&self, mut step: impl FnMut() -> io::Result<usize>) -> Result<usize, GitError> {
        let started = Instant::now();
        loop {
            match step() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait("waiting for data", started)?
                }
                result => return result.map_err(|error| lost(&self.session, &error.to_string())),
            }
        }
    }

    /// Waits for the socket, for one tick at most.
    fn wait(&self, step: &'static str, started: Instant) -> Result<(), GitError> {
        self.session.check()?;
        let limit = self.session.remote().limits.idle_timeout;
        if started.elapsed() > limit {
            return Err(self.session.timeout(step, limit));
        }
        let events = match self.ssh.block_directions() {
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
            BlockDirections::Inbound | BlockDirections::None => PollFlags::POLLIN,
        };
        let tick = PollTimeout::try_from(socket::TICK).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.stream.as_fd(), events)], tick) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(lost(&self.session, error.desc())),
        }
    }

    fn explain(&self, error: &ssh2::Error) -> GitError {
        let code = match error.code() {
            ErrorCode::Session(code) | ErrorCode::SFTP(code) => code,
        };
        if BAD_KEY.contains(&code) {
            let reason = "is not a private key that can be used, or \"password\" is not its passphrase";
            return GitError::ReadCredentials {
                key: SecretKey::Identity,
                reason: reason.to_owned(),
            };
        }
        if REFUSED_KEY.contains(&code) {
            let reason = "the server refuses the key \"identity\" for this user; \
                          check the Secret, the user in the URL and the deploy keys on the server";
            return GitError::Authenticate {
                remote: self.session.remote().url.to_string(),
                reason: reason.to_owned(),
            };
        }
        lost(&self.session, error.message())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // libssh2 frees a session completely only when it may wait for its goodbye to be sent.
        self.ssh.set_timeout(CLOSE_TIMEOUT_MILLISECONDS);
        self.ssh.set_blocking(true);
    }
}

fn lost(session: &Session, reason: &str) -> GitError {
    GitError::Connect {
        authority: session.authority(),
        reason: format!("ssh failed: {}", session.sanitize(reason)),
    }
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
