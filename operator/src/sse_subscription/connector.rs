//! Connections to sinks: the address policy is asked about the very address that is connected to.

use heddle_git_remote::AddressPolicy;
use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("failed to connect: the URL has no host")]
    Host,
    #[error("failed to connect: {0} is in a network that the operator's settings forbid")]
    Refused(IpAddr),
    #[error("failed to find the host")]
    Resolve(#[source] io::Error),
    #[error("failed to connect")]
    Connect(#[source] io::Error),
    #[error("failed to agree on TLS")]
    Handshake(#[source] io::Error),
}

/// A connection, plain or not.
pub(crate) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    policy: Arc<AddressPolicy>,
    tls: Arc<ClientConfig>,
    /// Whom to expect, if not the URL's host.
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    pub(crate) fn new(
        policy: Arc<AddressPolicy>,
        tls: Arc<ClientConfig>,
        server_name: Option<ServerName<'static>>,
    ) -> Self {
        Self {
            policy,
            tls,
            server_name,
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let host = uri.host().ok_or(ConnectError::Host)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let tcp = self.dial(host, port).await?;
        // What is sent is whole requests; waiting for more would only delay them.
        tcp.set_nodelay(true).map_err(ConnectError::Connect)?;
        let tcp = TokioIo::new(tcp);
        if !is_secure {
            return Ok(Stream::Http(tcp));
        }
        let name = match self.server_name {
            Some(name) => name,
            None => ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Host)?,
        };
        let connector = TlsConnector::from(self.tls);
        let connected = connector.connect(name, TokioIo::new(tcp)).await;
        connected.map(Stream::from).map_err(ConnectError::Handshake)
    }

    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = tokio::net::lookup_host((host, port)).await;
        let mut problem = ConnectError::Host;
        for address in addresses.map_err(ConnectError::Resolve)? {
            if !self.policy.permits(address.ip()) {
                problem = ConnectError::Refused(address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => problem = ConnectError::Connect(error),
            }
        }
        Err(problem)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
