//! Sessions over TCP that change their runtime between two turns: connections are registered with the reactor of one
//! runtime, so a session that goes to another takes them out of the one and puts them into the other.

use crate::lane::ByteLane;
use crate::relay::Relay;
use crate::{Endpoint, SessionContext, SessionEnd, byte_relay, turns};
use std::future::Future;
use std::io;
use tokio::net::TcpStream;

/// A session over TCP, of the runtime that it was made in.
#[derive(Debug)]
pub struct TcpSession {
    relay: Relay<TcpStream, TcpStream, ByteLane>,
}

/// A session between two runtimes. Nobody reads or writes, and no timer runs; what its peers send meanwhile waits in
/// their connections.
///
/// Dropping it closes both at once, without Close frames.
#[derive(Debug)]
pub struct Parked {
    relay: Relay<std::net::TcpStream, std::net::TcpStream, ByteLane>,
}

impl TcpSession {
    /// A session that begins now.
    pub fn new(client: Endpoint<TcpStream>, backend: Endpoint<TcpStream>, context: SessionContext) -> Self {
        Self {
            relay: byte_relay(client, backend, context),
        }
    }

    /// Relays the session until it ends, or until `leaves` says so, which is asked after each turn: a session that nothing
    /// wakes is not asked. Whether it has ended.
    ///
    /// Dropping the future and the session closes both connections at once, without Close frames.
    pub fn turns(&mut self, leaves: impl FnMut() -> bool + Send) -> impl Future<Output = bool> + Send {
        turns(&mut self.relay, leaves)
    }

    /// How the session has ended.
    pub fn end(self) -> SessionEnd {
        self.relay.end()
    }

    /// Takes the session out of its runtime, at whatever byte of a frame it is.
    ///
    /// # Errors
    /// What the runtime says when it does not let go of a connection; both are closed then.
    pub fn park(self) -> io::Result<Parked> {
        let relay = self.relay.carry(TcpStream::into_std, TcpStream::into_std)?;
        Ok(Parked { relay })
    }
}

impl Parked {
    /// Goes on in the runtime in which this is called.
    ///
    /// # Errors
    /// What the runtime says when it does not take a connection; both are closed then.
    pub fn unpark(self) -> io::Result<TcpSession> {
        let relay = self.relay.carry(TcpStream::from_std, TcpStream::from_std)?;
        Ok(TcpSession { relay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SessionControl, SessionRules};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::net::TcpListener;

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
        (theirs.unwrap(), ours.unwrap().0)
    }

    #[tokio::test]
    async fn the_moment_at_which_a_session_is_drained_is_not_drawn_anew_when_it_moves() {
        let (_client, client) = connection().await;
        let (_backend, backend) = connection().await;
        let context = SessionContext {
            rules: Arc::new(SessionRules::default()),
            control: SessionControl::new(),
            traffic: Arc::default(),
        };
        context.control.drain(Duration::from_secs(3600));
        let mut session = TcpSession::new(Endpoint::new(client), Endpoint::new(backend), context);
        assert!(!session.turns(|| true).await);
        let ends_at = session.relay.ends_at();
        assert!(ends_at.is_some());
        for _ in 0..100 {
            session = session.park().unwrap().unpark().unwrap();
            assert!(!session.turns(|| true).await);
            assert_eq!(session.relay.ends_at(), ends_at);
        }
    }
}
