//! What the probes say, and why.

use heddle_http_server::Probes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A loop that has not turned for this long is stuck.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(30);

/// An API server that has not answered for this long is out of reach.
const API_CONTACT_LIMIT: Duration = Duration::from_secs(20);

/// The state of the process, shared by its parts. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    hearts: Mutex<Vec<Heart>>,
    api_contact: Mutex<Option<Instant>>,
    caches: Mutex<Vec<(&'static str, CancellationToken)>>,
    stopping: CancellationToken,
}

/// What a loop is called, and when it last turned.
#[derive(Debug)]
struct Heart {
    of: &'static str,
    last: Arc<Mutex<Instant>>,
}

/// A loop's sign of life. It counts from its creation to its end.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    health: Health,
    last: Arc<Mutex<Instant>>,
}

impl Heartbeat {
    /// The loop has turned.
    pub(crate) fn beat(&self) {
        *lock(&self.last) = Instant::now();
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        lock(&self.health.0.hearts).retain(|heart| !Arc::ptr_eq(&heart.last, &self.last));
    }
}

impl Health {
    /// Watches over a loop from now on.
    pub(crate) fn heartbeat(&self, of: &'static str) -> Heartbeat {
        let last = Arc::new(Mutex::new(Instant::now()));
        lock(&self.0.hearts).push(Heart {
            of,
            last: Arc::clone(&last),
        });
        Heartbeat {
            health: self.clone(),
            last,
        }
    }

    /// Waits with readiness until all objects of a kind have been seen, which is when the token is cancelled.
    pub(crate) fn expect_cache(&self, of: &'static str) -> CancellationToken {
        let synced = CancellationToken::new();
        lock(&self.0.caches).push((of, synced.clone()));
        synced
    }

    /// The API server has answered.
    pub(crate) fn note_api_contact(&self) {
        *lock(&self.0.api_contact) = Some(Instant::now());
    }

    /// The process is about to end.
    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }

    fn not_alive_at(&self, now: Instant) -> Option<String> {
        let hearts = lock(&self.0.hearts);
        let stuck = hearts
            .iter()
            .find(|heart| now.duration_since(*lock(&heart.last)) > HEARTBEAT_LIMIT);
        let limit = HEARTBEAT_LIMIT.as_secs();
        stuck.map(|Heart { of, .. }| format!("{of} has been stuck for more than {limit} s"))
    }

    fn not_ready_at(&self, now: Instant) -> Option<String> {
        if self.0.stopping.is_cancelled() {
            return Some("stopping".into());
        }
        match *lock(&self.0.api_contact) {
            None => return Some("the API server has not answered yet".into()),
            Some(contact) if now.duration_since(contact) > API_CONTACT_LIMIT => {
                return Some("the API server does not answer".into());
            }
            Some(_) => {}
        }
        let caches = lock(&self.0.caches);
        if let Some((of, _)) = caches.iter().find(|(_, synced)| !synced.is_cancelled()) {
            return Some(format!(
                "the caches are being filled: {of} have not been listed yet"
            ));
        }
        drop(caches);
        self.not_alive_at(now)
    }
}

impl Probes for Health {
    fn not_alive(&self) -> Option<String> {
        self.not_alive_at(Instant::now())
    }

    fn not_ready(&self) -> Option<String> {
        self.not_ready_at(Instant::now())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stops_turning_is_noticed_and_one_that_ends_is_not() {
        let health = Health::default();
        let heart = health.heartbeat("the controller");
        let later = Instant::now() + HEARTBEAT_LIMIT + Duration::from_secs(1);
        assert_eq!(health.not_alive_at(Instant::now()), None);
        assert!(health.not_alive_at(later).unwrap().contains("the controller"));
        heart.beat();
        assert_eq!(health.not_alive_at(Instant::now()), None);
        drop(heart);
        assert_eq!(health.not_alive_at(later), None);
    }

    #[test]
    fn readiness_needs_the_api_server_and_full_caches_and_ends_with_the_stop() {
        let health = Health::default();
        let now = Instant::now();
        let why = || health.not_ready_at(Instant::now()).unwrap_or_default();
        assert!(why().contains("not answered yet"));
        health.note_api_contact();
        assert_eq!(why(), "");
        let synced = health.expect_cache("Jobs");
        health.expect_cache("Secrets").cancel();
        assert!(why().contains("caches") && why().contains("Jobs"));
        synced.cancel();
        assert_eq!(why(), "");
        let later = now + API_CONTACT_LIMIT * 2;
        assert!(health.not_ready_at(later).unwrap().contains("does not answer"));
        health.stop();
        assert_eq!(why(), "stopping");
    }
}
