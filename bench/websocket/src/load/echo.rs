//! How many messages go there and back.

use super::{Load, SILENCE_LIMIT, announce, result};
use crate::frame::{BINARY, masked, push_header};
use anyhow::Result;
use serde_json::Value;
use std::time::{Duration, Instant};

/// The part of the time that is not measured, at the beginning.
const WARM_UP: u32 = 4;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Of a message.
    #[arg(long)]
    bytes: usize,
    /// How long is measured.
    #[arg(long)]
    milliseconds: u64,
}

pub(super) fn run(mut load: Load<'_>, arguments: &Arguments) -> Result<Value> {
    let (frame, echo) = message(arguments.bytes);
    let mut connections = load.open()?;
    for connection in &mut connections {
        connection.send(&frame, echo)?;
    }
    let time = Duration::from_millis(arguments.milliseconds);
    let (mut started, mut is_measuring, mut count) = (Instant::now(), false, 0);
    loop {
        load.wait(Some(SILENCE_LIMIT))?;
        for event in &load.events {
            let connection = &mut connections[event.token().0];
            if connection.go_on(&frame, &mut load.buffer)? {
                count += 1;
                connection.send(&frame, echo)?;
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

/// A frame with a payload of that many bytes, and how long its echo is.
pub(super) fn message(bytes: usize) -> (Vec<u8>, usize) {
    let payload: Vec<u8> = (0..bytes).map(|index| b'a' + (index % 26) as u8).collect();
    let mut echo = Vec::new();
    push_header(&mut echo, BINARY, bytes);
    (masked(BINARY, &payload), echo.len() + bytes)
}
