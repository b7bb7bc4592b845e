//! Connects to a backend.

use crate::backend::{LiveBackend, ResolveError};
use heddle_ws_session::Transport;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

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
    let mut last = None;
    for address in addresses.iter() {
        match connect_to(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(DialError::Resolve(ResolveError::NoAddress), DialError::Connect))
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    socket.connect(address).await
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
