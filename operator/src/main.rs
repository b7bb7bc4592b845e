//! The operator's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    heddle_operator::main()
}
