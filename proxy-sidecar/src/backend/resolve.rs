//! The addresses of a backend. Names are looked up again after a few seconds: a handshake should not wait for a resolver
//! each time, and should not go where a service has left long ago.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what a resolver said is believed. The system's resolver does not tell how long it may be.
const FRESH: Duration = Duration::from_secs(5);

/// The most addresses of one name that are tried.
const ADDRESS_LIMIT: usize = 16;

/// Why a backend has no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("failed to look up the backend's name")]
    LookUp(#[source] io::Error),
    #[error("failed to look up the backend's name: it has no address")]
    NoAddress,
}

/// Where a backend is.
#[derive(Debug)]
pub(crate) enum Addresses {
    Fixed(Arc<[SocketAddr]>),
    Named {
        host: String,
        port: u16,
        known: Mutex<Option<Known>>,
    },
}

/// What a resolver said, and when.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    addresses: Arc<[SocketAddr]>,
    at: Instant,
}

impl Addresses {
    pub(super) fn new(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Fixed(Arc::new([SocketAddr::new(address, port)])),
            Err(_) => Self::Named {
                host: host.to_owned(),
                port,
                known: Mutex::default(),
            },
        }
    }

    /// The addresses, in the resolver's order; at least one.
    pub(crate) async fn resolve(&self) -> Result<Arc<[SocketAddr]>, ResolveError> {
        let (host, port, known) = match self {
            Self::Fixed(addresses) => return Ok(Arc::clone(addresses)),
            Self::Named { host, port, known } => (host, *port, known),
        };
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().as_ref().filter(|known| known.at.elapsed() < FRESH) {
            return Ok(Arc::clone(&known.addresses));
        }
        let found = tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(ResolveError::LookUp)?;
        let addresses: Arc<[SocketAddr]> = found.take(ADDRESS_LIMIT).collect();
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress);
        }
        *lock() = Some(Known {
            addresses: Arc::clone(&addresses),
            at: Instant::now(),
        });
        Ok(addresses)
    }
}
