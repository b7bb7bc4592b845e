//! The admission webhook: gives pods that routes select their sidecar, and refuses WsRoutes that cannot work. Every replica
//! serves it.

mod inject;
mod review;
mod routes;
mod validate;

use crate::certificates::Serving;
use crate::metrics::Metrics;
use crate::tls_server;
use bytes::Bytes;
use heddle_telemetry::ErrorChain;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use review::Review;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

pub(crate) use inject::SidecarSettings;
pub(crate) use routes::{Routes, follow};

/// Where pods are reviewed.
const PODS_PATH: &str = "/mutate/pods";

/// Where WsRoutes are.
const WS_ROUTES_PATH: &str = "/validate/wsroutes";

/// How many connections are served at the same time: API servers keep a few.
const CONNECTION_LIMIT: usize = 256;

/// The most bytes of a review: two objects of the size that the API stores, and some more.
const BODY_LIMIT: usize = 8 << 20;

/// How long a review may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What is answered from.
pub(crate) struct Webhook {
    pub(crate) routes: Routes,
    pub(crate) sidecar: SidecarSettings,
    /// The authorities that sidecars trust, in PEM.
    pub(crate) trust_bundle: watch::Receiver<Arc<str>>,
    pub(crate) metrics: Metrics,
}

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    serving: Serving,
    webhook: Webhook,
    stop: CancellationToken,
) -> Result<(), rustls::Error> {
    let config = serving.server_config(&["h2", "http/1.1"])?;
    let webhook = Arc::new(webhook);
    let converse = |stream, stop| converse(stream, Arc::clone(&webhook), stop);
    tls_server::serve(listener, config, CONNECTION_LIMIT, stop, converse).await;
    Ok(())
}

async fn converse(stream: TlsStream<TcpStream>, webhook: Arc<Webhook>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let webhook = Arc::clone(&webhook);
        async move { Ok::<_, Infallible>(answer(request, &webhook).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %ErrorChain(&*error), "connection of an API server broke");
    }
}

async fn answer(request: Request<Incoming>, webhook: &Webhook) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if request.method() != Method::POST || ![PODS_PATH, WS_ROUTES_PATH].contains(&path.as_str()) {
        return text(StatusCode::NOT_FOUND, "there are reviews of pods and of WsRoutes");
    }
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect();
    let review = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => serde_json::from_slice::<Review>(&body.to_bytes()),
        _ => return text(StatusCode::BAD_REQUEST, "the review did not arrive"),
    };
    let request = match review {
        Ok(Review { request }) => request,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("no review: {error}")),
    };
    let (webhook_name, verdict) = match path.as_str() {
        // An API server that is refused an answer does as the failure policy says, which is better than a pod that
        // was let through for want of knowledge.
        PODS_PATH if !webhook.routes.is_complete() || webhook.trust_bundle.borrow().is_empty() => {
            webhook.metrics.count_review("pods", "not_ready");
            return text(StatusCode::SERVICE_UNAVAILABLE, "the routes are not known yet");
        }
        PODS_PATH => {
            let bundle = webhook.trust_bundle.borrow().clone();
            let verdict = inject::review(&request, &webhook.routes, &webhook.sidecar, &bundle);
            ("pods", verdict)
        }
        _ => ("wsroutes", validate::review(&request)),
    };
    webhook.metrics.count_review(webhook_name, verdict.outcome());
    let mut response = text(StatusCode::OK, &verdict.to_json(&request.uid));
    let type_ = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, type_);
    response
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
}
