//! Name resolution, and which addresses may be connected to.

use crate::Error;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

/// Decides which addresses may be connected to, so that a URL that somebody else gave leads nowhere it should not.
///
/// It is asked about each address right before connecting, at every reconnection and redirect, and no other address is dialled
/// than those it has seen: a name that resolves differently a moment later gains nothing.
pub trait AddressPolicy: Send + Sync + 'static {
    /// Whether the host may be reached at `address`, one of those that its name has (or that it is).
    ///
    /// # Errors
    /// It may not.
    fn permit(&self, host: &str, address: SocketAddr) -> Result<(), Refusal>;

    /// Whether a proxy may be asked for `host`. The proxy resolves names itself, so that addresses are known only of hosts that
    /// are addresses; those go to [`AddressPolicy::permit`] unless this is overridden, and names are the proxy's to refuse.
    ///
    /// # Errors
    /// It may not.
    fn permit_through_proxy(&self, host: &str, port: u16) -> Result<(), Refusal> {
        match literal(host) {
            Some(ip) => self.permit(host, SocketAddr::new(ip, port)),
            None => Ok(()),
        }
    }
}

/// The policy of those who trust their URLs.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyAddress;

impl AddressPolicy for AnyAddress {
    fn permit(&self, _host: &str, _address: SocketAddr) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Why an address is refused: a sentence that also says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Cow<'static, str>);

impl Refusal {
    /// With the reason, which people read.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a resolver returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of names.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host` with `port`, best first.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// What the system says (`getaddrinfo`).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Those of a host's addresses that the policy permits: at least one.
pub(super) fn permitted(
    policy: &dyn AddressPolicy,
    host: &str,
    addresses: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Error> {
    let mut refusal = None;
    let mut permitted = addresses;
    permitted.retain(|address| {
        let verdict = policy.permit(host, *address);
        let is_permitted = verdict.is_ok();
        refusal = verdict.err().or(refusal.take());
        is_permitted
    });
    match refusal {
        Some(refusal) if permitted.is_empty() => Err(Error::AddressRefused {
            host: host.to_owned(),
            refusal,
        }),
        _ => Ok(permitted),
    }
}

/// The address that a URL's host is, if it is none by name.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}
