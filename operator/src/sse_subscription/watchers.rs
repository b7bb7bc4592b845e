//! The watchers that run in this process.

use super::types::Types;
use super::watcher::progress::Progress;
use super::watcher::{Outcome, Watcher};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What a watcher was started with; when any of it changes, it is started anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Circumstances {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) requested_at: Option<String>,
    /// Of the Secrets that the subscription names.
    pub(crate) secrets: [u8; 32],
}

/// A watcher that was started.
struct Running {
    circumstances: Circumstances,
    types: Option<watch::Sender<Arc<Types>>>,
    progress: Arc<Progress>,
    stop: CancellationToken,
    task: AbortOnDropHandle<Outcome>,
}

/// Tells of the end of a watcher when it is dropped, however that ends.
struct Ending(Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What is known of a watcher.
#[derive(Clone)]
pub(crate) struct RunningWatcher {
    pub(crate) circumstances: Circumstances,
    /// What it transcodes by, if it does.
    pub(crate) types: Option<Arc<Types>>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) has_ended: bool,
}

/// The watchers by `namespace/name`.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<String, Running>>);

impl Watchers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, key: &str) -> Option<RunningWatcher> {
        self.all().get(key).map(|running| RunningWatcher {
            circumstances: running.circumstances.clone(),
            types: running.types.as_ref().map(|types| Arc::clone(&types.borrow())),
            progress: Arc::clone(&running.progress),
            has_ended: running.progress.has_ended(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    /// Has one transcode by other types from now on.
    pub(crate) fn swap(&self, key: &str, types: Arc<Types>) {
        if let Some(sender) = self.all().get(key).and_then(|running| running.types.as_ref()) {
            sender.send_replace(types);
        }
    }

    /// Starts one. There must be none of this key. `types` is where it gets those from that it transcodes by.
    pub(crate) fn start(
        &self,
        key: String,
        circumstances: Circumstances,
        types: Option<watch::Sender<Arc<Types>>>,
        progress: Arc<Progress>,
        watcher: Box<Watcher>,
    ) {
        let stop = CancellationToken::new();
        let (until, ending) = (stop.clone(), Ending(Arc::clone(&progress)));
        let task = Handle::current().spawn(async move {
            let _ending = ending;
            watcher.run(until).await
        });
        let running = Running {
            circumstances,
            types,
            progress,
            stop,
            task: AbortOnDropHandle::new(task),
        };
        self.all().insert(key, running);
    }

    /// Stops one and waits for its end. How it ended; nothing, if there was none.
    pub(crate) async fn stop(&self, key: &str) -> Option<Outcome> {
        let running = self.all().remove(key)?;
        running.stop.cancel();
        // One that has panicked has left things as one that was killed.
        Some(running.task.await.unwrap_or(Outcome::Deposed))
    }
}
