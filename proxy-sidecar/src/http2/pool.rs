//! Connections to one backend that sessions share, a few for each thread.

use super::streams::{OpenStream, Streams};
use super::{
    CONNECTION_WINDOW, GOODBYE_TIMEOUT, IDLE_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, SEND_BUFFER,
    STREAM_LIMIT, STREAM_WINDOW, TrackedExecutor,
};
use crate::backend::LiveBackend;
use crate::dial::{self, DialError};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use heddle_ws_session::Transport;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

/// How long a backend may take to say that it takes extended CONNECT: with the first that it sends.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks for that.
const SETTINGS_PAUSE: Duration = Duration::from_millis(1);

type Sender = SendRequest<Empty<Bytes>>;

/// The HTTP/2 connections to a backend. Each belongs to the thread that opened it.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    threads: Arc<Threads>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Threads(Mutex<HashMap<ThreadId, Own>>);

/// What a thread has.
#[derive(Debug, Default)]
struct Own {
    connections: Vec<Arc<Connection>>,
    /// At most one at a time, however many wait for it.
    opening: Option<Opening>,
}

type Opening = Shared<BoxFuture<'static, Result<(), Arc<DialError>>>>;

/// What the backend lets us do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Settings {
    extended_connect: bool,
    /// The most streams at the same time.
    streams: usize,
}

#[derive(Debug)]
struct Connection {
    sender: Sender,
    settings: watch::Receiver<Settings>,
    /// Those that are open or about to be. They are opened under the lock of [`Threads`].
    streams: Streams,
}

/// The right to open one stream, or to have it open.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Arc<Connection>,
    _open: OpenStream,
}

/// A stream's bytes, with the right to have it open.
#[derive(Debug)]
pub(crate) struct Held<T> {
    io: T,
    _stream: Stream,
}

impl Pool {
    /// Room for a stream of `backend`, whose pool this is, on a connection that has some or on a new one. That is opened
    /// within `limit`, and once for all who come meanwhile.
    pub(crate) async fn stream(
        &self,
        backend: &Arc<LiveBackend>,
        limit: Duration,
    ) -> Result<Stream, DialError> {
        loop {
            let opening = {
                let mut threads = self.threads.lock();
                let own = threads.entry(thread::current().id()).or_default();
                if let Some(stream) = own.stream() {
                    return Ok(stream);
                }
                let begin = || self.begin(Arc::clone(backend), limit);
                own.opening.get_or_insert_with(begin).clone()
            };
            opening.await.map_err(DialError::Shared)?;
        }
    }

    /// Opens a connection in a task of its own: whoever waits for it may go away.
    fn begin(&self, backend: Arc<LiveBackend>, limit: Duration) -> Opening {
        let thread = thread::current().id();
        let opening = self.tasks.spawn(async move {
            let pool = &backend.pool;
            let opened = timeout(limit, pool.open(&backend)).await;
            let mut threads = pool.threads.lock();
            let own = threads.entry(thread).or_default();
            own.opening = None;
            own.connections.push(opened.unwrap_or(Err(DialError::Timeout))?);
            Ok(())
        });
        // It does not come to its end only where the thread does not either.
        let opened = opening.map(|joined| joined.unwrap_or(Err(DialError::Timeout)).map_err(Arc::new));
        opened.boxed().shared()
    }

    async fn open(&self, backend: &LiveBackend) -> Result<Arc<Connection>, DialError> {
        let stream = dial::connect(backend).await?;
        let (sender, driver) = http2::Builder::new(TrackedExecutor(self.tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(DialError::Http2)?;
        let (changed, mut settings) = watch::channel(Settings::default());
        let connection = Arc::new(Connection {
            sender,
            settings: settings.clone(),
            streams: Streams::default(),
        });
        let mut driver = Box::pin(driver);
        let mut looks = tokio::time::interval(SETTINGS_PAUSE);
        let driver = poll_fn(move |context| {
            let polled = driver.as_mut().poll(context);
            let now = Settings {
                extended_connect: driver.is_extended_connect_protocol_enabled(),
                streams: driver.current_max_send_streams().min(STREAM_LIMIT as usize),
            };
            changed.send_if_modified(|known| std::mem::replace(known, now) != now);
            // Settings arrive in a task of hyper's own, which wakes nobody here; requests do later on.
            while !now.extended_connect && polled.is_pending() && looks.poll_tick(context).is_ready() {}
            polled.map(drop)
        });
        self.tasks.spawn(drive(
            driver,
            Arc::downgrade(&self.threads),
            Arc::downgrade(&connection),
            connection.streams.clone(),
        ));
        let enabled = settings.wait_for(|settings| settings.extended_connect);
        match timeout(SETTINGS_TIMEOUT, enabled).await {
            Ok(Ok(settings)) if settings.streams > 0 => {}
            _ => return Err(DialError::NoExtendedConnect),
        }
        Ok(connection)
    }

    /// Opens no more streams on the connection of this one.
    pub(crate) fn retire(&self, stream: &Stream) {
        self.threads.forget(&Arc::downgrade(&stream.connection));
    }
}

/// Has a connection do its work, until it ends or has had no stream for long.
async fn drive(
    driver: impl Future<Output = ()>,
    threads: Weak<Threads>,
    connection: Weak<Connection>,
    streams: Streams,
) {
    let mut driver = std::pin::pin!(driver);
    tokio::select! {
        () = &mut driver => {
            if let Some(threads) = threads.upgrade() {
                threads.forget(&connection);
            }
        }
        () = retire_when_idle(&threads, &connection, &streams) => {
            // Without anybody who could send on it, it closes.
            timeout(GOODBYE_TIMEOUT, driver).await.ok();
        }
    }
}

/// Takes a connection out of its pool when it has had no stream for long.
async fn retire_when_idle(threads: &Weak<Threads>, connection: &Weak<Connection>, streams: &Streams) {
    loop {
        streams.idle(Instant::now() + IDLE_TIMEOUT, IDLE_TIMEOUT).await;
        // A pool that is gone has given it up already.
        let Some(threads) = threads.upgrade() else { return };
        let mut locked = threads.lock();
        if streams.are_none() {
            forget(&mut locked, connection);
            return;
        }
    }
}

impl Threads {
    fn forget(&self, connection: &Weak<Connection>) {
        forget(&mut self.lock(), connection);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Own>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(threads: &mut HashMap<ThreadId, Own>, connection: &Weak<Connection>) {
    for own in threads.values_mut() {
        own.connections
            .retain(|each| !std::ptr::eq(Arc::as_ptr(each), connection.as_ptr()));
    }
}

impl Own {
    fn stream(&mut self) -> Option<Stream> {
        self.connections
            .retain(|connection| !connection.sender.is_closed());
        self.connections.iter().find_map(Stream::reserve)
    }
}

impl Stream {
    fn reserve(connection: &Arc<Connection>) -> Option<Self> {
        let most = connection.settings.borrow().streams;
        Some(Self {
            _open: connection.streams.open_within(most)?,
            connection: Arc::clone(connection),
        })
    }

    pub(crate) async fn send(&self, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.connection.sender.clone().send_request(request).await
    }

    /// Keeps the stream's place as long as its bytes flow.
    pub(crate) fn hold<T>(self, io: T) -> Held<T> {
        Held { io, _stream: self }
    }
}

/// Whether the backend has certainly not looked at a request that failed so (RFC 9113, 8.7): the connection went away
/// under it, or it was refused before anything was done about it.
pub(crate) fn is_unprocessed(error: &hyper::Error) -> bool {
    let told = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>());
    let was_refused = told.is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    });
    was_refused || error.is_canceled() || error.is_closed()
}

impl<T> Held<T> {
    pub(crate) fn io(&self) -> &T {
        &self.io
    }

    pub(crate) fn io_mut(&mut self) -> &mut T {
        &mut self.io
    }
}

impl<T: Transport> Transport for Held<T> {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        self.io.is_broken(context)
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
