//! The server's certificate: from files, or from a certificate authority made for the occasion.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Makes an authority and a certificate for `names` (host names and IP addresses), and writes `ca.crt`,
    /// `tls.crt` and `tls.key` into `directory`, which is created when missing.
    ///
    /// # Errors
    /// A name cannot be in a certificate, or the folder cannot be written.
    pub fn make(directory: &Path, names: &[String]) -> Result<Self> {
        let authority = authority()?;
        let key = KeyPair::generate().context("failed to make the server's key")?;
        let mut params = CertificateParams::new(names.to_vec()).context("failed to name the server")?;
        params
            .distinguished_name
            .push(DnType::CommonName, "heddle-git-server");
        let certificate = params
            .signed_by(&key, &authority)
            .context("failed to sign the certificate")?;
        let files = Self {
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
        };
        fs::create_dir_all(directory).context("failed to create the folder for certificates")?;
        fs::write(directory.join("ca.crt"), authority.pem()).context("failed to write ca.crt")?;
        fs::write(&files.certificate, certificate.pem()).context("failed to write tls.crt")?;
        fs::write(&files.key, key.serialize_pem()).context("failed to write tls.key")?;
        Ok(files)
    }

    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("failed to read {}", self.certificate.display()))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("failed to read {}", self.key.display()))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let key = KeyPair::generate().context("failed to make the authority's key")?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "heddle-git-server throw-away authority");
    CertifiedIssuer::self_signed(params, key).context("failed to make the authority")
}
