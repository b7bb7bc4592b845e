//! The Heddle operator: reconciles Heddle's kinds.
//!
//! [`main`] is all there is to call: it reads the settings, takes part in the election of a leader, runs the controllers
//! while it leads, and serves probes and metrics all the time.

mod attempt;
mod broadcaster;
mod cache;
mod certificates;
mod conditions;
mod config_stream;
mod context;
mod descriptors;
mod events;
mod failures;
mod health;
mod idl_repo;
mod leader;
mod metrics;
mod process;
mod settings;
mod sharding;
mod source;
mod sse_subscription;
mod watches;
mod webhook;
mod work_queue;
mod write_status;
mod ws_route;

use clap::Parser;
use heddle_telemetry::ErrorChain;
use settings::{Arguments, Settings};
use std::process::ExitCode;
use std::time::Duration;

/// Exit code of a process that was started with nonsense (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;

/// How long threads that ask sources may go on when everything else has ended.
const THREADS_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the operator until it is told to stop, or cannot go on.
pub fn main() -> ExitCode {
    let settings = match Settings::new(Arguments::parse(), std::env::vars()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{}", ErrorChain(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(process::run(settings));
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    code
}
