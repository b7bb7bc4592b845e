//! Certificates that are made for a test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;

/// An authority of its own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a Secret below `folder`.
    pub(crate) fn write_secret(&self, folder: &Path, secret: &str, name: &str) {
        let folder = folder.join("secrets").join(secret);
        std::fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = self.issue(name);
        for (file, text) in [("tls.key", key), ("tls.crt", certificate), ("ca.crt", self.pem())] {
            std::fs::write(folder.join(file), text).unwrap();
        }
    }
}
