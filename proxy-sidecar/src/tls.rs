//! Certificates from mounted Secrets, on both sides, used anew when they change.

mod load;

use crate::live::LiveRoutes;
use arc_swap::ArcSwap;
use heddle_crds::ws_route::Protocol;
use heddle_route_config::{Backend, BackendTls, TlsSecrets};
use heddle_telemetry::ErrorChain;
use load::Files;
use rustls::{ClientConfig, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use load::TlsError;

/// What stands for a port's certificates.
pub(crate) type ListenerTls = Reloading<TlsSecrets, ServerConfig>;

/// What stands for what a backend is to prove, and the proxy to it.
pub(crate) type DialTls = Reloading<(BackendTls, Protocol), ClientConfig>;

/// A configuration made from files, which is made anew when they change.
#[derive(Debug)]
pub(crate) struct Reloading<K, C> {
    key: K,
    folder: PathBuf,
    config: ArcSwap<C>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the configuration was made from.
    files: Files,
    /// What was wrong the last time, so that it is said once.
    trouble: Option<String>,
}

/// How a configuration is made from files.
pub(crate) trait Load<C>: std::fmt::Debug {
    fn read(&self, folder: &Path) -> Result<Files, TlsError>;
    fn build(&self, files: &Files) -> Result<C, TlsError>;
    /// The name for logs.
    fn secret(&self) -> &str;
}

impl<K: Load<C>, C> Reloading<K, C> {
    fn new(key: K, folder: &Path) -> Result<Self, TlsError> {
        let files = key.read(folder)?;
        let config = key.build(&files)?;
        Ok(Self {
            config: ArcSwap::from_pointee(config),
            state: Mutex::new(State { files, trouble: None }),
            folder: folder.to_owned(),
            key,
        })
    }

    /// What it is made for.
    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// The newest configuration that could be made.
    pub(crate) fn current(&self) -> Arc<C> {
        self.config.load_full()
    }

    /// Looks at the files again. One that cannot be used leaves what there is.
    fn refresh(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match self.key.read(&self.folder) {
            Ok(files) if files == state.files => None,
            Ok(files) => Some(self.key.build(&files).map(|config| (files, config))),
            Err(error) => Some(Err(error)),
        };
        let secret = self.key.secret();
        match changed {
            None => state.trouble = None,
            Some(Ok((files, config))) => {
                self.config.store(Arc::new(config));
                *state = State { files, trouble: None };
                tracing::info!(secret, "certificates were renewed");
            }
            Some(Err(error)) => {
                let text = ErrorChain(&error).to_string();
                if state.trouble.as_ref() != Some(&text) {
                    tracing::error!(
                        secret,
                        error = text,
                        "failed to renew certificates; the former ones are used on"
                    );
                }
                state.trouble = Some(text);
            }
        }
    }
}

/// The folder that Secrets are mounted in, each in a folder of its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Option<PathBuf>);

impl Secrets {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// The certificates of a listener: those that `former` has, if they are of the same Secrets.
    pub(crate) fn listener(
        &self,
        secrets: &TlsSecrets,
        former: Option<&Arc<ListenerTls>>,
    ) -> Result<Arc<ListenerTls>, TlsError> {
        match former.filter(|former| former.key == *secrets) {
            Some(former) => Ok(Arc::clone(former)),
            None => Ok(Arc::new(Reloading::new(secrets.clone(), self.folder()?)?)),
        }
    }

    /// What `backend` asks for.
    pub(crate) fn dial(&self, backend: &Backend) -> Result<Option<Arc<DialTls>>, TlsError> {
        let Some(tls) = &backend.tls else { return Ok(None) };
        let needs_folder = tls.ca.is_some() || tls.client_certificate.is_some();
        let folder = match needs_folder {
            true => self.folder()?,
            false => Path::new(""),
        };
        let key = (tls.clone(), backend.protocol);
        Ok(Some(Arc::new(Reloading::new(key, folder)?)))
    }

    fn folder(&self) -> Result<&Path, TlsError> {
        self.0.as_deref().ok_or(TlsError::NoFolder)
    }
}

/// Looks at the files of everything that `routes` use.
pub(crate) fn refresh(routes: &LiveRoutes) {
    for listener in routes.listeners() {
        listener.refresh();
    }
    for live in routes.iter() {
        for tls in live.backends.iter().filter_map(|backend| backend.tls.as_ref()) {
            tls.refresh();
        }
    }
}
