//! A sink on loopback that remembers what it has acknowledged, and can be told to misbehave.
#![expect(clippy::unwrap_used, reason = "a sink that is sent nonsense stops the test")]

use super::source::lock;
use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::Rng;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running sink.
pub(crate) struct Sink {
    pub(crate) port: u16,
    state: Arc<State>,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    behaviour: Mutex<Behaviour>,
    acknowledged: Mutex<Vec<Event>>,
    requests: Mutex<Vec<HeaderMap>>,
    bodies: Mutex<Vec<Bytes>>,
    failures: AtomicU64,
}

/// A CloudEvent, whatever way it came.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) type_: String,
    pub(crate) source: String,
    pub(crate) data: String,
    pub(crate) traceparent: Option<String>,
    /// Of one in a dead letter.
    pub(crate) error: Option<String>,
}

/// What becomes of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour {
    /// The share that is answered with 503.
    pub(crate) fails: f64,
    /// What all are answered with.
    pub(crate) status: Option<u16>,
    /// Requests with this in their body are refused for good.
    pub(crate) poison: Option<String>,
    /// How long an answer takes.
    pub(crate) delay: Duration,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::default());
        let mut task = JoinSet::new();
        let of_task = Arc::clone(&state);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&of_task);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { Ok::<_, Infallible>(answer(request, &state).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Ok(Self {
            port,
            state,
            _task: task,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/sink", self.port)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *lock(&self.state.behaviour) = behaviour;
    }

    /// What it has acknowledged, in that order.
    pub(crate) fn acknowledged(&self) -> Vec<Event> {
        lock(&self.state.acknowledged).clone()
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.state.acknowledged).len()
    }

    pub(crate) fn requests(&self) -> Vec<HeaderMap> {
        lock(&self.state.requests).clone()
    }

    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        lock(&self.state.bodies).clone()
    }

    /// Requests that it failed.
    pub(crate) fn failures(&self) -> u64 {
        self.state.failures.load(Ordering::SeqCst)
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return status(StatusCode::BAD_REQUEST);
    };
    let body = body.to_bytes();
    let behaviour = lock(&state.behaviour).clone();
    tokio::time::sleep(behaviour.delay).await;
    let refusal = match &behaviour {
        Behaviour {
            status: Some(status), ..
        } => StatusCode::from_u16(*status).ok(),
        Behaviour {
            poison: Some(poison), ..
        } if String::from_utf8_lossy(&body).contains(poison) => Some(StatusCode::UNPROCESSABLE_ENTITY),
        Behaviour { fails, .. } if *fails > 0.0 && rand::rng().random_bool(*fails) => {
            Some(StatusCode::SERVICE_UNAVAILABLE)
        }
        _ => None,
    };
    if let Some(refusal) = refusal {
        state.failures.fetch_add(1, Ordering::SeqCst);
        return status(refusal);
    }
    let events = events(&head.headers, &body);
    lock(&state.requests).push(head.headers);
    lock(&state.bodies).push(body);
    lock(&state.acknowledged).extend(events);
    status(StatusCode::ACCEPTED)
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn events(headers: &HeaderMap, body: &[u8]) -> Vec<Event> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let type_ = header("content-type").unwrap_or_default();
    if type_ == "application/cloudevents-batch+json" {
        let events: Vec<Value> = serde_json::from_slice(body).unwrap();
        return events.iter().map(structured).collect();
    }
    if type_ == "application/cloudevents+json" {
        return vec![structured(&serde_json::from_slice(body).unwrap())];
    }
    vec![Event {
        id: header("ce-id").unwrap(),
        type_: header("ce-type").unwrap(),
        source: header("ce-source").unwrap(),
        data: String::from_utf8_lossy(body).into_owned(),
        traceparent: header("ce-traceparent"),
        error: header("ce-heddleerror"),
    }]
}

fn structured(event: &Value) -> Event {
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    assert_eq!(event["specversion"], "1.0");
    Event {
        id: text("id").unwrap(),
        type_: text("type").unwrap(),
        source: text("source").unwrap(),
        data: text("data").unwrap_or_else(|| event["data"].to_string()),
        traceparent: text("traceparent"),
        error: text("heddleerror"),
    }
}
