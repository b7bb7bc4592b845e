//! One throw-away authority, and a certificate for every component that talks to another.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::{API_SERVER_SERVICE_ADDRESS, NODE_NAME};
use crate::layout::Layout;

/// Group that the API server lets do anything.
const MASTERS: &str = "system:masters";

/// Who a client certificate speaks for: kube reads user and groups from common name and organisation.
#[derive(Debug)]
struct Client {
    file: &'static str,
    user: String,
    group: Option<&'static str>,
}

fn clients() -> Vec<Client> {
    let client = |file, user: &str, group| Client {
        file,
        user: user.to_owned(),
        group,
    };
    vec![
        client("administrator", "heddle-administrator", Some(MASTERS)),
        client(
            "apiserver-to-kubelet",
            "kube-apiserver-kubelet-client",
            Some(MASTERS),
        ),
        client("kube-controller-manager", "system:kube-controller-manager", None),
        client("kube-scheduler", "system:kube-scheduler", None),
        client("kube-proxy", "system:kube-proxy", None),
        client(
            "kubelet",
            &format!("system:node:{NODE_NAME}"),
            Some("system:nodes"),
        ),
    ]
}

/// Clients that read their address and certificate from a kubeconfig.
const WITH_KUBECONFIG: [&str; 4] = [
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Path of a file among the certificates.
pub(super) fn file(layout: &Layout, name: &str) -> PathBuf {
    layout.state().join("certificates").join(name)
}

/// Path of a component's kubeconfig.
pub(super) fn kubeconfig(layout: &Layout, component: &str) -> PathBuf {
    file(layout, &format!("{component}.kubeconfig"))
}

/// Writes everything anew, and the administrator's kubeconfig to its place.
///
/// # Errors
/// When a key cannot be made or a file cannot be written.
pub(super) fn create(layout: &Layout) -> Result<()> {
    let authority = authority().context("failed to make the certificate authority")?;
    write(layout, "ca.crt", &authority.pem())?;
    write(layout, "ca.key", &authority.key().serialize_pem())?;
    service_account_key(layout)?;
    issue_server(layout, &authority, "apiserver", api_server_names(layout))?;
    issue_server(
        layout,
        &authority,
        "kubelet-server",
        vec![NODE_NAME.to_owned(), layout.node_address().to_string()],
    )?;
    for client in clients() {
        issue_client(layout, &authority, &client)?;
    }
    for component in WITH_KUBECONFIG {
        write_kubeconfig(layout, component, &kubeconfig(layout, component))?;
    }
    write_kubeconfig(layout, "administrator", &layout.kubeconfig())
}

fn authority() -> Result<Authority, rcgen::Error> {
    let mut params = named("heddle test cluster", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn named(common_name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
    }
    params
}

/// Every name under which pods and people reach the API server.
fn api_server_names(layout: &Layout) -> Vec<String> {
    let service = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut names: Vec<String> = service.map(str::to_owned).to_vec();
    names.extend([
        layout.node_address().to_string(),
        API_SERVER_SERVICE_ADDRESS.to_owned(),
        "127.0.0.1".to_owned(),
    ]);
    names
}

fn issue_server(
    layout: &Layout,
    authority: &Authority,
    name: &'static str,
    names: Vec<String>,
) -> Result<()> {
    let mut params = CertificateParams::new(names).with_context(|| format!("failed to name {name}"))?;
    params.distinguished_name = named(name, None).distinguished_name;
    issue(
        layout,
        authority,
        name,
        params,
        ExtendedKeyUsagePurpose::ServerAuth,
    )
}

fn issue_client(layout: &Layout, authority: &Authority, client: &Client) -> Result<()> {
    let params = named(&client.user, client.group);
    issue(
        layout,
        authority,
        client.file,
        params,
        ExtendedKeyUsagePurpose::ClientAuth,
    )
}

fn issue(
    layout: &Layout,
    authority: &Authority,
    name: &str,
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
) -> Result<()> {
    let context = || format!("failed to make the certificate of {name}");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().with_context(context)?;
    let certificate = params.signed_by(&key, authority).with_context(context)?;
    write(layout, &format!("{name}.crt"), &certificate.pem())?;
    write(layout, &format!("{name}.key"), &key.serialize_pem())
}

/// The API server checks service-account tokens with the public half, which it reads on its own.
fn service_account_key(layout: &Layout) -> Result<()> {
    let key = KeyPair::generate().context("failed to make the key of service accounts")?;
    write(layout, "service-account.key", &key.serialize_pem())?;
    write(layout, "service-account.pub", &key.public_key_pem())
}

fn write_kubeconfig(layout: &Layout, client: &str, path: &Path) -> Result<()> {
    let read = |name: String| -> Result<String> {
        let path = file(layout, &name);
        let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Ok(STANDARD.encode(bytes))
    };
    let (authority, certificate, key) = (
        read("ca.crt".to_owned())?,
        read(format!("{client}.crt"))?,
        read(format!("{client}.key"))?,
    );
    write_private(
        path,
        &render_kubeconfig(&layout.server(), &authority, &certificate, &key),
    )
}

fn render_kubeconfig(server: &str, authority: &str, certificate: &str, key: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: heddle
contexts:
  - name: heddle
    context: {{ cluster: heddle, user: heddle }}
clusters:
  - name: heddle
    cluster:
      server: {server}
      certificate-authority-data: {authority}
users:
  - name: heddle
    user:
      client-certificate-data: {certificate}
      client-key-data: {key}
"
    )
}

fn write(layout: &Layout, name: &str, text: &str) -> Result<()> {
    write_private(&file(layout, name), text)
}

/// Keys and what holds them are the owner's alone, from the moment the file exists.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let context = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(context)?;
    }
    let mut file = fs::File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_holds_everything_it_needs() {
        let text = render_kubeconfig("https://198.18.0.2:6443", "QQ==", "Qg==", "Qw==");
        for expected in [
            "server: https://198.18.0.2:6443",
            "certificate-authority-data: QQ==",
            "client-key-data: Qw==",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn whoever_has_a_kubeconfig_has_a_certificate() {
        let clients = clients();
        for component in WITH_KUBECONFIG {
            assert!(
                clients.iter().any(|client| client.file == component),
                "{component}"
            );
        }
    }
}
