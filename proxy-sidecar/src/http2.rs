//! HTTP/2 on both sides: sessions are streams of shared connections (RFC 8441).

mod pool;
mod server;

use tokio_util::task::TaskTracker;

pub(crate) use pool::Pool;
pub(crate) use server::{Prefixed, serve};

/// How often a connection is asked for a sign of life.
const KEEPALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);

/// How long it may take to give one.
const KEEPALIVE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Bytes that may be on their way in one stream. It bounds what a slow reader has us keep.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes that may be on their way in one connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

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
