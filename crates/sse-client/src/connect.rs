//! From a URL to a connection that speaks HTTP: resolve, check, dial, pass the proxy, TLS.

mod address;
mod dial;
mod proxies;
mod tls;
mod tunnel;

use crate::Error;
use crate::error::Place;
use crate::redirect::Hop;
use http::HeaderValue;
use proxies::Proxy;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

pub use address::{AddressPolicy, AnyAddress, Refusal, Resolve, Resolving, SystemResolver};
pub use proxies::{Proxies, ProxyError};
pub(crate) use tls::Configs as TlsConfigs;
pub use tls::{Tls, TlsError};

/// A byte stream to the server.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, ready for HTTP.
pub(crate) struct Connection {
    pub(crate) io: Box<dyn Io>,
    pub(crate) is_http2: bool,
    /// The other end: the server, or the proxy.
    pub(crate) address: SocketAddr,
    pub(crate) form: Form,
}

/// What stands in the request line.
pub(crate) enum Form {
    /// The path.
    Origin,
    /// The whole URL, for a proxy that forwards it, with what the proxy wants to see.
    Absolute(Option<HeaderValue>),
}

/// How connections are made.
pub(crate) struct Connector {
    pub(crate) tls: tls::Configs,
    pub(crate) proxies: Proxies,
    pub(crate) policy: Arc<dyn AddressPolicy>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

/// Host and port of a URL.
#[derive(Debug, Clone)]
struct Target {
    host: String,
    port: u16,
    place: Place,
}

impl Connector {
    /// Connects to where `hop` goes.
    pub(crate) async fn connect(&self, hop: &Hop, limit: Duration) -> Result<Connection, Error> {
        let connecting = self.connect_unlimited(hop, limit);
        match tokio::time::timeout(limit, connecting).await {
            Ok(result) => result,
            Err(_) => Err(Error::ConnectTimeout {
                place: Place::of(&hop.url),
                limit,
            }),
        }
    }

    async fn connect_unlimited(&self, hop: &Hop, limit: Duration) -> Result<Connection, Error> {
        let target = Target::of(&hop.url);
        let is_https = hop.url.scheme() == "https";
        let (io, address, form) = match self.proxies.before(&hop.url) {
            None => {
                let (stream, address) = self.dial_checked(&target, limit).await?;
                (Box::new(stream) as Box<dyn Io>, address, Form::Origin)
            }
            Some(proxy) => self.pass(&proxy, &target, is_https, limit).await?,
        };
        if !is_https {
            return Ok(Connection {
                io,
                is_http2: false,
                address,
                form,
            });
        }
        let stream = self.tls.connect(&target, hop.is_home, io).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connection {
            io: Box::new(stream),
            is_http2,
            address,
            form,
        })
    }

    /// Dials no other addresses than those that the policy has seen, so that a name can't change its mind in between.
    async fn dial_checked(
        &self,
        target: &Target,
        limit: Duration,
    ) -> Result<(tokio::net::TcpStream, SocketAddr), Error> {
        let addresses = self.resolve(target).await?;
        let permitted = address::permitted(&*self.policy, &target.host, addresses)?;
        dial::dial(&permitted, target, limit).await
    }

    /// Reaches the target through a proxy. The proxy is the administrator's choice: the policy does not apply to its address,
    /// and the proxy resolves the target's name.
    async fn pass(
        &self,
        proxy: &Proxy,
        target: &Target,
        is_https: bool,
        limit: Duration,
    ) -> Result<(Box<dyn Io>, SocketAddr, Form), Error> {
        let permit = self.policy.permit_through_proxy(&target.host, target.port);
        permit.map_err(|refusal| Error::AddressRefused {
            host: target.host.clone(),
            refusal,
        })?;
        let (io, address) = self.reach(proxy, limit).await.map_err(|source| Error::Proxy {
            place: target.place.clone(),
            proxy: proxy.name(),
            source,
        })?;
        if !is_https {
            return Ok((io, address, Form::Absolute(proxy.authorization.clone())));
        }
        let tunnel = tunnel::open(io, &target.authority(), proxy.authorization.as_ref()).await;
        let io = tunnel.map_err(|source| Error::Proxy {
            place: target.place.clone(),
            proxy: proxy.name(),
            source,
        })?;
        Ok((io, address, Form::Origin))
    }

    async fn reach(&self, proxy: &Proxy, limit: Duration) -> Result<(Box<dyn Io>, SocketAddr), ProxyError> {
        let target = proxy.target()?;
        let reach = async {
            let addresses = self.resolve(&target).await?;
            let (stream, address) = dial::dial(&addresses, &target, limit).await?;
            if !proxy.is_https {
                return Ok((Box::new(stream) as Box<dyn Io>, address));
            }
            let stream = self.tls.connect_to_proxy(&target, Box::new(stream)).await?;
            Ok((Box::new(stream) as Box<dyn Io>, address))
        };
        reach
            .await
            .map_err(|error: Error| ProxyError::Reach(Box::new(error)))
    }

    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, Error> {
        if let Some(address) = target.literal() {
            return Ok(vec![address]);
        }
        let resolved = self.resolver.resolve(&target.host, target.port).await;
        let failed = |source| Error::Resolve {
            host: target.host.clone(),
            source,
        };
        match resolved {
            Ok(addresses) if addresses.is_empty() => Err(failed(std::io::Error::other("it has no address"))),
            resolved => resolved.map_err(failed),
        }
    }
}

impl Target {
    fn of(url: &Url) -> Self {
        Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            place: Place::of(url),
        }
    }

    /// The address if the host is one.
    fn literal(&self) -> Option<SocketAddr> {
        address::literal(&self.host).map(|ip| SocketAddr::new(ip, self.port))
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}
