//! Logs a panic as one error-level event, so that it is one JSON line with ids like every other.

use crate::logs::LineQueue;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::time::Duration;

const TARGET: &str = "panic";

/// How long a panic waits until its line is written: the process may be about to end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Replaces the panic hook of this process. `queue` is where lines wait, if they do.
pub(crate) fn install_hook(queue: Option<LineQueue>) {
    panic::set_hook(Box::new(move |info| {
        log_panic(info);
        if let Some(queue) = &queue {
            // Whether it was in time or not, the panic goes on.
            queue.flush(FLUSH_TIMEOUT);
        }
    }));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let reason = info.payload_as_str().unwrap_or("a value that is no text");
    // Frames are there when RUST_BACKTRACE asks for them.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            tracing::error!(target: TARGET, error = reason, thread, location, %backtrace, "panicked");
        }
        _ => tracing::error!(target: TARGET, error = reason, thread, location, "panicked"),
    }
}
