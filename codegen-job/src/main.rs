//! `heddle-codegen`: the codegen Job, and a command line for a laptop.

mod cli;
mod commands;
mod message_commands;
mod outcome;
mod signals;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().command {
        // These two become or are a plugin, and so must stay on the only thread and say nothing of their own.
        Command::Confine(arguments) => {
            end(Err::<(), _>(heddle_codegen::plugin::confine::confine(&arguments)))
        }
        Command::Builtin { plugin } => end(plugin.serve()),
        command => commands::execute(command),
    }
}

fn end<E: std::error::Error + 'static>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", heddle_telemetry::ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}
