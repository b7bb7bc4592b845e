//! TLS: whom to trust, and whom to be.

use super::{Io, Target, address};
use crate::Error;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom to trust beside the authorities that the system knows, and which certificate to show.
#[derive(Default)]
pub struct Tls {
    roots: Vec<CertificateDer<'static>>,
    without_system: bool,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    server_name: Option<ServerName<'static>>,
}

/// Certificates or keys can't be used. The texts hold no part of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the PEM of the authorities.
    #[error("failed to read the authorities' certificates; give PEM with at least one CERTIFICATE")]
    ReadRoots,
    /// A certificate of the authorities is none.
    #[error("failed to use a certificate of an authority")]
    UseRoot(#[source] rustls::Error),
    /// There is no certificate in the PEM of the client's certificate.
    #[error("failed to read the client's certificate; give PEM with at least one CERTIFICATE")]
    ReadCertificate,
    /// There is no key in the PEM of the client's key.
    #[error("failed to read the client's key; give PEM with an unencrypted PRIVATE KEY")]
    ReadKey,
    /// Certificate and key do not fit together, or are of an unknown kind.
    #[error("failed to use the client's certificate and key; check that they belong together")]
    UseIdentity(#[source] rustls::Error),
    /// A server's name is neither a host name nor an address.
    #[error("failed to use a server's name; give a host name or an address")]
    ServerName,
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    SetUp(#[source] rustls::Error),
}

impl Tls {
    /// Trusts the authorities in `pem` too.
    ///
    /// # Errors
    /// There is no certificate in it.
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        self.roots.extend(certificates(pem).ok_or(TlsError::ReadRoots)?);
        Ok(self)
    }

    /// Trusts none of the authorities that the system knows.
    #[must_use]
    pub fn without_system_roots(mut self) -> Self {
        self.without_system = true;
        self
    }

    /// Shows this certificate to servers that ask for one: the chain and its key, both PEM. A redirect to another origin is
    /// followed without it.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn identity(mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain_pem).ok_or(TlsError::ReadCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::ReadKey)?;
        self.identity = Some((chain, key));
        Ok(self)
    }

    /// Expects the server to be `name`, whatever host the request's URL has. A redirect to another origin is followed with that
    /// one's own name.
    ///
    /// # Errors
    /// It is neither a host name nor an address.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName)?;
        self.server_name = Some(name);
        Ok(self)
    }

    fn root_store(&self) -> Result<Arc<RootCertStore>, TlsError> {
        if self.roots.is_empty() && !self.without_system {
            return Ok(system_roots());
        }
        let mut store = match self.without_system {
            true => RootCertStore::empty(),
            false => RootCertStore::clone(&system_roots()),
        };
        for root in &self.roots {
            store.add(root.clone()).map_err(TlsError::UseRoot)?;
        }
        Ok(Arc::new(store))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("roots", &self.roots.len())
            .field("without_system", &self.without_system)
            .field("has_identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// What connections are made with.
pub(crate) struct Configs {
    /// For the origin of the request.
    home: Arc<ClientConfig>,
    /// What that is to be, if not its host.
    home_name: Option<ServerName<'static>>,
    /// For origins that redirects lead to: without the client's certificate.
    elsewhere: Arc<ClientConfig>,
    /// For proxies, which are asked for a tunnel by HTTP/1.1.
    proxy: Arc<ClientConfig>,
}

impl Configs {
    pub(crate) fn new(tls: Tls) -> Result<Self, TlsError> {
        let roots = tls.root_store()?;
        let anonymous = |protocols: &[&[u8]]| -> Result<_, TlsError> {
            let config = builder(&roots)?.with_no_client_auth();
            Ok(speaking(config, protocols))
        };
        let elsewhere = anonymous(&[b"h2", b"http/1.1"])?;
        let home = match tls.identity {
            None => elsewhere.clone(),
            Some((chain, key)) => {
                let config = builder(&roots)?.with_client_auth_cert(chain, key);
                speaking(config.map_err(TlsError::UseIdentity)?, &[b"h2", b"http/1.1"])
            }
        };
        Ok(Self {
            home,
            home_name: tls.server_name,
            elsewhere,
            proxy: anonymous(&[b"http/1.1"])?,
        })
    }

    pub(super) async fn connect(
        &self,
        target: &Target,
        is_home: bool,
        io: Box<dyn Io>,
    ) -> Result<TlsStream<Box<dyn Io>>, Error> {
        if !is_home {
            return handshake(&self.elsewhere, target, None, io).await;
        }
        handshake(&self.home, target, self.home_name.clone(), io).await
    }

    pub(super) async fn connect_to_proxy(
        &self,
        target: &Target,
        io: Box<dyn Io>,
    ) -> Result<TlsStream<Box<dyn Io>>, Error> {
        handshake(&self.proxy, target, None, io).await
    }
}

async fn handshake(
    config: &Arc<ClientConfig>,
    target: &Target,
    name: Option<ServerName<'static>>,
    io: Box<dyn Io>,
) -> Result<TlsStream<Box<dyn Io>>, Error> {
    let name = match (name, address::literal(&target.host)) {
        (Some(name), _) => name,
        (None, Some(ip)) => ServerName::IpAddress(ip.into()),
        (None, None) => ServerName::try_from(target.host.clone())
            .map_err(|source| failed(target, io::Error::new(io::ErrorKind::InvalidInput, source)))?,
    };
    let connector = TlsConnector::from(config.clone());
    let stream = connector.connect(name, io).await;
    stream.map_err(|source| failed(target, source))
}

fn failed(target: &Target, source: io::Error) -> Error {
    let place = target.place.clone();
    let reason = source.get_ref().and_then(|inner| inner.downcast_ref());
    match reason {
        Some(rustls::Error::InvalidCertificate(_)) => Error::Certificate { place, source },
        _ => Error::Tls { place, source },
    }
}

fn builder(
    roots: &Arc<RootCertStore>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder
        .map_err(TlsError::SetUp)?
        .with_root_certificates(roots.clone()))
}

fn speaking(mut config: ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|found| !found.is_empty())
}

/// The system's authorities, read once: all clients of a process share them. What cannot be read is not trusted.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    };
    ROOTS.get_or_init(load).clone()
}
