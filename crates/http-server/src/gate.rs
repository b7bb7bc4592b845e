//! Lets in so many connections, and so many of one peer.

use heddle_telemetry::ErrorChain;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What follows a failed accept, which is out of file descriptors more often than not.
const PAUSE: Duration = Duration::from_millis(100);

/// The bits of an IPv6 address that one peer can choose at will (RFC 4291, the interface's identifier).
const INTERFACE_BITS: u32 = 64;

/// Lets connections in while there are not too many.
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    peers: Arc<Peers>,
}

/// The connections of each peer that has any.
struct Peers {
    limit: usize,
    open: Mutex<HashMap<IpAddr, Peer>>,
}

#[derive(Default)]
struct Peer {
    connections: usize,
    /// It has been logged that it has too many.
    is_refused: bool,
}

/// A connection's place. It is free again when this is dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Gate {
    pub(crate) fn new(limit: usize, limit_per_peer: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            peers: Arc::new(Peers {
                limit: limit_per_peer,
                open: Mutex::default(),
            }),
        }
    }

    /// The next connection, when there is a place for it. None, if there is something wrong with the one that came.
    pub(crate) async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, Place)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, address)) => {
                let place = self.place(permit, peer(address.ip()))?;
                stream.set_nodelay(true).ok();
                Some((stream, place))
            }
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "failed to accept a connection");
                tokio::time::sleep(PAUSE).await;
                None
            }
        }
    }

    fn place(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let mut open = self.peers.lock();
        let peer = open.entry(address).or_default();
        if peer.connections >= self.peers.limit {
            if !std::mem::replace(&mut peer.is_refused, true) {
                tracing::warn!(peer = %address, limit = self.peers.limit, "a peer has too many connections");
            }
            return None;
        }
        peer.connections += 1;
        Some(Place {
            _permit: permit,
            peers: Arc::clone(&self.peers),
            peer: address,
        })
    }
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Peer>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.lock();
        if let Some(peer) = open.get_mut(&self.peer) {
            peer.connections -= 1;
            if peer.connections == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

/// Who counts as one peer: an IPv4 address, or all IPv6 addresses of one network.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> INTERFACE_BITS << INTERFACE_BITS;
            Ipv6Addr::from_bits(network).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_one_peer_can_choose_among_are_one_peer() {
        let peer = |text: &str| peer(text.parse().unwrap());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
    }
}
