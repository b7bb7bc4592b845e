//! A stream of HTTP/2 as the bytes of a session.

use heddle_ws_session::Transport;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream after its handshake.
#[derive(Debug)]
pub(crate) struct SessionStream(TokioIo<Upgraded>);

impl SessionStream {
    pub(crate) fn new(upgraded: Upgraded) -> Self {
        Self(TokioIo::new(upgraded))
    }
}

impl Transport for SessionStream {
    /// A flush tells how sending has failed, which it does as soon as the stream or its connection is broken off.
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        matches!(Pin::new(&mut self.0).poll_flush(context), Poll::Ready(Err(error)) if is_broken_off(&error))
    }
}

/// Whether a stream that cannot be sent to any more was broken off. One that takes no more for want of use
/// (RFC 9113, 8.1), or whose connection has ended rather than been reset, may have been ended in order before.
fn is_broken_off(error: &io::Error) -> bool {
    let told = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<hyper::Error>())
        .and_then(|error| error.source())
        .and_then(|error| error.downcast_ref::<h2::Error>());
    let Some(told) = told else { return true };
    match told.get_io() {
        Some(error) => error.kind() == io::ErrorKind::ConnectionReset,
        None => told.reason() != Some(h2::Reason::NO_ERROR),
    }
}

impl AsyncRead for SessionStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
