//! Writes the metrics of the routes that are there at that moment: they come and go, and so do their labels.

use crate::live::RouteSessions;
use crate::shared::Shared;
use heddle_route_config::RouteId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, EncodeMetric, LabelSetEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use std::fmt;
use std::sync::Arc;

/// Collects from the routes as they are when somebody asks.
#[derive(Debug)]
pub(crate) struct RoutesCollector(Arc<Shared>);

/// The labels of every metric, and then what each has beside them.
struct Labels<'a, L> {
    route: &'a RouteId,
    own: L,
}

impl<L: EncodeLabelSet> EncodeLabelSet for Labels<'_, L> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let RouteId { namespace, name } = self.route;
        for (label, value) in [("namespace", namespace), ("route", name)] {
            (label, value.as_str()).encode(encoder.encode_label())?;
        }
        self.own.encode(encoder)
    }
}

/// Nothing beside the route.
type NoLabels = [(&'static str, &'static str); 0];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FromLabels {
    from: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ClosedLabels {
    code: &'static str,
    by: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BackendLabels {
    backend: String,
}

impl RoutesCollector {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl Collector for RoutesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.0.all_sessions();
        let mut page = Page {
            encoder: &mut encoder,
            routes: &routes,
        };
        page.sessions()?;
        page.handshakes()?;
        page.traffic()?;
        page.backends(&self.0)
    }
}

/// What is being written.
struct Page<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
    routes: &'a [Arc<RouteSessions>],
}

impl Page<'_, '_> {
    fn sessions(&mut self) -> fmt::Result {
        self.single("websocket_sessions_open", "Sessions that are open", |route| {
            &route.metrics.open
        })?;
        self.single("websocket_sessions", "Sessions that have begun", |route| {
            &route.metrics.sessions
        })?;
        self.counters(
            "websocket_sessions_closed",
            "Sessions that have ended, by close code, by who closed them and by reason",
            |route| {
                let closed = route.metrics.closed.snapshot().into_iter();
                let own = closed.map(|(labels, counter)| {
                    let super::CloseLabels { code, by, reason } = labels;
                    (ClosedLabels { code, by, reason }, counter)
                });
                own.collect()
            },
        )
    }

    fn handshakes(&mut self) -> fmt::Result {
        self.single(
            "websocket_handshake_seconds",
            "How long it took from the request to the answer 101",
            |route| &route.metrics.handshake_seconds,
        )?;
        self.single(
            "websocket_handshakes_declined",
            "Handshakes that a backend has answered with something other than 101",
            |route| &route.metrics.declined,
        )?;
        self.single(
            "websocket_handshakes_retried",
            "Handshakes that were tried on another backend",
            |route| &route.metrics.retries,
        )?;
        self.counters(
            "websocket_handshakes_refused",
            "Handshakes that the proxy has refused, by reason",
            |route| {
                let refused = route.metrics.refused.snapshot().into_iter();
                refused
                    .map(|(reason, counter)| (ReasonLabels { reason }, counter))
                    .collect()
            },
        )
    }

    fn traffic(&mut self) -> fmt::Result {
        self.counters(
            "websocket_messages",
            "Messages of data that have arrived, by the side that sent them",
            |route| {
                let (client, backend) = (&route.traffic.from_client, &route.traffic.from_backend);
                by_side(&client.messages, &backend.messages)
            },
        )?;
        self.counters(
            "websocket_bytes",
            "Bytes that have arrived, frame headers included, by the side that sent them",
            |route| {
                let (client, backend) = (&route.traffic.from_client, &route.traffic.from_backend);
                by_side(&client.bytes, &backend.bytes)
            },
        )?;
        self.single(
            "websocket_broadcast_messages",
            "Messages for all sessions that have gone to clients, each session counted",
            |route| &route.traffic.broadcast.messages,
        )?;
        self.single(
            "websocket_broadcast_bytes",
            "Bytes of messages for all sessions that have gone to clients, frame headers included",
            |route| &route.traffic.broadcast.bytes,
        )?;
        self.single(
            "websocket_broadcast_messages_missed",
            "Messages for all sessions that a client did not take in time or before its session ended, or that could not be had in its encoding",
            |route| &route.traffic.broadcast.missed,
        )
    }

    fn backends(&mut self, shared: &Shared) -> fmt::Result {
        let live = shared.routes();
        let of = |route: &RouteSessions, pick: fn(&super::BackendMetrics) -> &Counter| {
            let backends = live.get(&route.id).map(|live| live.backends.iter());
            let counters = backends.into_iter().flatten().map(|backend| {
                let labels = BackendLabels {
                    backend: backend.config.name.clone(),
                };
                (labels, pick(&backend.metrics).clone())
            });
            counters.collect()
        };
        self.counters(
            "websocket_backend_sessions",
            "Sessions that have begun, by backend",
            |route| of(route, |metrics| &metrics.sessions),
        )?;
        self.counters(
            "websocket_backend_failures",
            "Handshakes that a backend could not be reached for, or has answered with 502, 503 or 504",
            |route| of(route, |metrics| &metrics.failures),
        )
    }

    /// A metric that every route has once.
    fn single<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        pick: impl Fn(&RouteSessions) -> &M,
    ) -> fmt::Result {
        let Some(first) = self.routes.first() else {
            return Ok(());
        };
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, pick(first).metric_type())?;
        for route in self.routes {
            let own: NoLabels = [];
            let labels = Labels {
                route: &route.id,
                own,
            };
            pick(route).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Counters that a route has several of.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        pick: impl Fn(&RouteSessions) -> Vec<(L, Counter)>,
    ) -> fmt::Result {
        let mut family = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for route in self.routes {
            for (own, counter) in pick(route) {
                let labels = Labels {
                    route: &route.id,
                    own,
                };
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn by_side(client: &Counter, backend: &Counter) -> Vec<(FromLabels, Counter)> {
    vec![
        (FromLabels { from: "client" }, client.clone()),
        (FromLabels { from: "backend" }, backend.clone()),
    ]
}
