//! Clients in one thread.

mod connection;
mod echo;
mod idle;
mod latency;
mod message;
mod setups;

use anyhow::{Context, Result};
use connection::Connection;
use mio::{Events, Poll, Token};
use serde_json::Value;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// The most bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Handshakes at the same time while connections are opened that are to stay.
const CONCURRENT_HANDSHAKES: usize = 64;
/// How long all clients may have to wait for anything to happen.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The port of loopback that is connected to.
    #[arg(long)]
    port: u16,
    /// Clients at the same time.
    #[arg(long)]
    connections: usize,
    /// What is asked for.
    #[arg(long, default_value = "/")]
    path: String,
    /// The address on loopback that clients come from; each has a set of ports of its own.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    source: Ipv4Addr,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Each client sends the next message when the last has come back.
    Echo(echo::Arguments),
    /// Messages are sent at a fixed rate, whether or not others have come back.
    Latency(latency::Arguments),
    /// Sessions are opened, closed in order, and opened anew.
    Setups(setups::Arguments),
    /// Sessions are opened and kept until standard input ends.
    Idle,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let load = Load::new(arguments)?;
    let result = match &arguments.what {
        What::Echo(echo) => echo::run(load, echo)?,
        What::Latency(latency) => latency::run(load, latency)?,
        What::Setups(setups) => setups::run(load, setups)?,
        What::Idle => idle::run(load)?,
    };
    println!("{result}");
    Ok(())
}

/// Says that what follows is to be measured.
fn announce() -> Result<()> {
    println!("measuring");
    std::io::stdout().flush().context("failed to write")
}

/// The end of a measurement, as it is printed.
fn result(count: u64, seconds: f64) -> Value {
    serde_json::json!({"count": count, "seconds": seconds})
}

/// What all kinds of load have in common.
struct Load<'a> {
    arguments: &'a Arguments,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl<'a> Load<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self> {
        Ok(Self {
            arguments,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Begins to connect; `place` comes back in events.
    fn connect(&self, place: usize) -> Result<Connection> {
        let Arguments {
            source, port, path, ..
        } = self.arguments;
        Connection::open(self.poll.registry(), Token(place), *source, *port, path)
    }

    /// Opens all sessions and returns when every one is open.
    fn open(&mut self) -> Result<Vec<Connection>> {
        let wanted = self.arguments.connections;
        let mut connections = Vec::with_capacity(wanted);
        let mut opened = 0;
        while opened < wanted {
            while connections.len() < wanted && connections.len() - opened < CONCURRENT_HANDSHAKES {
                connections.push(self.connect(connections.len())?);
            }
            self.wait(Some(SILENCE_LIMIT))?;
            for event in &self.events {
                let connection: &mut Connection = &mut connections[event.token().0];
                opened += usize::from(connection.shake_hands(&mut self.buffer)?);
            }
        }
        Ok(connections)
    }

    /// Waits for events; it is an error when there are none in all that time.
    fn wait(&mut self, limit: Option<Duration>) -> Result<()> {
        match self.poll.poll(&mut self.events, limit) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        anyhow::ensure!(
            limit.is_none() || !self.events.is_empty(),
            "nothing has come for {} s",
            SILENCE_LIMIT.as_secs()
        );
        Ok(())
    }
}
