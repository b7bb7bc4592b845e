//! Connects to a backend.

use crate::backend::{LiveBackend, ResolveError};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use heddle_ws_session::Transport;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// The head start of an address over the next one (RFC 8305, 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Why there is no connection to a backend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("failed to connect to the backend")]
    Connect(#[source] io::Error),
    #[error("failed to agree with the backend on TLS")]
    Tls(#[source] io::Error),
    #[error("failed to open an HTTP/2 connection to the backend")]
    Http2(#[source] hyper::Error),
    #[error(
        "failed to open an HTTP/2 connection to the backend: it does not take extended CONNECT (RFC 8441)"
    )]
    NoExtendedConnect,
    #[error("failed to connect to the backend in time")]
    Timeout,
    /// Several have waited for one connection.
    #[error(transparent)]
    Shared(Arc<Self>),
}

impl DialError {
    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Shared(error) => error.is_timeout(),
            _ => false,
        }
    }
}

/// A connection to a backend. The plain one is told apart because it is the common one, and has to cost little.
pub(crate) enum BackendStream {
    Plain(TcpStream),
    Other(Box<dyn Transport>),
}

impl std::fmt::Debug for BackendStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Other(_) => "Other",
        })
    }
}

/// Connects to one of the backend's addresses, TLS included, within `limit`.
pub(crate) async fn dial(backend: &LiveBackend, limit: Duration) -> Result<BackendStream, DialError> {
    timeout(limit, connect(backend))
        .await
        .unwrap_or(Err(DialError::Timeout))
}

/// Connects to one of the backend's addresses, TLS included.
pub(crate) async fn connect(backend: &LiveBackend) -> Result<BackendStream, DialError> {
    let stream = connect_tcp(backend).await?;
    let Some(tls) = &backend.tls else {
        return Ok(BackendStream::Plain(stream));
    };
    let connector = TlsConnector::from(tls.current());
    let stream = connector.connect(backend.server_name.clone(), stream).await;
    Ok(BackendStream::Other(Box::new(stream.map_err(DialError::Tls)?)))
}

async fn connect_tcp(backend: &LiveBackend) -> Result<TcpStream, DialError> {
    let addresses = backend.addresses.resolve().await?;
    let connected = match *addresses {
        [address] => connect_to(address).await,
        _ => connect_to_first(&addresses).await,
    };
    connected.map_err(DialError::Connect)
}

/// Connects to the first address that answers. Each is tried when the one before has failed or been silent for a moment,
/// so that a silent one does not use up the time of all.
async fn connect_to_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(waiting.next().map(|address| connect_to(*address)));
        tokio::select! {
            result = attempts.next() => match result {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

impl Transport for BackendStream {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Plain(stream) => stream.is_broken(context),
            Self::Other(stream) => stream.is_broken(context),
        }
    }
}

impl AsyncRead for BackendStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Other(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for BackendStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Other(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Other(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that answers nobody: as many wait to be accepted there as may, and somebody more.
    async fn silent() -> (SocketAddr, impl Sized) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        (address, (listener, waiting))
    }

    #[tokio::test]
    async fn an_address_that_is_silent_keeps_nobody_from_the_next() {
        let (silent, _held) = silent().await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let there = listener.local_addr().unwrap();
        let stream = timeout(Duration::from_secs(5), connect_to_first(&[silent, there])).await;
        assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), there);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_at_once_when_one_refuses_and_the_last_error_counts() {
        let refuses = std::net::TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let error = connect_to_first(&[refuses, refuses]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
