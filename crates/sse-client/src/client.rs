//! What subscriptions share: TLS, proxies, name resolution and the policy of addresses.

use crate::connect::{
    AddressPolicy, AnyAddress, Connector, Proxies, Resolve, SystemResolver, Tls, TlsConfigs, TlsError,
};
use crate::{EventStream, Request, Settings};
use std::fmt;
use std::sync::Arc;

/// Opens subscriptions. Clones share everything; each subscription has a connection of its own.
#[derive(Clone)]
pub struct Client {
    connector: Arc<Connector>,
}

/// Puts a [`Client`] together.
pub struct ClientBuilder {
    tls: Tls,
    proxies: Option<Proxies>,
    policy: Arc<dyn AddressPolicy>,
    resolver: Arc<dyn Resolve>,
}

impl Client {
    /// A client that trusts the authorities of the system, uses the proxies of the environment and connects to any address.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, TlsError> {
        Self::builder().build()
    }

    /// A client of other properties.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            tls: Tls::default(),
            proxies: None,
            policy: Arc::new(AnyAddress),
            resolver: Arc::new(SystemResolver),
        }
    }

    /// Subscribes. Nothing happens before the stream is polled, and everything ends when it is dropped.
    #[must_use]
    pub fn subscribe(&self, request: Request, settings: Settings) -> EventStream {
        EventStream::new(self.connector.clone(), request, settings)
    }
}

impl ClientBuilder {
    /// Whom to trust, and which certificate to show.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Which proxies to use in place of those of the environment.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = Some(proxies);
        self
    }

    /// Which addresses may be connected to.
    #[must_use]
    pub fn address_policy(mut self, policy: impl AddressPolicy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// How names are resolved.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// Certificates and key can't be used.
    pub fn build(self) -> Result<Client, TlsError> {
        let connector = Connector {
            tls: TlsConfigs::new(self.tls)?,
            proxies: self.proxies.unwrap_or_default(),
            policy: self.policy,
            resolver: self.resolver,
        };
        Ok(Client {
            connector: Arc::new(connector),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Client(..)")
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientBuilder(..)")
    }
}
