//! A source of server-sent events on loopback that keeps all of them, goes on after the id that a client names, and can be
//! told to misbehave.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The most bytes of a request.
const REQUEST_LIMIT: usize = 64 << 10;

/// Events that are written at once.
const WRITTEN_AT_ONCE: usize = 256;

/// A running source.
pub(crate) struct Source {
    pub(crate) port: u16,
    state: Arc<State>,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

struct State {
    /// Each with its id, which is its number from 1.
    events: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    open: AtomicUsize,
    drops: AtomicU64,
    spans: Mutex<Vec<Span>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// When a stream was open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) until: Option<Instant>,
}

/// What becomes of requests.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// The stream, which breaks after so many events.
    Stream { breaks_after: Option<u64> },
    /// These bytes, and then silence.
    Raw(Vec<u8>),
    /// These bytes, and then one byte more each time.
    Drip {
        head: Vec<u8>,
        byte: u8,
        every: Duration,
    },
}

impl Source {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            events: Mutex::default(),
            count: watch::channel(0).0,
            behaviour: Mutex::new(Behaviour::Stream { breaks_after: None }),
            requests: Mutex::default(),
            open: AtomicUsize::new(0),
            drops: AtomicU64::new(0),
            spans: Mutex::default(),
        });
        let mut task = JoinSet::new();
        let of_task = Arc::clone(&state);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&of_task);
                connections.spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Ok(Self {
            port,
            state,
            _task: task,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *lock(&self.state.behaviour) = behaviour;
    }

    /// Adds an event of type `message`. Its id.
    pub(crate) fn push(&self, data: &str) -> usize {
        self.push_all([data])
    }

    /// Adds events. The id of the last one.
    pub(crate) fn push_all<'a>(&self, data: impl IntoIterator<Item = &'a str>) -> usize {
        let mut events = lock(&self.state.events);
        for data in data {
            let id = events.len() + 1;
            events.push(format!("id: {id}\ndata: {data}\n\n"));
        }
        let count = events.len();
        drop(events);
        self.state.count.send_replace(count);
        count
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.state.requests).clone()
    }

    /// Streams that are open now.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Streams that it broke.
    pub(crate) fn drops(&self) -> u64 {
        self.state.drops.load(Ordering::SeqCst)
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        lock(&self.state.spans).clone()
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> Result<()> {
    let request = read(&mut stream).await?;
    let after = request.headers.get("last-event-id").cloned();
    lock(&state.requests).push(request);
    let behaviour = lock(&state.behaviour).clone();
    match behaviour {
        Behaviour::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            wait_for_end(&mut stream).await
        }
        Behaviour::Drip { head, byte, every } => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(every).await;
            }
        }
        Behaviour::Stream { breaks_after } => {
            state.open.fetch_add(1, Ordering::SeqCst);
            let index = {
                let mut spans = lock(&state.spans);
                spans.push(Span {
                    from: Instant::now(),
                    until: None,
                });
                spans.len() - 1
            };
            let written = write(&mut stream, state, after, breaks_after).await;
            lock(&state.spans)[index].until = Some(Instant::now());
            state.open.fetch_sub(1, Ordering::SeqCst);
            written
        }
    }
}

async fn wait_for_end(stream: &mut TcpStream) -> Result<()> {
    let mut bytes = [0; 64];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

async fn write(
    stream: &mut TcpStream,
    state: &State,
    after: Option<String>,
    breaks_after: Option<u64>,
) -> Result<()> {
    let mut next = match after {
        Some(id) => id.parse::<usize>().unwrap_or(0),
        None => lock(&state.events).len(),
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: welcome\n\n";
    stream.write_all(head.as_bytes()).await?;
    let mut count = state.count.subscribe();
    let mut written = 0_u64;
    loop {
        let text: String = {
            let events = lock(&state.events);
            let until = events.len().min(next + WRITTEN_AT_ONCE);
            let text = events.get(next..until).unwrap_or_default().concat();
            written += until.saturating_sub(next) as u64;
            next = next.max(until);
            text
        };
        if !text.is_empty() {
            stream.write_all(text.as_bytes()).await?;
            if breaks_after.is_some_and(|limit| written >= limit) {
                state.drops.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            continue;
        }
        let mut byte = [0];
        tokio::select! {
            changed = count.changed() => changed?,
            read = stream.read(&mut byte) => match read? {
                0 => return Ok(()),
                _ => continue,
            },
        }
    }
}

async fn read(stream: &mut TcpStream) -> Result<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        anyhow::ensure!(bytes.len() < REQUEST_LIMIT, "a request without an end");
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "no request");
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().context("a request line")?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(Ok(0), |length| length.parse())?;
    while bytes.len() < end + length {
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "half a body");
    }
    let body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
    Ok(Request { line, headers, body })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
