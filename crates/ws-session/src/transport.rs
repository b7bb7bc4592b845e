//! What a session reads from and writes to: a TCP connection, TLS on it, or a stream of an HTTP/2 connection.

use tokio::io::{AsyncRead, AsyncWrite};

/// One of the two connections of a session.
///
/// Reads and writes are polled with buffers of the caller, so that a connection that waits needs none. For TCP this is as
/// cheap as readiness by hand: tokio forgets readiness after a short read or write, and saves the call that would say so.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}
