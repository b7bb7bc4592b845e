//! A TCP connection to an address that the policy permits, whose waits end by cancellation or time limit.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::resolve::{find_host, resolve};
use super::{broken, explain_io};
use crate::GitError;
use crate::session::Session;

/// How often a wait looks whether it should go on.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A connected socket. Its reads and writes block, but give up with a [`GitError`] inside the `io::Error`.
pub(super) struct Socket {
    stream: TcpStream,
    session: Arc<Session>,
}

/// Resolves the host of the session's remote, and connects to the first permitted address that answers.
pub(super) fn connect(session: &Arc<Session>) -> Result<Socket, GitError> {
    session.check()?;
    let mut failure = None;
    for address in permitted_addresses(session)? {
        match connect_to(session, address) {
            Ok(stream) => {
                return Ok(Socket {
                    stream,
                    session: Arc::clone(session),
                });
            }
            Err(error) => failure = Some(error),
        }
        session.check()?;
    }
    Err(failure.unwrap_or_else(|| find_host(session, "the name has no address")))
}

fn permitted_addresses(session: &Session) -> Result<Vec<SocketAddr>, GitError> {
    let url = &session.remote().url;
    let resolved = resolve(session)?;
    let policy = &session.remote().policy;
    let (permitted, denied): (Vec<_>, Vec<_>) = resolved
        .into_iter()
        .partition(|address| policy.permits(address.ip()));
    match denied.first() {
        Some(address) if permitted.is_empty() => Err(GitError::RefuseAddress {
            host: url.host().to_owned(),
            address: address.ip(),
        }),
        _ => Ok(permitted),
    }
}

fn connect_to(session: &Session, address: SocketAddr) -> Result<TcpStream, GitError> {
    let limit = session
        .remote()
        .limits
        .connect_timeout
        .min(session.remaining())
        .max(TICK);
    let stream = TcpStream::connect_timeout(&address, limit).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => session.timeout("connecting", limit),
        _ => explain_io(session, error),
    })?;
    let prepared = stream
        .set_read_timeout(Some(TICK))
        .and_then(|()| stream.set_write_timeout(Some(TICK)))
        .and_then(|()| stream.set_nodelay(true));
    prepared.map_err(|error| broken(session, error.kind(), &error.to_string()))?;
    Ok(stream)
}

impl Socket {
    /// Gives up the socket to a library that does its own reads and writes.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Repeats `step` until it does something else than running out of a tick.
    fn patiently(&mut self, mut step: impl FnMut(&mut TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        let limit = self.session.remote().limits.idle_timeout;
        let started = Instant::now();
        loop {
            self.session.check().map_err(io::Error::other)?;
            match step(&mut self.stream) {
                Err(error) if is_tick(&error) && started.elapsed() > limit => {
                    return Err(io::Error::other(self.session.timeout("waiting for data", limit)));
                }
                Err(error) if is_tick(&error) => {}
                result => return result,
            }
        }
    }
}

fn is_tick(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.patiently(|stream| stream.read(buffer))?;
        self.session.count_received(count).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
