//! One reconcile in a task of its own, so that a panic of one does not stop the others.

use heddle_telemetry::ErrorChain;
use std::error::Error;
use std::time::Duration;
use tokio::task::JoinSet;

/// When to look again, if nothing happens.
pub(crate) type Attempted = Result<Option<Duration>, Failure>;

/// Why a reconcile failed, in a form that survives its task.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For metrics.
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// Runs `reconcile` to its end; `class` is that of an error, for metrics.
pub(crate) async fn attempt<E: Error + Send + 'static>(
    reconcile: impl Future<Output = Result<Option<Duration>, E>> + Send + 'static,
    class: impl FnOnce(&E) -> &'static str,
) -> Attempted {
    let mut task = JoinSet::new();
    task.spawn(reconcile);
    match task.join_next().await {
        Some(Ok(result)) => result.map_err(|error| Failure {
            class: class(&error),
            text: ErrorChain(&error).to_string(),
        }),
        Some(Err(_)) | None => Err(Failure {
            class: "panic",
            text: "failed to reconcile: it panicked, which is logged with its place".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to see")]
    struct Blind;

    #[tokio::test]
    async fn a_reconcile_that_fails_or_panics_says_so_to_who_started_it() {
        let again = Some(Duration::from_secs(1));
        let done = attempt(async move { Ok::<_, Blind>(again) }, |_| "blind").await;
        assert_eq!(done.unwrap(), again);
        let failed = attempt(async { Err(Blind) }, |_| "blind").await.unwrap_err();
        assert_eq!((failed.class, failed.text.as_str()), ("blind", "failed to see"));
        let panics = async { panic!("on purpose") };
        let panicked = attempt::<Blind>(panics, |_| "blind").await.unwrap_err();
        assert_eq!(panicked.class, "panic");
    }
}
