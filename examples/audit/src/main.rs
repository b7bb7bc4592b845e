//! A sink for SseSubscriptions: writes each CloudEvent that it is sent to standard output as a line of JSON, and
//! acknowledges it then. One that comes again is known by its id.

mod event;
mod seen;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use heddle_http_server::{Limits, Protocol};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use seen::Seen;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Connections at the same time, and those of one peer.
const CONNECTIONS: usize = 100;
/// The most bytes of a request's body.
const BODY_LIMIT: usize = 8 << 20;

/// A sink for SseSubscriptions that writes each event down once.
#[derive(Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

type Answer = Response<Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Before anybody can connect, so that no signal is missed; as process 1 nobody else would handle it.
    let mut terminated = signal(SignalKind::terminate()).context("failed to listen for signals")?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))?;
    write(&[json!({ "message": "listening", "address": listener.local_addr()?.to_string() })])?;
    let stop = CancellationToken::new();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let serving = heddle_http_server::serve(
        listener,
        None,
        Protocol::Http1,
        Limits::new(CONNECTIONS, CONNECTIONS),
        move |request| answer(Arc::clone(&seen), request),
        stop.clone(),
    );
    let stopping = async {
        terminated.recv().await;
        stop.cancel();
    };
    tokio::join!(serving, stopping);
    Ok(())
}

async fn answer(seen: Arc<Mutex<Seen>>, request: Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => plain(StatusCode::OK, "ok\n"),
        (&Method::POST, "/events") => take(&seen, request).await,
        _ => plain(StatusCode::NOT_FOUND, "CloudEvents are posted to /events\n"),
    }
}

async fn take(seen: &Mutex<Seen>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "at most 8 MiB at once\n");
    };
    let Some(events) = event::read(&head.headers, &body.to_bytes()) else {
        return plain(StatusCode::BAD_REQUEST, "this is no CloudEvent\n");
    };
    match write(&lines(seen, events)) {
        // What is acknowledged is not sent again, so not before it is written.
        Ok(()) => plain(StatusCode::NO_CONTENT, ""),
        Err(error) => {
            eprintln!("{error:#}");
            plain(StatusCode::SERVICE_UNAVAILABLE, "nothing can be written now\n")
        }
    }
}

fn lines(seen: &Mutex<Seen>, events: Vec<Value>) -> Vec<Value> {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let line = |event: Value| match seen.is_new(&event) {
        true => json!({ "message": "event", "event": event }),
        false => json!({ "message": "event seen before", "source": event["source"], "id": event["id"] }),
    };
    events.into_iter().map(line).collect()
}

fn write(lines: &[Value]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(output, "{line}"));
    written
        .and_then(|()| output.flush())
        .context("failed to write to standard output")
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer
}
