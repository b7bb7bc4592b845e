//! The server of the configuration stream, run by the leader: sidecars connect, prove which pod they are in, and get what
//! that pod should have whenever it changes. Other replicas ask at the same port for messages to be relayed to sidecars.

mod authenticate;
mod broadcast;
mod endpoint;
mod replicas;
mod session;
mod sidecars;

use crate::certificates::Serving;
use authenticate::Authenticator;
use bytes::Bytes;
use heddle_http_server::{Limits, Protocol};
use heddle_route_config::protocol::{CONTENT_TYPE, PATH};
use heddle_telemetry::ErrorChain;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use kube::Client;
use session::Session;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use broadcast::{Reached, Relay, Unreached};
pub(crate) use endpoint::point_here;
pub(crate) use replicas::{BROADCASTS_AUDIENCE, BROADCASTS_PATH};
#[cfg(test)]
pub(crate) use sidecars::Acknowledged;
pub(crate) use sidecars::{
    Audience, Descriptors, Desired, Member, ObservedSidecar, PodId, Presence, Sidecars,
};

/// How many sidecars may be connected, all in all and from one address: those of a node may come from the node's. A
/// sidecar needs one stream, whose age is limited by itself; a replica has one for each broadcast under way.
const LIMITS: Limits = Limits {
    streams: 32,
    idle: Duration::from_secs(30),
    age: None,
    ..Limits::new(20_000, 1_000)
};

/// Where the stream is served.
#[derive(Clone, Debug)]
pub(crate) struct ConfigStreamSettings {
    pub(crate) listen: SocketAddr,
    /// The Service that sidecars reach it by, in the operator's namespace, and this pod's address. Absent outside of a
    /// cluster.
    pub(crate) service: Option<ServiceSettings>,
    /// A token by which this replica proves to the leader that it is one, and the leader knows whose tokens those are.
    /// Absent outside of a cluster.
    pub(crate) broadcast_token_file: Option<PathBuf>,
}

/// A Service without selector, whose endpoint is the leader.
#[derive(Clone, Debug)]
pub(crate) struct ServiceSettings {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod_name: String,
    pub(crate) pod_address: IpAddr,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

struct Shared {
    authenticator: Authenticator,
    relay: Relay,
}

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    client: Client,
    serving: Serving,
    token_file: Option<PathBuf>,
    relay: Relay,
    stop: CancellationToken,
) -> Result<(), rustls::Error> {
    let tls = serving.server_config()?;
    let shared = Arc::new(Shared {
        authenticator: Authenticator::new(client, token_file),
        relay,
    });
    let of_sessions = stop.clone();
    let service = move |request| {
        let (shared, stop) = (Arc::clone(&shared), of_sessions.clone());
        async move { answer(request, &shared, stop).await }
    };
    heddle_http_server::serve(listener, Some(tls), Protocol::Http2, LIMITS, service, stop).await;
    Ok(())
}

async fn answer(request: Request<Incoming>, shared: &Shared, stop: CancellationToken) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::POST, PATH) => {}
        (&Method::POST, BROADCASTS_PATH) => return replicas::answer(request, shared).await,
        _ => return text(StatusCode::NOT_FOUND, "there is POST of the configuration stream"),
    }
    let pod = match shared.authenticator.pod(request.headers()).await {
        Ok(pod) => pod,
        Err(refusal) => {
            shared.relay.metrics.count_sidecar_refused(refusal.class());
            tracing::warn!(error = %ErrorChain(&refusal), "sidecar refused");
            return text(refusal.status(), &refusal.to_string());
        }
    };
    let session = Session::new(
        pod,
        request.into_body(),
        shared.relay.sidecars.clone(),
        shared.relay.metrics.clone(),
        stop,
    );
    let mut response = Response::new(session.into_body().boxed_unsync());
    let type_ = HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, type_);
    response
}

fn text(status: StatusCode, body: &str) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}
