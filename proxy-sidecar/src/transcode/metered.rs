//! A transport that knows how much was read from it: what a WebSocket library hides.

use heddle_ws_session::Transport;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;

/// One end of a session, message by message.
pub(super) type Socket<T> = WebSocketStream<Metered<T>>;

#[derive(Debug)]
pub(super) struct Metered<T> {
    transport: T,
    /// Bytes that were read and not asked for yet.
    read: u64,
}

impl<T> Metered<T> {
    pub(super) fn new(transport: T) -> Self {
        Self { transport, read: 0 }
    }

    /// How many bytes were read since this was asked last.
    pub(super) fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }
}

impl<T: Transport> Transport for Metered<T> {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        self.transport.is_broken(context)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.transport).poll_read(context, buffer));
        self.read += (buffer.filled().len() - before) as u64;
        Poll::Ready(result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(context)
    }
}
