//! An ssh connection by libssh2: agreeing on keys, checking the server's, showing ours.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, ErrorCode, MethodType};

use super::super::known_hosts::{KnownHost, Verdict, fingerprint};
use super::super::{broken, socket};
use crate::session::Session;
use crate::{GitError, SecretKey};

/// `LIBSSH2_ERROR_EAGAIN`: nothing is wrong, the socket is not ready.
const AGAIN: i32 = -37;
/// `LIBSSH2_ERROR_FILE`, `_METHOD_NONE`, `_KEYFILE_AUTH_FAILED`: the private key cannot be used.
const BAD_KEY: [i32; 3] = [-16, -17, -48];
/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED` and `_PUBLICKEY_UNVERIFIED`: the server does not accept the key.
const REFUSED_KEY: [i32; 2] = [-18, -19];
/// For saying goodbye when a connection is dropped.
const CLOSE_TIMEOUT_MILLISECONDS: u32 = 1000;

/// An ssh connection on a socket that never blocks; waiting is done here.
pub(super) struct Link {
    pub(super) ssh: ssh2::Session,
    stream: TcpStream,
    pub(super) session: Arc<Session>,
}

impl Link {
    /// Connects, agrees on keys, and checks that the server is who it should be.
    pub(super) fn connect(session: &Arc<Session>) -> Result<Self, GitError> {
        let remote = session.remote();
        remote.check()?;
        let known = KnownHost::find(
            remote.credentials.known_hosts()?,
            remote.url.bare_host(),
            remote.url.port(),
        )?;
        let stream = socket::connect(session)?.into_stream();
        let failed = |error: io::Error| broken(session, error.kind(), &error.to_string());
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

    pub(super) fn authenticate(&self, user: &str) -> Result<(), GitError> {
        let identity = self.session.remote().credentials.identity()?;
        let public = identity.public.as_deref();
        let passphrase = identity.passphrase.as_deref();
        self.patiently("authenticating", || {
            self.ssh
                .userauth_pubkey_memory(user, public, &identity.private, passphrase)
        })
    }

    /// Repeats `step` until the socket lets it finish.
    pub(super) fn patiently<T>(
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
    pub(super) fn patiently_io(
        &self,
        mut step: impl FnMut() -> io::Result<usize>,
    ) -> Result<usize, GitError> {
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
            let reason = format!(
                "the server refuses the key \"identity\" for this user; \
                 check {}, the user in the URL and the deploy keys on the server",
                self.session.remote().credentials.origin()
            );
            return GitError::Authenticate {
                remote: self.session.remote().url.to_string(),
                reason,
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

pub(super) fn lost(session: &Session, reason: &str) -> GitError {
    GitError::Connect {
        authority: session.authority(),
        reason: format!("ssh failed: {}", session.sanitize(reason)),
    }
}
