//! The admission webhook: gives pods that routes select their sidecar, and refuses WsRoutes that cannot work. Every replica
//! serves it.

mod inflight;
mod inject;
mod review;
mod routes;
mod validate;

use crate::certificates::Serving;
use crate::metrics::Metrics;
use bytes::Bytes;
use heddle_http_server::{Limits, Protocol};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use review::Review;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use inflight::InFlight;
pub(crate) use inject::SidecarSettings;
pub(crate) use routes::{Routes, follow};

/// Where pods are reviewed.
const PODS_PATH: &str = "/mutate/pods";

/// Where WsRoutes are.
const WS_ROUTES_PATH: &str = "/validate/wsroutes";

/// Where SseSubscriptions are.
const SSE_SUBSCRIPTIONS_PATH: &str = "/validate/ssesubscriptions";

const PATHS: [&str; 3] = [PODS_PATH, WS_ROUTES_PATH, SSE_SUBSCRIPTIONS_PATH];

/// API servers make a connection for each review that is under way, and may all come from one address. A connection that
/// is closed at ten minutes lets them spread over the replicas anew.
const LIMITS: Limits = Limits::new(1024, 256);

/// The most bytes of a review: two objects of the size that the API stores, and some more.
const BODY_LIMIT: usize = 8 << 20;

/// How long a review may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What is answered from.
pub(crate) struct Webhook {
    pub(crate) routes: Routes,
    pub(crate) sidecar: SidecarSettings,
    /// The authorities that sidecars trust, in PEM.
    pub(crate) trust_bundle: watch::Receiver<Arc<str>>,
    pub(crate) metrics: Metrics,
    pub(crate) in_flight: InFlight,
}

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    serving: Serving,
    webhook: Webhook,
    stop: CancellationToken,
) -> Result<(), rustls::Error> {
    let tls = serving.server_config()?;
    let webhook = Arc::new(webhook);
    let service = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { answer(request, &webhook).await }
    };
    heddle_http_server::serve(listener, Some(tls), Protocol::Either, LIMITS, service, stop).await;
    Ok(())
}

async fn answer(request: Request<Incoming>, webhook: &Webhook) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if request.method() != Method::POST || !PATHS.contains(&path.as_str()) {
        return text(
            StatusCode::NOT_FOUND,
            "there are reviews of pods, WsRoutes and SseSubscriptions",
        );
    }
    // Held until there is an answer.
    let Some(_room) = webhook.in_flight.room(request.body()).await else {
        webhook.metrics.count_review(name(&path), "too_many");
        return too_many();
    };
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect();
    let review = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => serde_json::from_slice::<Review>(&body.to_bytes()),
        _ => return text(StatusCode::BAD_REQUEST, "the review did not arrive"),
    };
    let request = match review {
        Ok(Review { request }) => request,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("no review: {error}")),
    };
    let verdict = match path.as_str() {
        // An API server that is refused an answer does as the failure policy says, which is better than a pod that
        // was let through for want of knowledge.
        PODS_PATH if !webhook.routes.is_complete() || webhook.trust_bundle.borrow().is_empty() => {
            webhook.metrics.count_review(name(&path), "not_ready");
            return text(StatusCode::SERVICE_UNAVAILABLE, "the routes are not known yet");
        }
        PODS_PATH => {
            let bundle = webhook.trust_bundle.borrow().clone();
            inject::review(&request, &webhook.routes, &webhook.sidecar, &bundle)
        }
        SSE_SUBSCRIPTIONS_PATH => validate::review_sse_subscription(&request),
        _ => validate::review_ws_route(&request, webhook.sidecar.admin_port),
    };
    webhook.metrics.count_review(name(&path), verdict.outcome());
    let mut response = text(StatusCode::OK, &verdict.to_json(&request.uid));
    let type_ = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, type_);
    response
}

/// What a webhook is called in metrics.
fn name(path: &str) -> &'static str {
    match path {
        PODS_PATH => "pods",
        SSE_SUBSCRIPTIONS_PATH => "ssesubscriptions",
        _ => "wsroutes",
    }
}

/// API servers ask again after that, as long as the webhook's timeout lets them.
fn too_many() -> Response<Full<Bytes>> {
    let mut response = text(
        StatusCode::TOO_MANY_REQUESTS,
        "there are too many reviews under way",
    );
    let after = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, after);
    response
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
}
