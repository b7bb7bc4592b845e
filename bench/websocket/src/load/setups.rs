//! How many sessions can be opened, and closed again in order.

use super::{Connection, Load, SILENCE_LIMIT, announce, result};
use crate::frame::{CLOSE, masked};
use anyhow::Result;
use serde_json::Value;
use std::time::{Duration, Instant};

/// The part of the time that is not measured, at the beginning.
const WARM_UP: u32 = 4;
/// A Close frame's code for that all is well.
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How long is measured.
    #[arg(long)]
    milliseconds: u64,
}

pub(super) fn run(mut load: Load<'_>, arguments: &Arguments) -> Result<Value> {
    let close = masked(CLOSE, &NORMAL);
    let places = 0..load.arguments.connections;
    let mut clients: Vec<Client> = places
        .map(|place| load.connect(place).map(Client::new))
        .collect::<Result<_>>()?;
    let time = Duration::from_millis(arguments.milliseconds);
    let (mut started, mut is_measuring, mut count) = (Instant::now(), false, 0);
    loop {
        load.wait(Some(SILENCE_LIMIT))?;
        let mut ended = Vec::new();
        for event in &load.events {
            let place = event.token().0;
            if clients[place].go_on(&close, &mut load.buffer)? {
                ended.push(place);
            }
        }
        for place in ended {
            count += 1;
            clients[place] = Client::new(load.connect(place)?);
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

struct Client {
    connection: Connection,
    is_closing: bool,
}

impl Client {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            is_closing: false,
        }
    }

    /// True when the session has ended with that. The server ends the connection, as RFC 6455 wants it.
    fn go_on(&mut self, close: &[u8], buffer: &mut [u8]) -> Result<bool> {
        if self.is_closing {
            return Ok(self.connection.is_ended(buffer));
        }
        if self.connection.shake_hands(buffer)? {
            self.connection.send_last(close)?;
            self.is_closing = true;
        }
        Ok(false)
    }
}
