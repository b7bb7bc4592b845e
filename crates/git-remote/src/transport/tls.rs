//! TLS to one remote: its own certificate authorities, or the system's.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned};

use super::socket::Socket;
use crate::session::Session;
use crate::{Credentials, GitError};

/// What is written to and read from once TLS is agreed on.
pub(super) type TlsStream = StreamOwned<ClientConnection, Socket>;

/// Wraps `socket`; the handshake happens with the first write.
pub(super) fn wrap(session: &Session, socket: Socket) -> Result<TlsStream, GitError> {
    let url = &session.remote().url;
    let name = ServerName::try_from(url.bare_host().to_owned()).map_err(|error| GitError::FindHost {
        host: url.host().to_owned(),
        reason: error.to_string(),
    })?;
    let config = configuration(&session.remote().credentials).map_err(|error| explain(session, &error))?;
    let connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| explain(session, &error))?;
    Ok(StreamOwned::new(connection, socket))
}

fn configuration(credentials: &Credentials) -> Result<ClientConfig, Error> {
    let roots = match credentials.authorities() {
        [] => system_authorities(),
        authorities => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(authorities.iter().cloned());
            Arc::new(store)
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Read once: hundreds of files, which do not change while an image runs. An empty store trusts nobody, and the
/// error that follows says so.
fn system_authorities() -> Arc<RootCertStore> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(SYSTEM.get_or_init(|| {
        let mut store = RootCertStore::empty();
        let (added, ignored) =
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        tracing::debug!(added, ignored, "loaded the system's certificate authorities");
        Arc::new(store)
    }))
}

/// Whose fault a TLS error is.
pub(super) fn explain(session: &Session, error: &Error) -> GitError {
    let authority = session.authority();
    let Error::InvalidCertificate(problem) = error else {
        return GitError::Connect {
            authority,
            reason: format!("TLS failed: {error}"),
        };
    };
    let (reason, remedy) = match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "it is signed by an unknown authority".to_owned(),
            unknown_authority_remedy(session),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("it is not for the host {:?}", session.remote().url.host()),
            "use a name in the URL that the certificate is for",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("it has expired".to_owned(), "renew it on the server")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("it is not valid yet".to_owned(), "check the clocks of both sides")
        }
        // webpki has no variant of its own for this, the most common mistake of all.
        other if other.to_string().contains("CaUsedAsEndEntity") => (
            "it is an authority's certificate, not a server's".to_owned(),
            "make the server a certificate without CA:TRUE (openssl req -x509 … -addext basicConstraints=CA:FALSE)",
        ),
        other => (other.to_string(), "check the server's certificate"),
    };
    GitError::TrustCertificate {
        authority,
        reason,
        remedy,
    }
}

fn unknown_authority_remedy(session: &Session) -> &'static str {
    match session.remote().credentials.authorities() {
        [] => "put the certificate of the server's authority into the Secret as \"ca.crt\"",
        _ => "check that \"ca.crt\" in the Secret holds the certificate of the server's authority",
    }
}
