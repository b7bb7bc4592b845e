//! Logs a panic as one error-level event, so that it is one JSON line with ids like every other.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

const TARGET: &str = "panic";

/// Replaces the panic hook of this process.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(log_panic));
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
