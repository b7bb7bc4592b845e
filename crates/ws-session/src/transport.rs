//! What a session reads from and writes to: a TCP connection, TLS on it, or a stream of an HTTP/2 connection.

use std::any::Any;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// One of the two connections of a session.
///
/// Reads and writes are polled with buffers of the caller, so that a connection that waits needs none. For TCP this is as
/// cheap as readiness by hand: tokio forgets readiness after a short read or write, and saves the call that would say so.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// Whether a connection has been reset, as far as that is known without a read: of TCP alone.
pub(crate) fn is_broken<T: 'static>(transport: &T) -> bool {
    // The type is known when this is compiled, and so is the answer for all but one.
    let tcp = (transport as &dyn Any).downcast_ref::<TcpStream>();
    tcp.is_some_and(|tcp| !matches!(tcp.take_error(), Ok(None)))
}
