//! Answers probes and scrapes.

use crate::{Limits, Protocol, serve};
use bytes::Bytes;
use heddle_telemetry::{ErrorChain, MetricsRegistry, OPENMETRICS_CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A probe and a scraper need two connections; no peer gets all of them.
const LIMITS: Limits = Limits {
    first_request: Duration::from_secs(5),
    ..Limits::new(64, 16)
};

/// What a process says of itself.
pub trait Probes: Send + Sync + 'static {
    /// Why the process should be started anew, if it should.
    fn not_alive(&self) -> Option<String>;

    /// Why the process cannot do its work, if it cannot.
    fn not_ready(&self) -> Option<String>;

    /// What there is to say about a process that is ready, for people.
    fn state(&self) -> String {
        "ok".to_owned()
    }
}

/// Answers `/livez`, `/readyz` and `/metrics` until `stop` is cancelled.
pub async fn serve_probes(
    listener: TcpListener,
    probes: impl Probes,
    metrics: MetricsRegistry,
    stop: CancellationToken,
) {
    let state = Arc::new((probes, metrics));
    let service = move |request| {
        let state = Arc::clone(&state);
        async move { answer(&request, &state.0, &state.1) }
    };
    serve(listener, None, Protocol::Http1, LIMITS, service, stop).await;
}

fn answer<B>(request: &Request<B>, probes: &impl Probes, metrics: &MetricsRegistry) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood");
    }
    match request.uri().path() {
        "/livez" => probe(probes.not_alive(), || "ok".to_owned()),
        "/readyz" => probe(probes.not_ready(), || probes.state()),
        "/metrics" => scrape(metrics),
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics"),
    }
}

fn probe(trouble: Option<String>, state: impl FnOnce() -> String) -> Response<Full<Bytes>> {
    match trouble {
        None => text(StatusCode::OK, &state()),
        Some(trouble) => text(StatusCode::SERVICE_UNAVAILABLE, &trouble),
    }
}

fn scrape(metrics: &MetricsRegistry) -> Response<Full<Bytes>> {
    match metrics.encode() {
        Ok(body) => {
            let mut response = text(StatusCode::OK, &body);
            let type_ = HeaderValue::from_static(OPENMETRICS_CONTENT_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, type_);
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &ErrorChain(&error).to_string()),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    let type_ = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, type_);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    struct Starting;

    impl Probes for Starting {
        fn not_alive(&self) -> Option<String> {
            None
        }

        fn not_ready(&self) -> Option<String> {
            Some("there is no configuration yet".into())
        }
    }

    #[tokio::test]
    async fn a_process_that_lives_and_is_not_ready_says_why() {
        let metrics = MetricsRegistry::new("test", "1");
        let ask = async |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let response = answer(&request, &Starting, &metrics);
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(ask(Method::GET, "/livez").await, (200, "ok".into()));
        let (status, why) = ask(Method::GET, "/readyz").await;
        assert_eq!((status, why.as_str()), (503, "there is no configuration yet"));
        assert!(ask(Method::GET, "/metrics").await.1.ends_with("# EOF\n"));
        assert_eq!(ask(Method::GET, "/").await.0, 404);
        assert_eq!(ask(Method::POST, "/livez").await.0, 405);
    }
}
