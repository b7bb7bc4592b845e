//! The HTTP side of the service.

use crate::parameters::{Command, Parameters};
use crate::subscription::{MAX_COMMANDS, Subscription};
use anyhow::{Context, Result};
use bytes::Bytes;
use heddle_sse_client::Client;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// What the tests may ask for.
const CAPABILITIES: [&str; 11] = [
    "bom",
    "comments",
    "event-type-listeners",
    "headers",
    "last-event-id",
    "payload-size-stress-testable",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
];

/// How large a request of the harness may be.
const MAX_BODY_BYTES: usize = 16 << 20;

struct Service {
    client: Client,
    state: Mutex<State>,
    stop: Notify,
}

#[derive(Default)]
struct State {
    /// Dropped, a sender ends its stream.
    streams: HashMap<String, mpsc::Sender<Command>>,
    opened: u64,
    tasks: JoinSet<()>,
}

/// Serves until it is told to stop.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let service = Arc::new(Service {
        client: Client::new()?,
        state: Mutex::default(),
        stop: Notify::new(),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("failed to accept a connection")?;
                let service = service.clone();
                connections.spawn(async move {
                    let handler = service_fn(|request| service.respond(request));
                    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await {
                        eprintln!("failed to serve the harness: {error}");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
            () = service.stop.notified() => return Ok(()),
        }
    }
}

impl Service {
    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let response = match (request.method().clone(), path.as_str()) {
            (Method::GET, "/") => capabilities(),
            (Method::DELETE, "/") => {
                self.stop.notify_one();
                empty(StatusCode::NO_CONTENT)
            }
            (Method::POST, "/") => match read(request).await {
                Ok(parameters) => self.open(&parameters),
                Err(error) => refused(&error),
            },
            (Method::DELETE, path) => match self.lock().streams.remove(path) {
                Some(_) => empty(StatusCode::NO_CONTENT),
                None => empty(StatusCode::NOT_FOUND),
            },
            (Method::POST, path) => match read(request).await {
                Ok(command) => self.command(path, command).await,
                Err(error) => refused(&error),
            },
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        };
        Ok(response)
    }

    fn open(&self, parameters: &Parameters) -> Response<Full<Bytes>> {
        let subscription = match Subscription::new(&self.client, parameters) {
            Ok(subscription) => subscription,
            Err(error) => return refused(&error),
        };
        let (sender, commands) = mpsc::channel(MAX_COMMANDS);
        let mut state = self.lock();
        state.opened += 1;
        let path = format!("/streams/{}", state.opened);
        state.streams.insert(path.clone(), sender);
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn(subscription.run(commands));
        let mut response = empty(StatusCode::CREATED);
        response
            .headers_mut()
            .extend(path.parse().map(|path| (LOCATION, path)));
        response
    }

    async fn command(&self, path: &str, command: Command) -> Response<Full<Bytes>> {
        let sender = self.lock().streams.get(path).cloned();
        match sender {
            Some(sender) if sender.send(command).await.is_ok() => empty(StatusCode::ACCEPTED),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    serde_json::from_slice(&body).context("failed to read the request")
}

fn capabilities() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(json!({"capabilities": CAPABILITIES}).to_string()));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

fn refused(error: &anyhow::Error) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{error:#}\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
