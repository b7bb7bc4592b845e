//! Answers probes and scrapes over HTTP.

use crate::health::Health;
use bytes::Bytes;
use heddle_telemetry::{ErrorChain, MetricsRegistry, OPENMETRICS_CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many connections are served at the same time; a probe and a scraper need two.
const CONNECTION_LIMIT: usize = 64;

/// How long a client may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one connection lives.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What is answered from.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) health: Health,
    pub(crate) metrics: MetricsRegistry,
}

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(listener: TcpListener, answers: Arc<Answers>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(&listener, &permits) => {
                let Some((stream, permit)) = accepted else { continue };
                let answers = Arc::clone(&answers);
                connections.spawn(async move {
                    tokio::time::timeout(CONNECTION_TIMEOUT, converse(stream, answers)).await.ok();
                    drop(permit);
                });
            }
        }
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    /// What follows a failed accept, which is out of file descriptors more often than not.
    const PAUSE: Duration = Duration::from_millis(100);
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(error = %ErrorChain(&error), "failed to accept a connection");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

async fn converse(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(|request| {
        let response = answer(&request, &answers);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(error = %ErrorChain(&error), "connection broke");
    }
}

fn answer(request: &Request<Incoming>, answers: &Answers) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood");
    }
    match request.uri().path() {
        // Whoever can answer is alive.
        "/livez" => probe(None),
        "/readyz" => probe(answers.health.not_ready()),
        "/metrics" => metrics(&answers.metrics),
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics"),
    }
}

fn probe(trouble: Option<&str>) -> Response<Full<Bytes>> {
    match trouble {
        None => text(StatusCode::OK, "ok"),
        Some(trouble) => text(StatusCode::SERVICE_UNAVAILABLE, trouble),
    }
}

fn metrics(registry: &MetricsRegistry) -> Response<Full<Bytes>> {
    match registry.encode() {
        Ok(body) => {
            let mut response = text(StatusCode::OK, &body);
            let type_ = http::HeaderValue::from_static(OPENMETRICS_CONTENT_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, type_);
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &ErrorChain(&error).to_string()),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    let type_ = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, type_);
    response
}
