//! How long messages take that are sent at a fixed rate. Time counts from when a message was due, so that a stall meets
//! all that were due in it. Due is what the clock has told of: where it ticks late, as virtual machines' clocks do now and
//! then by a whole tick, nobody who is measured has held anything up.

use super::message::Message;
use super::{Connection, Load, SILENCE_LIMIT, announce};
use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Interest, Token};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

const CLOCK: Token = Token(usize::MAX);
/// How often messages are sent, some at once.
const TICK: Duration = Duration::from_millis(1);
/// The part of the time that is not measured, at the beginning.
const WARM_UP: u32 = 4;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Of a message.
    #[arg(long)]
    bytes: usize,
    /// Messages sent in a second, by all clients together.
    #[arg(long)]
    per_second: u64,
    /// How long is measured.
    #[arg(long)]
    milliseconds: u64,
}

pub(super) fn run(mut load: Load<'_>, arguments: &Arguments) -> Result<Value> {
    let message = Message::bytes(arguments.bytes);
    let mut clients: Vec<Client> = load.open()?.into_iter().map(Client::new).collect();
    let clock = clock(&load)?;
    let time = Duration::from_millis(arguments.milliseconds);
    let measured_from = Instant::now() + time / WARM_UP;
    let mut schedule = Schedule::new(arguments.per_second, clients.len());
    let (mut latencies, mut is_measuring) = (Vec::new(), false);
    loop {
        load.wait(Some(SILENCE_LIMIT))?;
        for event in &load.events {
            if event.token() == CLOCK {
                // How many ticks have gone by is seen from the time.
                nix::unistd::read(clock.as_fd(), &mut [0; 8]).context("failed to read the clock")?;
                continue;
            }
            let client = &mut clients[event.token().0];
            if client.connection.go_on(&message, &mut load.buffer)? {
                latencies.extend(client.answered(measured_from));
                client.send_next(&message)?;
            }
        }
        let now = Instant::now();
        while let Some(place) = schedule.next(now) {
            clients[place].due.push_back(now);
            clients[place].send_next(&message)?;
        }
        if !is_measuring && Instant::now() >= measured_from {
            announce()?;
            is_measuring = true;
        }
        if measured_from.elapsed() > time {
            return summary(latencies);
        }
    }
}

fn clock(load: &Load<'_>) -> Result<TimerFd> {
    let clock = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
    clock.set(Expiration::Interval(TICK.into()), TimerSetTimeFlags::empty())?;
    let descriptor = clock.as_fd().as_raw_fd();
    load.poll
        .registry()
        .register(&mut SourceFd(&descriptor), CLOCK, Interest::READABLE)?;
    Ok(clock)
}

fn summary(mut latencies: Vec<f64>) -> Result<Value> {
    latencies.sort_by(f64::total_cmp);
    let quantile = |fraction: f64| {
        let last = latencies.len().saturating_sub(1);
        latencies.get((last as f64 * fraction).round() as usize).copied()
    };
    let context = "no message has come back";
    Ok(json!({
        "count": latencies.len(),
        "p50_seconds": quantile(0.5).context(context)?,
        "p99_seconds": quantile(0.99).context(context)?,
    }))
}

/// Which client sends when.
struct Schedule {
    started: Instant,
    per_second: u64,
    clients: u64,
    sent: u64,
}

impl Schedule {
    fn new(per_second: u64, clients: usize) -> Self {
        Self {
            started: Instant::now(),
            per_second,
            clients: clients as u64,
            sent: 0,
        }
    }

    /// The client whose turn it is, if a message is due by now: all of a tick are due with it.
    fn next(&mut self, now: Instant) -> Option<usize> {
        let tick = TICK.as_micros() as u64;
        let due = self.sent * 1_000_000 / self.per_second / tick * tick;
        let due = self.started + Duration::from_micros(due);
        if due > now {
            return None;
        }
        let place = (self.sent % self.clients) as usize;
        self.sent += 1;
        Some(place)
    }
}

struct Client {
    connection: Connection,
    /// When the messages were due that have not come back, the one under way first.
    due: VecDeque<Instant>,
}

impl Client {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            due: VecDeque::new(),
        }
    }

    fn send_next(&mut self, message: &Message) -> Result<()> {
        match self.connection.is_busy() || self.due.is_empty() {
            true => Ok(()),
            false => self.connection.send(message),
        }
    }

    /// How long the message took that has come back, in seconds, when it was due in the time that is measured.
    fn answered(&mut self, measured_from: Instant) -> Option<f64> {
        let due = self.due.pop_front()?;
        (due >= measured_from).then(|| due.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns_and_a_tick_has_its_share() {
        let mut schedule = Schedule::new(3_000, 2);
        let (started, mut places) = (schedule.started, Vec::new());
        while let Some(place) = schedule.next(started + Duration::from_micros(1_500)) {
            places.push(place);
        }
        assert_eq!(places, [0, 1, 0, 1, 0, 1]);
    }
}
