//! The addresses of a backend. Names are looked up again after a few seconds: a handshake should not wait for a resolver
//! each time, and should not go where a service has left long ago.

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

/// How long what a resolver said is believed. The system's resolver does not tell how long it may be.
const FRESH: Duration = Duration::from_secs(5);

/// How long it is gone by while the resolver does not answer.
const STALE: Duration = Duration::from_secs(60);

/// How long a resolver is waited for that did answer a while ago.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most addresses of one name that are tried.
const ADDRESS_LIMIT: usize = 16;

/// Why a backend has no address.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("failed to look up the backend's name")]
    LookUp(#[source] Arc<io::Error>),
    #[error("failed to look up the backend's name: it has no address")]
    NoAddress,
}

/// Where a backend is.
#[derive(Debug)]
pub(crate) enum Addresses {
    Fixed(Arc<[SocketAddr]>),
    Named(Name),
}

/// A name, and what is known about it.
#[derive(Debug)]
pub(crate) struct Name {
    host: String,
    port: u16,
    resolver: Resolver,
    state: Mutex<State>,
}

/// Looks a name up, and blocks until it has.
type Resolver = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// At most one at a time, however many wait for it.
    look_up: Option<LookUp>,
}

type LookUp = Shared<BoxFuture<'static, Found>>;

/// What came of a look-up, and when.
#[derive(Clone, Debug)]
struct Found {
    result: Result<Arc<[SocketAddr]>, ResolveError>,
    at: Instant,
}

#[derive(Clone, Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    /// When the resolver said so.
    at: Instant,
    /// When it is asked again.
    again: Instant,
}

impl Addresses {
    pub(super) fn new(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => Self::Fixed(Arc::new([SocketAddr::new(address, port)])),
            Err(_) => Self::Named(Name::new(host, port, system)),
        }
    }

    /// The addresses, in the resolver's order; at least one.
    pub(crate) async fn resolve(&self) -> Result<Arc<[SocketAddr]>, ResolveError> {
        match self {
            Self::Fixed(addresses) => Ok(Arc::clone(addresses)),
            Self::Named(name) => name.resolve().await,
        }
    }
}

fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.take(ADDRESS_LIMIT).collect())
}

impl Name {
    fn new(host: &str, port: u16, resolver: Resolver) -> Self {
        Self {
            host: host.to_owned(),
            port,
            resolver,
            state: Mutex::default(),
        }
    }

    async fn resolve(&self) -> Result<Arc<[SocketAddr]>, ResolveError> {
        loop {
            let (look_up, stale) = {
                let mut state = self.state();
                if let Some(known) = state.known.as_ref().filter(|known| Instant::now() < known.again) {
                    return Ok(Arc::clone(&known.addresses));
                }
                (self.join(&mut state), state.stale())
            };
            let found = match &stale {
                None => look_up.clone().await,
                Some(addresses) => match timeout(PATIENCE, look_up.clone()).await {
                    Ok(found) => found,
                    Err(_) => {
                        self.state().put_off();
                        return Ok(Arc::clone(addresses));
                    }
                },
            };
            self.state().settle(&look_up, &found);
            match (found.result, stale) {
                // Nobody has waited for it to the end, and it is old.
                _ if found.at.elapsed() >= FRESH => {}
                (Ok(addresses), _) | (Err(_), Some(addresses)) => return Ok(addresses),
                (Err(error), None) => return Err(error),
            }
        }
    }

    /// The look-up that is under way, or a new one.
    fn join(&self, state: &mut State) -> LookUp {
        let (host, port, resolver) = (&self.host, self.port, self.resolver);
        let begin = || {
            let host = host.clone();
            // It goes on when nobody waits any more, so that there never is a second one beside it.
            let looking = spawn_blocking(move || Found {
                result: addresses(resolver(&host, port)),
                at: Instant::now(),
            });
            let found = looking.map(|found| {
                found.unwrap_or_else(|error| Found {
                    result: addresses(Err(error.into())),
                    at: Instant::now(),
                })
            });
            found.boxed().shared()
        };
        state.look_up.get_or_insert_with(begin).clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn addresses(found: io::Result<Vec<SocketAddr>>) -> Result<Arc<[SocketAddr]>, ResolveError> {
    match found {
        Ok(addresses) if addresses.is_empty() => Err(ResolveError::NoAddress),
        Ok(addresses) => Ok(addresses.into()),
        Err(error) => Err(ResolveError::LookUp(Arc::new(error))),
    }
}

impl State {
    /// What there is to go by if the resolver fails.
    fn stale(&self) -> Option<Arc<[SocketAddr]>> {
        let known = self.known.as_ref()?;
        (known.at.elapsed() < STALE).then(|| Arc::clone(&known.addresses))
    }

    /// Has no handshake wait for the resolver for a while.
    fn put_off(&mut self) {
        if let Some(known) = &mut self.known {
            known.again = Instant::now() + FRESH;
        }
    }

    /// Notes what came of a look-up, unless somebody has already.
    fn settle(&mut self, look_up: &LookUp, found: &Found) {
        if !self
            .look_up
            .as_ref()
            .is_some_and(|current| current.ptr_eq(look_up))
        {
            return;
        }
        self.look_up = None;
        match &found.result {
            Ok(addresses) => {
                self.known = Some(Known {
                    addresses: Arc::clone(addresses),
                    at: found.at,
                    again: found.at + FRESH,
                });
            }
            Err(error) if self.stale().is_some() => {
                tracing::warn!(
                    error = %heddle_telemetry::ErrorChain(error),
                    "failed to look up a backend's name; its former addresses are used on"
                );
                self.put_off();
            }
            Err(_) => self.known = None,
        }
    }
}

#[cfg(test)]
mod tests;
