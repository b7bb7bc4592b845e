//! What a route asks of its sessions.

use heddle_route_config::Route;
use rand::Rng;
use std::time::Duration;

/// What a route asks of its sessions. Sessions keep theirs when the route changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionRules {
    /// The most bytes of payload of one message as it is on the wire, over all of its frames, either way.
    pub max_message_bytes: Option<u64>,
    /// How many messages the client may send.
    pub message_rate: Option<heddle_route_config::MessageRate>,
    /// When silent peers are pinged, and when they are dead.
    pub keepalive: Option<heddle_route_config::Keepalive>,
    /// How long neither side may send a data frame.
    pub idle: Option<Duration>,
    /// At which age the session ends, and how much of it is taken away at random.
    pub lifetime: Option<heddle_route_config::Lifetime>,
    /// How long a peer may take to answer a Close frame, and then to close its connection.
    pub close: Duration,
}

impl SessionRules {
    /// What `route` asks for.
    pub fn new(route: &Route) -> Self {
        Self {
            max_message_bytes: route.limits.max_message_bytes,
            message_rate: route.limits.message_rate.clone(),
            keepalive: route.keepalive.clone(),
            idle: route.timeouts.idle,
            lifetime: route.lifetime.clone(),
            close: route.timeouts.close,
        }
    }

    /// The age at which one session ends: drawn anew for each.
    pub(super) fn draw_age(&self) -> Option<Duration> {
        let lifetime = self.lifetime.as_ref()?;
        let taken = lifetime.jitter * rand::rng().random_range(0.0..=1.0);
        Some(lifetime.max_age.mul_f64((1.0 - taken).clamp(0.0, 1.0)))
    }
}
