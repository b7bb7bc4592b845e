//! A source of events: `/flood` sends as many as are taken, `/rate/<n>` so many a second, and `/idle` none.

use crate::apart::Apart;
use crate::event::{self, BYTES};
use crate::process::nanoseconds;
use anyhow::{Context, Result, bail, ensure};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is written at once where there is no rate to keep.
const WRITTEN_BYTES: usize = 64 << 10;
/// How often it is looked which events are due: as often as a timer can.
const PERIOD: Duration = Duration::from_millis(1);
/// The longest request that is read.
const REQUEST_LIMIT: usize = 16 << 10;

/// A running source.
pub(crate) struct Source {
    address: SocketAddr,
    state: Arc<State>,
    pub(crate) thread: Apart,
}

#[derive(Default)]
struct State {
    events: AtomicU64,
    open: AtomicUsize,
}

impl Source {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listener = listener.into_std()?;
        let state = Arc::new(State::default());
        let of_thread = Arc::clone(&state);
        Ok(Self {
            address,
            state,
            thread: Apart::start("source", async move {
                if let Err(error) = accept(listener, of_thread).await {
                    eprintln!("the source has failed: {error:#}");
                }
            })?,
        })
    }

    /// Where events are asked for; `path` says which.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Streams that are open now.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }
}

async fn accept(listener: std::net::TcpListener, state: Arc<State>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let state = Arc::clone(&state);
                streams.spawn(async move { serve(stream, &state).await });
            }
            // That a reader goes away is how each of them ends.
            Some(_) = streams.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    let path = read(&mut stream).await?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: welcome\n\n";
    stream.write_all(head.as_bytes()).await?;
    state.open.fetch_add(1, Ordering::SeqCst);
    let sent = send(&mut stream, &path, state).await;
    state.open.fetch_sub(1, Ordering::SeqCst);
    sent
}

async fn send(stream: &mut TcpStream, path: &str, state: &State) -> Result<()> {
    match path.strip_prefix("/rate/") {
        Some(rate) => keep_rate(stream, rate.parse()?, state).await,
        None if path == "/flood" => flood(stream, state).await,
        None => wait_for_end(stream).await,
    }
}

fn write_events(text: &mut String, count: usize, state: &State) -> Result<()> {
    text.clear();
    let now = nanoseconds()?;
    for _ in 0..count {
        event::write(text, 1 + state.events.fetch_add(1, Ordering::Relaxed), now);
    }
    Ok(())
}

async fn flood(stream: &mut TcpStream, state: &State) -> Result<()> {
    let mut text = String::with_capacity(WRITTEN_BYTES);
    loop {
        write_events(&mut text, WRITTEN_BYTES / BYTES, state)?;
        stream.write_all(text.as_bytes()).await?;
    }
}

async fn keep_rate(stream: &mut TcpStream, rate: f64, state: &State) -> Result<()> {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(PERIOD);
    let (mut text, mut sent) = (String::new(), 0);
    loop {
        ticks.tick().await;
        let due = (started.elapsed().as_secs_f64() * rate) as usize;
        write_events(&mut text, due - sent, state)?;
        stream.write_all(text.as_bytes()).await?;
        sent = due;
    }
}

async fn wait_for_end(stream: &mut TcpStream) -> Result<()> {
    let mut bytes = [0; 64];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// Reads a request without a body; what it asks for.
async fn read(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        ensure!(bytes.len() < REQUEST_LIMIT, "a request is too long");
        if stream.read_buf(&mut bytes).await? == 0 {
            bail!("a request has no end");
        }
    }
    let text = String::from_utf8(bytes).context("a request is not text")?;
    let path = text.split(' ').nth(1).context("a request has no path")?;
    Ok(path.to_owned())
}
