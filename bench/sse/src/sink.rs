//! A sink that acknowledges whatever it is sent at once, and keeps how old events were then.

use crate::apart::Apart;
use crate::event::Found;
use anyhow::{Context, Result};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running sink.
pub(crate) struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    pub(crate) thread: Apart,
}

#[derive(Default)]
struct State {
    found: Found,
    taken: Mutex<Taken>,
}

/// What was acknowledged in some time.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) requests: usize,
    /// Of each event, the nanoseconds from when the source sent it.
    pub(crate) ages: Vec<u64>,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listener = listener.into_std()?;
        let state = Arc::new(State::default());
        let of_thread = Arc::clone(&state);
        Ok(Self {
            address,
            state,
            thread: Apart::start("sink", async move {
                if let Err(error) = accept(listener, of_thread).await {
                    eprintln!("the sink has failed: {error:#}");
                }
            })?,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What was acknowledged since this was asked last.
    pub(crate) fn take(&self) -> Taken {
        std::mem::take(&mut self.state.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn accept(listener: std::net::TcpListener, state: Arc<State>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let state = Arc::clone(&state);
                let service = service_fn(move |request| answer(request, Arc::clone(&state)));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Some(ended) = connections.join_next() => ended?.context("a connection to the sink has failed")?,
        }
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Empty<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let ages = state.found.ages(&body)?;
    let mut taken = state.taken.lock().unwrap_or_else(PoisonError::into_inner);
    taken.requests += 1;
    taken.ages.extend(ages);
    drop(taken);
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
