//! From files to configurations of rustls.

use super::Load;
use heddle_crds::ws_route::Protocol;
use heddle_route_config::{BackendTls, TlsSecrets};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The most bytes of one file; a bundle of all public authorities has 220 kB.
const FILE_LIMIT: u64 = 4 << 20;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// The contents of the files that a configuration is made from. Absent where there is none to read.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Files {
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    authorities: Option<Vec<u8>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are among them.
        formatter.write_str("Files")
    }
}

/// Why certificates cannot be used. Texts name files below the Secret, never what is in them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("failed to find Secrets: the proxy was started without a folder of them")]
    NoFolder,
    #[error("failed to read {file} of Secret {secret}")]
    Read {
        secret: String,
        file: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("failed to read {file} of Secret {secret}: it has more than {FILE_LIMIT} bytes")]
    Size { secret: String, file: &'static str },
    #[error("failed to find certificates in PEM in {file}")]
    Certificates {
        file: &'static str,
        #[source]
        source: Option<pem::Error>,
    },
    #[error("failed to find a private key in PEM in tls.key")]
    Key(#[source] pem::Error),
    #[error("failed to use tls.crt with tls.key")]
    Pair(#[source] rustls::Error),
    #[error("failed to use the authorities in ca.crt")]
    Authorities(#[source] VerifierBuilderError),
    #[error("failed to find authorities that this system trusts")]
    NoSystemAuthorities,
    #[error("failed to set up TLS")]
    Setup(#[source] rustls::Error),
}

impl Load<ServerConfig> for TlsSecrets {
    fn read(&self, folder: &Path) -> Result<Files, TlsError> {
        let authorities = self
            .client_ca
            .as_ref()
            .map(|secret| read(folder, secret, AUTHORITIES));
        Ok(Files {
            certificate: Some(read(folder, &self.certificate, CERTIFICATE)?),
            key: Some(read(folder, &self.certificate, KEY)?),
            authorities: authorities.transpose()?,
        })
    }

    fn build(&self, files: &Files) -> Result<ServerConfig, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = match &files.authorities {
            Some(text) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(text)?), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(TlsError::Authorities)?)
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = pair(files)?;
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
        Ok(config)
    }

    fn secret(&self) -> &str {
        &self.certificate
    }
}

impl Load<ClientConfig> for (BackendTls, Protocol) {
    fn read(&self, folder: &Path) -> Result<Files, TlsError> {
        let mut files = Files::default();
        if let Some(secret) = &self.0.ca {
            files.authorities = Some(read(folder, secret, AUTHORITIES)?);
        }
        if let Some(secret) = &self.0.client_certificate {
            files.certificate = Some(read(folder, secret, CERTIFICATE)?);
            files.key = Some(read(folder, secret, KEY)?);
        }
        Ok(files)
    }

    fn build(&self, files: &Files) -> Result<ClientConfig, TlsError> {
        let roots = match &files.authorities {
            Some(text) => roots(text)?,
            None => system_roots()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_webpki_verifier(verifier.map_err(TlsError::Authorities)?);
        let mut config = match files.certificate {
            Some(_) => {
                let (chain, key) = pair(files)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(TlsError::Pair)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = match self.1 {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        Ok(config)
    }

    fn secret(&self) -> &str {
        let (tls, _) = self;
        let secrets = [&tls.ca, &tls.client_certificate];
        secrets.into_iter().flatten().next().map_or("", String::as_str)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(folder: &Path, secret: &str, file: &'static str) -> Result<Vec<u8>, TlsError> {
    let path = folder.join(secret).join(file);
    let failed = |source| TlsError::Read {
        secret: secret.to_owned(),
        file,
        source,
    };
    if std::fs::metadata(&path).map_err(failed)?.len() > FILE_LIMIT {
        return Err(TlsError::Size {
            secret: secret.to_owned(),
            file,
        });
    }
    std::fs::read(&path).map_err(failed)
}

fn certificates(text: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificates {
            file,
            source: Some(error),
        })?;
    match all.is_empty() {
        true => Err(TlsError::Certificates { file, source: None }),
        false => Ok(all),
    }
}

fn pair(files: &Files) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(files.certificate.as_deref().unwrap_or_default(), CERTIFICATE)?;
    let key =
        PrivateKeyDer::from_pem_slice(files.key.as_deref().unwrap_or_default()).map_err(TlsError::Key)?;
    Ok((chain, key))
}

fn roots(text: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A bundle may have some that are of no use here.
    roots.add_parsable_certificates(certificates(text, AUTHORITIES)?);
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(TlsError::NoSystemAuthorities),
        false => Ok(roots),
    }
}
