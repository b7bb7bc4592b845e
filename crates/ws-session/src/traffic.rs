//! Counters that move while sessions are open.

use prometheus_client::metrics::counter::Counter;

/// What has gone through the sessions of a route. The counters can be registered as they are: clones of a counter count
/// together.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// From clients to backends.
    pub from_client: DirectionTraffic,
    /// From backends to clients.
    pub from_backend: DirectionTraffic,
    /// From the proxy itself to clients.
    pub broadcast: BroadcastTraffic,
}

/// What has become of messages for all, session by session.
#[derive(Clone, Debug, Default)]
pub struct BroadcastTraffic {
    /// Messages that have gone to a client.
    pub messages: Counter,
    /// Their bytes, frame headers included.
    pub bytes: Counter,
    /// Messages that have not: the client did not take them in time or before its session ended, or they could not be had in
    /// its encoding.
    pub missed: Counter,
}

/// What has gone one way.
#[derive(Clone, Debug, Default)]
pub struct DirectionTraffic {
    /// Messages of data whose last byte has arrived.
    pub messages: Counter,
    /// Bytes that have arrived, frame headers included.
    pub bytes: Counter,
}
