//! What a route asks of its sessions, in the terms of the sessions.

use heddle_crds::ws_route::OnExceed as Exceeding;
use heddle_route_config::Route;
use heddle_ws_session::{Keepalive, Lifetime, MessageRate, OnExceed, SessionRules};

/// What `route` asks for.
pub(crate) fn of(route: &Route) -> SessionRules {
    SessionRules {
        max_message_bytes: route.limits.max_message_bytes,
        message_rate: route.limits.message_rate.as_ref().map(message_rate),
        keepalive: route.keepalive.as_ref().map(keepalive),
        idle: route.timeouts.idle,
        lifetime: route.lifetime.as_ref().map(lifetime),
        close: route.timeouts.close,
    }
}

fn message_rate(rate: &heddle_route_config::MessageRate) -> MessageRate {
    MessageRate {
        per_second: rate.per_second,
        burst: rate.burst,
        on_exceed: match rate.on_exceed {
            Exceeding::Wait => OnExceed::Wait,
            Exceeding::Close => OnExceed::Close,
        },
    }
}

fn keepalive(keepalive: &heddle_route_config::Keepalive) -> Keepalive {
    Keepalive {
        interval: keepalive.interval,
        timeout: keepalive.timeout,
    }
}

fn lifetime(lifetime: &heddle_route_config::Lifetime) -> Lifetime {
    Lifetime {
        max_age: lifetime.max_age,
        jitter: lifetime.jitter,
    }
}
