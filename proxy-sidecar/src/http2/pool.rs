//! Connections to one backend that sessions share, a few for each thread.

use super::{
    CONNECTION_WINDOW, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, SEND_BUFFER, STREAM_WINDOW, TrackedExecutor,
};
use crate::backend::LiveBackend;
use crate::dial::{self, DialError};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How long a backend may take to say that it takes extended CONNECT: with the first that it sends.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks for that.
const SETTINGS_PAUSE: Duration = Duration::from_millis(1);

type Sender = SendRequest<Empty<Bytes>>;

/// The HTTP/2 connections to a backend. Each belongs to the thread that opened it.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    connections: Mutex<HashMap<ThreadId, Vec<Connection>>>,
    tasks: TaskTracker,
}

/// What the backend lets us do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Settings {
    extended_connect: bool,
    /// The most streams at the same time.
    streams: usize,
}

#[derive(Clone, Debug)]
struct Connection {
    sender: Sender,
    settings: watch::Receiver<Settings>,
    /// Streams that are open or about to be.
    streams: Arc<AtomicUsize>,
}

/// The right to open one stream, or to have it open.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Connection,
}

/// A stream's bytes, with the right to have it open.
#[derive(Debug)]
pub(crate) struct Held<T> {
    io: T,
    _stream: Stream,
}

impl Pool {
    /// Room for a stream, on a connection that has some or on a new one.
    pub(crate) async fn stream(&self, backend: &LiveBackend) -> Result<Stream, DialError> {
        if let Some(stream) = self.with_room() {
            return Ok(stream);
        }
        let connection = self.open(backend).await?;
        let stream = Stream::reserve(&connection).ok_or(DialError::NoExtendedConnect)?;
        self.lock()
            .entry(thread::current().id())
            .or_default()
            .push(connection);
        Ok(stream)
    }

    fn with_room(&self) -> Option<Stream> {
        let mut connections = self.lock();
        let own = connections.get_mut(&thread::current().id())?;
        own.retain(|connection| !connection.sender.is_closed());
        own.iter().find_map(Stream::reserve)
    }

    async fn open(&self, backend: &LiveBackend) -> Result<Connection, DialError> {
        let stream = dial::connect(backend).await?;
        let (sender, driver) = http2::Builder::new(TrackedExecutor(self.tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(DialError::Http2)?;
        let (changed, mut settings) = watch::channel(Settings::default());
        let mut driver = Box::pin(driver);
        let mut looks = tokio::time::interval(SETTINGS_PAUSE);
        // Its end is seen by the sender, which then says that it is closed.
        self.tasks.spawn(poll_fn(move |context| {
            let polled = driver.as_mut().poll(context);
            let now = Settings {
                extended_connect: driver.is_extended_connect_protocol_enabled(),
                streams: driver.current_max_send_streams(),
            };
            changed.send_if_modified(|known| std::mem::replace(known, now) != now);
            // Settings arrive in a task of hyper's own, which wakes nobody here; requests do later on.
            while !now.extended_connect && polled.is_pending() && looks.poll_tick(context).is_ready() {}
            polled.map(drop)
        }));
        let enabled = settings.wait_for(|settings| settings.extended_connect);
        if !matches!(timeout(SETTINGS_TIMEOUT, enabled).await, Ok(Ok(_))) {
            return Err(DialError::NoExtendedConnect);
        }
        Ok(Connection {
            sender,
            settings,
            streams: Arc::default(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ThreadId, Vec<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn reserve(connection: &Connection) -> Option<Self> {
        let most = connection.settings.borrow().streams;
        connection
            .streams
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .ok()?;
        Some(Self {
            connection: connection.clone(),
        })
    }

    pub(crate) async fn send(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.connection.sender.send_request(request).await
    }

    /// Keeps the stream's place as long as its bytes flow.
    pub(crate) fn hold<T>(self, io: T) -> Held<T> {
        Held { io, _stream: self }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Held<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Held<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
