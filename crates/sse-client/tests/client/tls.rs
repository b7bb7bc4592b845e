//! Whom the client trusts, and as whom it comes.

use crate::server::{Peer, STREAM, Server};
use crate::subscription::{at_once, data, waiting};
use heddle_sse_client::{Client, ClientBuilder, Error, Proxies, Request, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// An authority of the test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn trusted(&self) -> Tls {
        Tls::default()
            .without_system_roots()
            .trust(self.0.pem().as_bytes())
            .unwrap()
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server for this name; with `clients`, only for those who show a certificate of that authority.
    pub(crate) fn acceptor_for(&self, name: &str, protocols: &[&str], clients: Option<&Self>) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (certificate, key) = self.issue(name);
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn acceptor(&self, name: &str, protocols: &[&str]) -> TlsAcceptor {
        self.acceptor_for(name, protocols, None)
    }
}

pub(crate) fn builder() -> ClientBuilder {
    Client::builder().proxies(Proxies::none())
}

pub(crate) fn get(server: &Server) -> Request {
    Request::get(&format!("https://{}/events", server.address)).unwrap()
}

/// Serves one stream to whoever gets through TLS.
async fn serve(server: &Server, acceptor: &TlsAcceptor) -> Option<Peer> {
    let stream = acceptor.accept(server.connection().await).await.ok()?;
    let mut peer = Peer::read(stream).await;
    peer.send(format!("{STREAM}data: a\n\n")).await;
    Some(peer)
}

#[tokio::test]
async fn an_authority_that_is_given_is_trusted() {
    let (server, authority) = (Server::start().await, Authority::new());
    let client = builder().tls(authority.trusted()).build().unwrap();
    let mut stream = client.subscribe(get(&server), at_once());
    let acceptor = authority.acceptor("127.0.0.1", &["http/1.1"]);
    let (found, peer) = tokio::join!(data(&mut stream), serve(&server, &acceptor));
    assert_eq!((found.as_str(), peer.unwrap().target.as_str()), ("a", "/events"));
}

#[tokio::test]
async fn other_authorities_and_other_names_are_not_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (authority, name) in [(&theirs, "127.0.0.1"), (&ours, "other.test")] {
        let server = Server::start().await;
        let client = builder().tls(ours.trusted()).build().unwrap();
        let mut stream = client.subscribe(get(&server), at_once());
        let acceptor = authority.acceptor(name, &[]);
        let (waiting, _) = tokio::join!(waiting(&mut stream), serve(&server, &acceptor));
        assert!(
            matches!(waiting.why, Error::Certificate { .. }),
            "{:?}",
            waiting.why
        );
    }
}

#[tokio::test]
async fn a_server_may_be_another_one_than_the_host_of_its_url() {
    let (home, elsewhere, authority) = (Server::start().await, Server::start().await, Authority::new());
    let tls = authority.trusted().server_name("forge.test").unwrap();
    let client = builder().tls(tls).build().unwrap();
    let mut stream = client.subscribe(get(&home), at_once());
    // Where it redirects to is known by its own name.
    let (found, _peer) = tokio::join!(data(&mut stream), async {
        let acceptor = authority.acceptor("forge.test", &["http/1.1"]);
        let stream = acceptor.accept(home.connection().await).await.unwrap();
        let location = format!("https://{}/", elsewhere.address);
        let response = format!("HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        Peer::read(stream).await.send(response).await;
        serve(&elsewhere, &authority.acceptor("127.0.0.1", &["http/1.1"])).await
    });
    assert_eq!(found, "a");

    let mut stream = client.subscribe(get(&home), at_once());
    let acceptor = authority.acceptor("127.0.0.1", &[]);
    let (waiting, _) = tokio::join!(waiting(&mut stream), serve(&home, &acceptor));
    assert!(
        matches!(waiting.why, Error::Certificate { .. }),
        "{:?}",
        waiting.why
    );
    assert!(Tls::default().server_name("no name").is_err());
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let (server, authority) = (Server::start().await, Authority::new());
    let acceptor = authority.acceptor_for("127.0.0.1", &[], Some(&authority));
    let (certificate, key) = authority.issue("client");
    let tls = authority
        .trusted()
        .identity(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
    let client = builder().tls(tls.unwrap()).build().unwrap();
    let mut stream = client.subscribe(get(&server), at_once());
    let (found, _peer) = tokio::join!(data(&mut stream), serve(&server, &acceptor));
    assert_eq!(found, "a");
    let without = builder().tls(authority.trusted()).build().unwrap();
    let mut stream = without.subscribe(get(&server), at_once());
    let (waiting, _) = tokio::join!(waiting(&mut stream), serve(&server, &acceptor));
    assert!(
        matches!(waiting.why, Error::Tls { .. } | Error::Exchange { .. }),
        "{:?}",
        waiting.why
    );
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_followed_without_the_client_certificate() {
    let (home, elsewhere, authority) = (Server::start().await, Server::start().await, Authority::new());
    let (certificate, key) = authority.issue("client");
    let tls = authority
        .trusted()
        .identity(certificate.pem().as_bytes(), key.serialize_pem().as_bytes());
    let client = builder().tls(tls.unwrap()).build().unwrap();
    let mut stream = client.subscribe(get(&home), at_once());
    let strict = authority.acceptor_for("127.0.0.1", &[], Some(&authority));
    let (waiting, _) = tokio::join!(waiting(&mut stream), async {
        let stream = strict.accept(home.connection().await).await.unwrap();
        let location = format!("https://{}/", elsewhere.address);
        let response = format!("HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        Peer::read(stream).await.send(response).await;
        strict
            .accept(elsewhere.connection().await)
            .await
            .map(drop)
            .expect_err("no certificate is shown")
    });
    assert!(
        matches!(waiting.why, Error::Tls { .. } | Error::Exchange { .. }),
        "{:?}",
        waiting.why
    );
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let (server, authority) = (Server::start().await, Authority::new());
    let client = builder().tls(authority.trusted()).build().unwrap();
    let mut stream = client.subscribe(get(&server), at_once());
    let acceptor = authority.acceptor("127.0.0.1", &[]);
    let (error, ()) = tokio::join!(crate::subscription::failed(&mut stream), async {
        let stream = acceptor.accept(server.connection().await).await.unwrap();
        let response = format!(
            "HTTP/1.1 302 x\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            server.url("/")
        );
        Peer::read(stream).await.send(response).await;
    });
    let Error::Redirect { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source, heddle_sse_client::RedirectError::Downgrade);
}

#[test]
fn certificates_and_keys_that_are_none_are_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("client");
    let (_, other) = authority.issue("client");
    let [certificate, key, other] = [certificate.pem(), key.serialize_pem(), other.serialize_pem()];
    assert!(Tls::default().trust(b"nothing").is_err());
    assert!(Tls::default().identity(b"", key.as_bytes()).is_err());
    assert!(Tls::default().identity(certificate.as_bytes(), b"").is_err());
    let mixed = Tls::default()
        .identity(certificate.as_bytes(), other.as_bytes())
        .unwrap();
    assert!(builder().tls(mixed).build().is_err());
}
