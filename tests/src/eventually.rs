//! Waiting for something to become so.

use anyhow::{Result, bail};
use kube::Api;
use kube::core::object::HasStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// How often is looked.
const PERIOD: Duration = Duration::from_millis(50);

/// Looks until `probe` has a value, at most for `limit`. The probe's errors are of the test, not of what is waited for.
///
/// # Errors
/// Those of the probe, and the time being up, which names `what` was waited for and what was `seen` last.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Probe<T>>>,
{
    let started = Instant::now();
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        match probe().await? {
            Probe::Seen(value) => return Ok(value),
            Probe::NotYet(seen) if started.elapsed() > limit => {
                bail!("{what}: not within {} s; seen last: {seen}", limit.as_secs());
            }
            Probe::NotYet(_) => {}
        }
    }
}

/// Looks at an object until its status is as `wanted`, at most for `limit`. One without a status has the default one.
///
/// # Errors
/// The object cannot be read, and the time being up, which tells of the status that was seen last.
pub async fn eventually_has_status<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&K::Status) -> bool,
) -> Result<K::Status>
where
    K: HasStatus<Status: Clone + Default + Serialize> + Clone + Debug + DeserializeOwned,
{
    eventually(what, limit, || async {
        let status = api.get(name).await?.status().cloned().unwrap_or_default();
        Ok(match wanted(&status) {
            true => Probe::Seen(status),
            false => Probe::NotYet(serde_json::to_string_pretty(&status)?),
        })
    })
    .await
}

/// What a probe has found.
#[derive(Debug)]
pub enum Probe<T> {
    /// What was waited for.
    Seen(T),
    /// Something else, in words.
    NotYet(String),
}
