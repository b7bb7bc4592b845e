//! When a run must stop: cancelled from outside, or out of time.

use heddle_git_remote::Cancellation;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The reasons that end a run early. Clones share the cancellation.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Cancelled on SIGTERM and SIGINT.
    pub cancelled: CancellationToken,
    /// When the run's time is over.
    pub deadline: Instant,
    /// How much time it was given, for messages.
    pub timeout: Duration,
}

/// A run was stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stopped {
    /// From outside.
    #[error("failed to finish: cancelled before anything was pushed")]
    Cancelled,
    /// By its deadline.
    #[error("failed to finish in time: the run took longer than {} s; raise spec.timeout", _0.as_secs())]
    TimedOut(Duration),
    /// By a panic in a step.
    #[error("failed to finish: a step broke off; please report this")]
    BrokeOff,
}

impl Stop {
    /// Stops `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        Self {
            cancelled: CancellationToken::new(),
            deadline: Instant::now() + timeout,
            timeout,
        }
    }

    /// Ends when the run must stop, and not before.
    pub async fn requested(&self) -> Stopped {
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Stopped::Cancelled,
            () = tokio::time::sleep_until(self.deadline) => Stopped::TimedOut(self.timeout),
        }
    }

    /// The result of `work`, unless the run must stop before it ends; then `work` is dropped.
    ///
    /// # Errors
    /// Why the run was stopped.
    pub async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            stopped = self.requested() => Err(stopped),
            done = work => Ok(done),
        }
    }

    /// The result of blocking `work` on a thread for that. When the run must stop first, Git operations in `work` are
    /// told to by `cancellation`, and are not waited for.
    ///
    /// # Errors
    /// Why the run was stopped.
    pub async fn guard_blocking<T: Send + 'static>(
        &self,
        cancellation: &Cancellation,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let outcome = self.guard(blocking(work)).await;
        if outcome.is_err() {
            cancellation.cancel();
        }
        outcome?
    }

    /// Whether the run must stop by now.
    ///
    /// # Errors
    /// Why.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.cancelled.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        if Instant::now() >= self.deadline {
            Err(Stopped::TimedOut(self.timeout))
        } else {
            Ok(())
        }
    }
}

/// The result of blocking `work`, in the current span.
///
/// # Errors
/// [`Stopped::BrokeOff`] when it panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopped> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|_| Stopped::BrokeOff)
}
