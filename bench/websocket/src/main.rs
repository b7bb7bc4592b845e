//! What WebSocket proxies are measured with, as light as it can be, so that the figures are the proxies' own:
//! `heddle-bench-websocket echo | relay | load`. The benchmark `websocket` of heddle-bench starts it.

mod echo;
mod frame;
mod handshake;
mod load;
mod relay;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Load, echo server and byte relay.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// An echo server in one thread; prints its port when it listens.
    Echo,
    /// A relay that knows nothing but bytes, in two threads; prints its port when it listens.
    Relay(relay::Arguments),
    /// Clients in one thread; prints a line when measuring begins and one of JSON at the end.
    Load(load::Arguments),
}

fn main() -> Result<()> {
    match Arguments::parse().part {
        Part::Echo => echo::run(),
        Part::Relay(arguments) => relay::run(&arguments),
        Part::Load(arguments) => load::run(&arguments),
    }
}
