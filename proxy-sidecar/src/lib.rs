//! heddle-proxy: the WebSocket data plane of WsRoute.
//!
//! [`main`] is all there is to call. Sessions after their handshake are those of `heddle-ws-session`.

mod access;
mod backend;
mod backoff;
mod body;
mod broadcast;
mod config;
mod config_stream;
mod control;
mod dial;
mod fields;
mod forwarding;
mod handshake;
mod head;
mod health;
mod http1;
mod http2;
mod live;
mod metrics;
mod process;
mod refusal;
mod request;
mod session_rules;
mod settings;
mod shared;
mod tls;
mod transcode;
mod worker;

use clap::Parser;
use config::files::{self, Paths};
use heddle_telemetry::ErrorChain;
use settings::{Arguments, CheckArguments, Command, RunArguments, Settings};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Exit code of a process that was started with nonsense (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;

/// How long what a runtime is about may go on when everything else has ended.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs what the arguments of this process ask for.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run(*arguments),
        Command::Check(arguments) => check(&arguments),
        Command::Drain(arguments) => drain(&arguments.state_dir),
    }
}

fn run(arguments: RunArguments) -> ExitCode {
    let settings = match Settings::new(arguments, |name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{}", ErrorChain(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // Sessions have threads of their own; this runtime is for everything around them.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(process::run(settings));
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    code
}

fn check(arguments: &CheckArguments) -> ExitCode {
    let paths = Paths {
        manifests: arguments.files.clone(),
        descriptors: Vec::new(),
    };
    match files::read(&paths) {
        Ok(set) => {
            for route in &set.routes {
                let backends: Vec<_> = route.backends.iter().map(|backend| &*backend.name).collect();
                println!("{}: port {}, to {}", route.id, route.port, backends.join(", "));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}

fn drain(folder: &Path) -> ExitCode {
    match control::drain(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}
