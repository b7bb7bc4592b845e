//! A flag that stops a blocking Git operation from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag shared between an operation and whoever may want to stop it; clones share the flag.
///
/// A running operation notices within about a tenth of a second, except while it waits for a connection to be made,
/// which [`crate::Limits`] bounds.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Stops every operation that holds a clone, for good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether [`Self::cancel`] has been called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
