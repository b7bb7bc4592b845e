//! HTTP/2 on both sides: sessions are streams of shared connections (RFC 8441).

mod pool;
mod server;
mod session_stream;
mod streams;

use std::time::Duration;
use tokio_util::task::TaskTracker;

pub(crate) use pool::{Held, Pool, Stream, is_unprocessed};
pub(crate) use server::{Prefixed, serve};
pub(crate) use session_stream::SessionStream;

/// How often a connection is asked for a sign of life.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long it may take to give one.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept that has no stream.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How long the other side may take to close a connection that has no stream and is to end.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most sessions of one connection.
const STREAM_LIMIT: u32 = 1000;

/// Bytes that may be on their way in one stream. It bounds what a slow reader has us keep.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes that may be on their way in one connection: those of all of its streams. With less, streams whose readers are
/// slow could use it up, and all others would wait for them.
const CONNECTION_WINDOW: u32 = STREAM_LIMIT * STREAM_WINDOW;

/// Bytes of one stream that wait to be sent.
const SEND_BUFFER: usize = 64 * 1024;

/// Starts hyper's tasks as tasks of a tracker, so that somebody waits for them.
#[derive(Clone, Debug)]
pub(crate) struct TrackedExecutor(pub(crate) TaskTracker);

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
