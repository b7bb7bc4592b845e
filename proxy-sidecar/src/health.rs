//! What the probes say, and why.

use heddle_http_server::Probes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// The state of the process, shared by its parts. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<AtomicU8>);

impl Health {
    /// There are routes to serve.
    pub(crate) fn set_ready(&self) {
        // A proxy that stops does not become ready again.
        self.0
            .compare_exchange(STARTING, READY, Ordering::Relaxed, Ordering::Relaxed)
            .ok();
    }

    pub(crate) fn stop(&self) {
        self.0.store(STOPPING, Ordering::Relaxed);
    }
}

impl Probes for Health {
    /// Whoever can answer is alive.
    fn not_alive(&self) -> Option<String> {
        None
    }

    /// Why new connections should go elsewhere.
    fn not_ready(&self) -> Option<String> {
        match self.0.load(Ordering::Relaxed) {
            STARTING => Some("there is no configuration yet".into()),
            READY => None,
            _ => Some("the proxy is stopping".into()),
        }
    }
}
