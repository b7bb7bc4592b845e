//! What a route asks of its sessions.

use rand::Rng;
use std::time::Duration;

/// What a route asks of its sessions. Sessions keep theirs when the route changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionRules {
    /// The most bytes of payload of one message as it is on the wire, over all of its frames, either way.
    pub max_message_bytes: Option<u64>,
    /// How many messages the client may send.
    pub message_rate: Option<MessageRate>,
    /// When silent peers are pinged, and when they are dead.
    pub keepalive: Option<Keepalive>,
    /// How long neither side may send a data frame.
    pub idle: Option<Duration>,
    /// At which age the session ends, and how much of it is taken away at random.
    pub lifetime: Option<Lifetime>,
    /// How long a peer may take to answer a Close frame, and then to close its connection.
    pub close: Duration,
}

impl SessionRules {
    /// The age at which one session ends: drawn anew for each.
    pub(crate) fn draw_age(&self) -> Option<Duration> {
        let lifetime = self.lifetime.as_ref()?;
        let taken = lifetime.jitter * rand::rng().random_range(0.0..=1.0);
        Some(lifetime.max_age.mul_f64((1.0 - taken).clamp(0.0, 1.0)))
    }
}

/// So many messages of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
    /// What becomes of more.
    pub on_exceed: OnExceed,
}

/// What becomes of messages that exceed the rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnExceed {
    /// They wait, and with them the client: its connection is not read meanwhile.
    Wait,
    /// The session ends with 1008.
    Close,
}

/// Pings to silent peers.
#[derive(Clone, Debug, PartialEq)]
pub struct Keepalive {
    /// After so much silence a peer is pinged.
    pub interval: Duration,
    /// After so much more it is dead.
    pub timeout: Duration,
}

/// How old a session gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifetime {
    /// The age at which it ends.
    pub max_age: Duration,
    /// The share of it that is taken away at random, from 0 to 1.
    pub jitter: f64,
}
