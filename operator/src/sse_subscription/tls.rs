//! How Heddle and the servers that it connects to prove who they are.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, LazyLock};

/// Certificates and keys in PEM, as Secrets hold them, and what they are for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct TlsMaterial {
    /// Whom to trust. The authorities of the image, if absent.
    pub(crate) authorities: Option<Vec<u8>>,
    /// The certificate to show, and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Whom the certificate must be for. The host of the URL, if absent.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Why PEM cannot be used. It never holds any of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsMaterialError {
    #[error("ca.crt holds no certificates")]
    Authorities,
    #[error("tls.crt holds no certificates")]
    Certificate,
    #[error("tls.key holds no private key")]
    Key,
    #[error("tls.crt and tls.key do not belong together, or cannot be used")]
    Identity,
    #[error("failed to set up TLS")]
    Protocol(#[source] rustls::Error),
}

/// The authorities of the image, read once.
static NATIVE: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

/// How to connect with these.
pub(crate) fn client_config(material: &TlsMaterial) -> Result<ClientConfig, TlsMaterialError> {
    let roots = match &material.authorities {
        Some(pem) => Arc::new(authorities(pem)?),
        None => Arc::clone(&NATIVE),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsMaterialError::Protocol)?
        .with_root_certificates(roots);
    match &material.identity {
        Some((certificate, key)) => {
            let chain = certificates(certificate).ok_or(TlsMaterialError::Certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsMaterialError::Key)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| TlsMaterialError::Identity)
        }
        None => Ok(builder.with_no_client_auth()),
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsMaterialError> {
    let mut roots = RootCertStore::empty();
    let certificates = certificates(pem).ok_or(TlsMaterialError::Authorities)?;
    let (added, _) = roots.add_parsable_certificates(certificates);
    (added > 0).then_some(roots).ok_or(TlsMaterialError::Authorities)
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pem_is_refused_without_being_quoted() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem().into_bytes();
        let (key, other) = (
            key.serialize_pem(),
            rcgen::KeyPair::generate().unwrap().serialize_pem(),
        );
        let identity = |certificate: &[u8], key: &str| TlsMaterial {
            authorities: Some(certificate.to_vec()),
            identity: Some((certificate.to_vec(), key.as_bytes().to_vec())),
            server_name: None,
        };
        client_config(&identity(&certificate, &key)).unwrap();
        for material in [
            identity(b"canary", &key),
            identity(&certificate, "canary"),
            identity(&certificate, &other),
        ] {
            let error = client_config(&material).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
