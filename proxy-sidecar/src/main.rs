//! The proxy's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    heddle_proxy_sidecar::main()
}
