//! TLS on both sides.

use crate::certificates::Authority;
use crate::load::{NumbersBackend, begin, count};
use crate::support::{Backend, PATIENCE, Peer, Proxy, masked, request, text, to, until};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_util::sync::CancellationToken;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn pair(pem: &(String, String)) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(pem.0.as_bytes()).map(Result::unwrap);
    (
        chain.collect(),
        PrivateKeyDer::from_pem_slice(pem.1.as_bytes()).unwrap(),
    )
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    roots
}

/// A configuration of clients that trust `authority`, and show a certificate of their own or none.
pub(crate) fn client_config(
    authority: &Authority,
    own: Option<(String, String)>,
    alpn: &[u8],
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(authority));
    let mut config = match own.as_ref().map(pair) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

pub(crate) async fn connect(
    port: u16,
    config: ClientConfig,
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("chat.example.com").unwrap();
    timeout(
        PATIENCE,
        TlsConnector::from(Arc::new(config)).connect(name, stream),
    )
    .await
    .unwrap()
}

/// A backend's side of TLS. Clients must show a certificate of `authority`.
pub(crate) async fn accept(
    backend: &Backend,
    authority: &Authority,
    alpn: &[u8],
) -> server::TlsStream<TcpStream> {
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)), provider());
    let (chain, key) = pair(&authority.issue("backend.example.com"));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = backend.accept().await.stream;
    timeout(PATIENCE, TlsAcceptor::from(Arc::new(config)).accept(stream))
        .await
        .unwrap()
        .unwrap()
}

/// The route's lines for a backend that is reached with [`accept`].
pub(crate) fn backend_tls(backend: &Backend, protocol: &str) -> String {
    format!(
        "  backends:\n  - name: app\n    port: {}\n    protocol: {protocol}\n    tls: {{ serverName: backend.example.com, caSecretRef: {{ name: own }}, clientCertificateSecretRef: {{ name: own }} }}",
        backend.port()
    )
}

pub(crate) fn listener_tls(manifest: &str, client_ca: bool) -> String {
    let ca = if client_ca {
        ", clientCaSecretRef: { name: own }"
    } else {
        ""
    };
    let (before, after) = manifest.split_once(" }\n  backends").unwrap();
    format!("{before}, tls: {{ secretRef: {{ name: own }}{ca} }} }}\n  backends{after}")
}

#[tokio::test]
async fn a_session_goes_over_tls_on_both_sides_with_certificates_of_all() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let routes = |port| {
        let plain = crate::support::manifest("chat", port, &backend_tls(&backend, "HTTP/1.1"));
        listener_tls(&plain, true)
    };
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(routes, prepare).await;
    let own = authority.issue("client.example.com");
    let stream = connect(proxy.port, client_config(&authority, Some(own), b"http/1.1"))
        .await
        .unwrap();
    let mut client = Peer::new(stream);
    client.send(request("/", "")).await;
    let mut server = Peer::new(accept(&backend, &authority, b"http/1.1").await);
    assert_eq!(server.head().await.all("x-forwarded-proto"), ["https"]);
    server.switch("").await;
    assert_eq!(client.head().await.status(), 101);
    client.send(masked(1, b"hello")).await;
    assert_eq!(server.bytes(11).await, masked(1, b"hello"));
    server.send(text("hi")).await;
    assert_eq!(client.bytes(4).await, text("hi"));
}

#[tokio::test]
async fn clients_without_the_certificate_that_is_asked_for_get_nowhere() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(|port| listener_tls(&to(port, &backend, ""), true), prepare).await;
    let strangers = Authority::new().issue("client.example.com");
    for own in [None, Some(strangers)] {
        // In TLS 1.3 a client learns of it with the first that it reads.
        let stream = connect(proxy.port, client_config(&authority, own, b"http/1.1")).await;
        let Ok(stream) = stream else { continue };
        let mut client = Peer::new(stream);
        let mut byte = [0];
        let read = timeout(
            PATIENCE,
            tokio::io::AsyncReadExt::read(&mut client.stream, &mut byte),
        )
        .await
        .unwrap();
        assert!(read.is_err(), "{read:?}");
    }
    assert!(backend.is_idle().await);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(|port| listener_tls(&to(port, &backend, ""), false), prepare).await;
    let shown = async || {
        let config = client_config(&authority, None, b"http/1.1");
        let stream = connect(proxy.port, config).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown().await;
    authority.write_secret(proxy.folder.path(), "own", "chat.example.com");
    let second = until("the new certificate", async || {
        let now = shown().await;
        (now != first).then_some(now)
    })
    .await;
    std::fs::write(proxy.folder.path().join("secrets/own/tls.crt"), "nonsense").unwrap();
    proxy
        .logged("failed to renew certificates; the former ones are used on")
        .await;
    assert_eq!(shown().await, second);
    assert!(!proxy.log().contains("PRIVATE KEY"));
}

/// Sessions that go on all the time, clients that come and go, and certificates after the first one.
const SESSIONS: usize = 20;
const CLIENTS: usize = 4;
const ROTATIONS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_rotate_under_load_and_neither_a_handshake_nor_a_session_suffers() {
    let (backend, authority) = (NumbersBackend::start().await, Arc::new(Authority::new()));
    let prepare = |folder: &std::path::Path| authority.write_secret(folder, "own", "chat.example.com");
    let backends = format!("  backends: [{{ name: app, port: {} }}]", backend.port);
    let routes = |port| listener_tls(&crate::support::manifest("chat", port, &backends), false);
    let proxy = Proxy::start_with(routes, prepare).await;
    let (port, stop) = (proxy.port, CancellationToken::new());
    let pace = Duration::from_millis(20);
    let mut sessions = JoinSet::new();
    for index in 0..SESSIONS {
        let stream = connect(port, client_config(&authority, None, b"http/1.1")).await;
        let session = begin(stream.unwrap(), &format!("/long/{index}")).await;
        sessions.spawn(count(session, pace, stop.clone()));
    }
    let shown = Arc::<Mutex<BTreeSet<Vec<u8>>>>::default();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (authority, stop, shown) = (Arc::clone(&authority), stop.clone(), Arc::clone(&shown));
        clients.spawn(async move {
            let mut handshakes = 0_u64;
            while !stop.is_cancelled() {
                let stream = connect(port, client_config(&authority, None, b"http/1.1"))
                    .await
                    .unwrap();
                let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
                shown.lock().unwrap().insert(certificate);
                let session = begin(stream, &format!("/short/{client}/{handshakes}")).await;
                let enough = CancellationToken::new();
                enough.cancel();
                count(session, pace, enough).await;
                handshakes += 1;
            }
            handshakes
        });
    }
    for rotation in 1..=ROTATIONS {
        until("a certificate is shown", async || {
            (shown.lock().unwrap().len() >= rotation).then_some(())
        })
        .await;
        authority.write_secret(proxy.folder.path(), "own", "chat.example.com");
    }
    until("the last certificate is shown", async || {
        (shown.lock().unwrap().len() > ROTATIONS).then_some(())
    })
    .await;
    stop.cancel();
    assert!(
        clients
            .join_all()
            .await
            .into_iter()
            .all(|handshakes| handshakes > 0)
    );
    for counted in sessions.join_all().await {
        assert!(counted.closed_at.is_none() && counted.received == counted.sent && counted.sent > 0);
    }
}
