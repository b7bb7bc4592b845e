//! Serves what is in the Secret, and what comes into it, without a restart.

use super::CertificateSettings;
use super::stored::{BUNDLE, CERTIFICATE, KEY, StoredError, text};
use futures::StreamExt;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why what is in the Secret cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServingError {
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("failed to read tls.crt or tls.key")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("failed to use tls.crt and tls.key")]
    Tls(#[from] rustls::Error),
}

/// The certificate of the moment. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    key: Arc<Current>,
    bundle: watch::Sender<Arc<str>>,
}

#[derive(Debug, Default)]
struct Current(RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            key: Arc::default(),
            bundle: watch::channel(Arc::from("")).0,
        }
    }
}

impl Serving {
    /// The authorities, in PEM, that sign what is served now and next. Empty until there is a certificate.
    pub(crate) fn bundle(&self) -> watch::Receiver<Arc<str>> {
        self.bundle.subscribe()
    }

    /// How to accept TLS connections. Handshakes fail until there is a certificate.
    pub(crate) fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.key) as Arc<dyn ResolvesServerCert>);
        Ok(config)
    }

    fn take(&self, secret: &Secret, settings: &CertificateSettings) -> Result<(), ServingError> {
        let chain = CertificateDer::pem_slice_iter(text(secret, CERTIFICATE)?.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(text(secret, KEY)?.as_bytes())?;
        let bundle = settings.with_additional(text(secret, BUNDLE)?);
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        *self.key.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        self.bundle.send_if_modified(|current| {
            let is_new = **current != *bundle;
            if is_new {
                *current = Arc::from(bundle.as_str());
            }
            is_new
        });
        Ok(())
    }
}

/// Follows the Secret until `stop` is cancelled. `ready` is cancelled with the first certificate.
pub(crate) async fn follow(
    client: Client,
    settings: CertificateSettings,
    serving: Serving,
    ready: CancellationToken,
    stop: CancellationToken,
) {
    let api = Api::<Secret>::namespaced(client, &settings.namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={}", settings.secret));
    let events = watcher(api, only).default_backoff().applied_objects();
    let mut events = std::pin::pin!(events.take_until(stop.cancelled_owned()));
    let mut is_failing = false;
    while let Some(event) = events.next().await {
        let failure = match event {
            Ok(secret) => match serving.take(&secret, &settings) {
                Ok(()) => {
                    ready.cancel();
                    tracing::info!("serving the certificate in the Secret");
                    None
                }
                Err(error) => Some(ErrorChain(&error).to_string()),
            },
            Err(error) => Some(ErrorChain(&error).to_string()),
        };
        if let Some(error) = failure.as_ref().filter(|_| !is_failing) {
            tracing::warn!(
                error,
                "the Secret with the certificates cannot be followed; what was served before still is"
            );
        }
        is_failing = failure.is_some();
    }
}
