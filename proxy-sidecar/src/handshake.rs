//! From a request to a session: find the route, let the client in, and dial a backend before anything is answered, so
//! that the answer is the backend's own.

mod attempt;
mod http1;
mod http2;
mod trace;

use crate::backend::LiveBackend;
use crate::body::AnswerBody;
use crate::dial::BackendStream;
use crate::fields::Fields;
use crate::forwarding::{self, Hop, Scheme};
use crate::live::{AmbiguousPath, LimitReached, LiveRoute, SessionPermit};
use crate::refusal::Refusal;
use crate::request::SessionRequest;
use crate::shared::Shared;
use attempt::AttemptError;
use bytes::{Bytes, BytesMut};
use heddle_route_config::{Route, TlsSecrets};
use heddle_telemetry::{ErrorChain, TraceParent};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub(crate) use trace::HandshakeTrace;

/// How long a client may take from its connection to the head of its request, TLS included. No route is known before.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) peer: SocketAddr,
    /// The port that it arrived at.
    pub(crate) port: u16,
    pub(crate) scheme: Scheme,
    /// By when the head of its first request must be there.
    pub(crate) head_deadline: Instant,
    /// The certificates that its port had then. Routes that ask for others are not for it: they may let in nobody without
    /// a certificate, and this client was not asked for one.
    pub(crate) tls: Option<TlsSecrets>,
    pub(crate) shared: Arc<Shared>,
}

/// A session that has only to be told to the client.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) stream: BackendStream,
    /// What the backend has sent beyond its answer.
    pub(crate) leftover: BytesMut,
    /// The fields of its answer that are meant for the client.
    pub(crate) fields: Fields,
    pub(crate) origin: SessionOrigin,
}

/// What is kept about the handshake while its session goes on.
#[derive(Debug)]
pub(crate) struct SessionOrigin {
    pub(crate) route: Arc<LiveRoute>,
    pub(crate) backend: Arc<LiveBackend>,
    pub(crate) client: IpAddr,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) began: Instant,
    pub(crate) _permit: SessionPermit,
}

/// What a client gets instead of a session.
#[derive(Debug)]
pub(crate) enum Declined {
    /// Our own answer.
    Refused(Refusal),
    /// The backend's answer. As long as it is relayed, it counts as a session: it has a connection to the backend.
    Answered(BackendAnswer, SessionPermit),
}

/// What backends have left a client with.
enum Unserved {
    Refused(Refusal),
    Answered(BackendAnswer),
}

/// An answer other than 101, of which the body is still to be read.
#[derive(Debug)]
pub(crate) struct BackendAnswer {
    pub(crate) status: u16,
    /// Empty in HTTP/2.
    pub(crate) reason: Bytes,
    /// Those that are meant for the client.
    pub(crate) fields: Fields,
    pub(crate) body: AnswerBody,
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Finds the route of a request and makes the handshake with one of its backends.
pub(crate) async fn establish(request: SessionRequest, arrival: &Arrival) -> Result<Established, Declined> {
    let shared = &arrival.shared;
    let route = find_route(&request, arrival).inspect_err(|refusal| shared.metrics.refused(*refusal))?;
    let trace = HandshakeTrace::begin(&request.fields, &route, arrival);
    let result = with_route(request, arrival, Arc::clone(&route), trace).await;
    match &result {
        Err(Declined::Refused(refusal)) => route.sessions.metrics.refused(*refusal),
        Err(Declined::Answered(..)) => {
            route.sessions.metrics.declined.inc();
        }
        Ok(_) => {}
    }
    result
}

fn find_route(request: &SessionRequest, arrival: &Arrival) -> Result<Arc<LiveRoute>, Refusal> {
    let routes = arrival.shared.routes();
    match routes.find(arrival.port, &request.host, &request.path, &request.fields) {
        Ok(Some(live)) if live.route.tls == arrival.tls => Ok(Arc::clone(live)),
        Ok(_) => Err(Refusal::RouteNotFound),
        Err(AmbiguousPath) => Err(Refusal::Malformed("the path can be read as one of another route")),
    }
}

async fn with_route(
    mut request: SessionRequest,
    arrival: &Arrival,
    route: Arc<LiveRoute>,
    trace: HandshakeTrace,
) -> Result<Established, Declined> {
    let began = Instant::now();
    check_origin(&request.fields, &route.route)?;
    let peer = arrival.peer.ip().to_canonical();
    let client = forwarding::client_address(&request.fields, peer, &route.route);
    let permit = route.admit(client).map_err(|limit| match limit {
        LimitReached::Route => Refusal::RouteFull,
        LimitReached::Client => Refusal::ClientFull,
    })?;
    let hop = Hop {
        peer,
        scheme: arrival.scheme,
        host: &request.host,
    };
    forwarding::rewrite(&mut request.fields, hop, &route.route);
    trace.continue_in(&mut request.fields);
    if route.route.transcoding.is_some() {
        // Compressed messages cannot be turned; nobody may agree on it.
        request.fields.remove("sec-websocket-extensions");
    }
    let deadline = began + route.route.timeouts.handshake;
    let (backend, switched) = match dial_one(&request, &route, &trace, deadline).await {
        Ok(served) => served,
        Err(Unserved::Refused(refusal)) => return Err(refusal.into()),
        Err(Unserved::Answered(answer)) => return Err(Declined::Answered(answer, permit)),
    };
    backend.metrics.sessions.inc();
    trace.established(&backend);
    let subprotocol = switched.fields.one("sec-websocket-protocol").ok().flatten();
    Ok(Established {
        origin: SessionOrigin {
            subprotocol: subprotocol.map(|name| String::from_utf8_lossy(name).into()),
            client,
            trace: trace.parent(),
            began,
            _permit: permit,
            backend,
            route,
        },
        stream: switched.stream,
        leftover: switched.leftover,
        fields: switched.fields,
    })
}

/// A request without `Origin` is no browser's, and nobody else is held by the rule.
fn check_origin(fields: &Fields, route: &Route) -> Result<(), Refusal> {
    if route.allowed_origins.is_empty() {
        return Ok(());
    }
    let origin = match fields.one("origin") {
        Ok(None) => return Ok(()),
        Ok(Some(origin)) => std::str::from_utf8(origin).map_err(|_| Refusal::Origin)?,
        Err(_) => return Err(Refusal::Origin),
    };
    match route
        .allowed_origins
        .iter()
        .any(|allowed| allowed.matches(origin))
    {
        true => Ok(()),
        false => Err(Refusal::Origin),
    }
}

/// Tries backends until one answers, as many as the route allows, and until `deadline`.
async fn dial_one(
    request: &SessionRequest,
    live: &LiveRoute,
    trace: &HandshakeTrace,
    deadline: Instant,
) -> Result<(Arc<LiveBackend>, attempt::Switched), Unserved> {
    let route = &live.route;
    let mut tried: Vec<Arc<LiveBackend>> = Vec::new();
    let mut last = Unserved::Refused(Refusal::BadGateway);
    while let Some(backend) = live.backends.pick(&tried).cloned() {
        if !tried.is_empty() {
            live.sessions.metrics.retries.inc();
        }
        let began = Instant::now();
        let result = match timeout_at(deadline, attempt::attempt(request, &backend, route)).await {
            Ok(result) => result,
            // Those that were tried before may have left it next to no time.
            Err(_) if began.elapsed() < route.timeouts.handshake / 2 => Err(AttemptError::OutOfTime),
            Err(_) => Err(AttemptError::NoAnswer),
        };
        let (may_retry, outcome) = judge(result, &backend, route, trace);
        match outcome {
            Ok(switched) => return Ok((backend, switched)),
            Err(unserved) => last = unserved,
        }
        tried.push(backend);
        if !may_retry || tried.len() > usize::from(route.retries) || Instant::now() >= deadline {
            break;
        }
    }
    Err(last)
}

/// What an attempt means: whether another backend may be tried, and what the client gets if none is.
fn judge(
    result: Result<attempt::Answer, AttemptError>,
    backend: &LiveBackend,
    route: &Route,
    trace: &HandshakeTrace,
) -> (bool, Result<attempt::Switched, Unserved>) {
    match result {
        Ok(attempt::Answer::Switched(switched)) => {
            backend.succeeded();
            (false, Ok(switched))
        }
        Ok(attempt::Answer::Declined(answer)) => {
            let is_failure = matches!(answer.status, 502..=504);
            match is_failure {
                true => backend.failed(route),
                false => backend.succeeded(),
            }
            (is_failure, Err(Unserved::Answered(answer)))
        }
        Err(error) => {
            if error.is_backends_fault() {
                backend.failed(route);
            }
            // The span is not entered for the whole handshake: that would cost more with each step than this line.
            tracing::warn!(
                parent: &trace.span(),
                route = %route.id,
                backend = backend.config.name,
                error = %ErrorChain(&error),
                "handshake with backend failed"
            );
            (error.may_retry(), Err(Unserved::Refused(error.refusal())))
        }
    }
}
