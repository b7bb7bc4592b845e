//! A throw-away authority, the server's certificate, and that of one who may do everything.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The group that the API server lets do everything.
const MASTERS: &str = "system:masters";

/// The folder that the files are in.
#[derive(Debug)]
pub(super) struct Certificates(PathBuf);

impl Certificates {
    /// Makes all of them, and the kubeconfig.
    pub(super) fn create(folder: &Path, port: u16) -> Result<Self> {
        let certificates = Self(folder.to_path_buf());
        let authority = authority()?;
        certificates.write("ca.crt", &authority.pem())?;
        let accounts = KeyPair::generate()?;
        certificates.write("service-account.key", &accounts.serialize_pem())?;
        certificates.write("service-account.pub", &accounts.public_key_pem())?;
        certificates.issue_server(&authority)?;
        certificates.issue_client(&authority)?;
        certificates.write_kubeconfig(port)?;
        Ok(certificates)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        fs::write(self.path(name), content).with_context(|| format!("failed to write {name}"))
    }

    fn issue_server(&self, authority: &Authority) -> Result<()> {
        let names = ["localhost", "127.0.0.1", "10.96.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("kube-apiserver", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(authority, "server", &params)
    }

    fn issue_client(&self, authority: &Authority) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("heddle-tests", Some(MASTERS));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(authority, "client", &params)
    }

    fn issue(&self, authority: &Authority, name: &str, params: &CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, authority)?;
        self.write(&format!("{name}.crt"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    fn write_kubeconfig(&self, port: u16) -> Result<()> {
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "tests", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": self.path("ca.crt"),
            }}],
            "users": [{ "name": "tests", "user": {
                "client-certificate": self.path("client.crt"),
                "client-key": self.path("client.key"),
            }}],
            "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": "tests" }}],
            "current-context": "tests",
        });
        self.write("kubeconfig", &kubeconfig.to_string())
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("heddle tests", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn named(common_name: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}
