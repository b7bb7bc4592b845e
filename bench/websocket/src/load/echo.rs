//! How many messages go there and back.

use super::message::Message;
use super::{Load, SILENCE_LIMIT, announce, result};
use anyhow::Result;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The part of the time that is not measured, at the beginning.
const WARM_UP: u32 = 4;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Of a message, whatever they are.
    #[arg(long, default_value_t = 0)]
    bytes: usize,
    /// A file that is a message of text instead.
    #[arg(long)]
    text: Option<PathBuf>,
    /// How long is measured.
    #[arg(long)]
    milliseconds: u64,
}

pub(super) fn run(mut load: Load<'_>, arguments: &Arguments) -> Result<Value> {
    let message = match &arguments.text {
        Some(file) => Message::text(file)?,
        None => Message::bytes(arguments.bytes),
    };
    let mut connections = load.open()?;
    for connection in &mut connections {
        connection.send(&message)?;
    }
    let time = Duration::from_millis(arguments.milliseconds);
    let (mut started, mut is_measuring, mut count) = (Instant::now(), false, 0);
    loop {
        load.wait(Some(SILENCE_LIMIT))?;
        for event in &load.events {
            let connection = &mut connections[event.token().0];
            if connection.go_on(&message, &mut load.buffer)? {
                count += 1;
                connection.send(&message)?;
            }
        }
        let elapsed = started.elapsed();
        if !is_measuring && elapsed > time / WARM_UP {
            announce()?;
            (started, is_measuring, count) = (Instant::now(), true, 0);
        } else if is_measuring && elapsed > time {
            return Ok(result(count, elapsed.as_secs_f64()));
        }
    }
}
