//! What a session reads from and writes to: a TCP connection, TLS on it, or a stream of an HTTP/2 connection.

use std::task::Context;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;

/// One of the two connections of a session.
///
/// Reads and writes are polled with buffers of the caller, so that a connection that waits needs none. For TCP this is as
/// cheap as readiness by hand: tokio forgets readiness after a short read or write, and saves the call that would say so.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Whether the peer has broken the connection off, as far as that is known without a read. An end in order is none
    /// of that: what came before it is still to be read.
    ///
    /// May take the place of a flush that waits: whoever asks polls the session again with the same context.
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool;
}

impl Transport for TcpStream {
    fn is_broken(&mut self, _: &mut Context<'_>) -> bool {
        !matches!(self.take_error(), Ok(None))
    }
}

/// Nothing in between can be reset.
impl Transport for DuplexStream {
    fn is_broken(&mut self, _: &mut Context<'_>) -> bool {
        false
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        T::is_broken(self, context)
    }
}

#[cfg(feature = "tls")]
impl<T: Transport> Transport for tokio_rustls::server::TlsStream<T> {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        self.get_mut().0.is_broken(context)
    }
}

#[cfg(feature = "tls")]
impl<T: Transport> Transport for tokio_rustls::client::TlsStream<T> {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        self.get_mut().0.is_broken(context)
    }
}
