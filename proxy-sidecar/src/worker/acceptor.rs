//! Accepts connections at one port, on one thread.

use crate::forwarding::Scheme;
use crate::handshake::{Arrival, HEAD_TIMEOUT};
use crate::shared::Shared;
use crate::{http1, http2};
use heddle_telemetry::ErrorChain;
use heddle_ws_session::Transport;
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Connections that may wait to be accepted, at one socket; the kernel's own limit may be lower.
const BACKLOG: u32 = 4096;

/// What follows a failed accept, which is out of file descriptors more often than not.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that a thread can accept at.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) port: u16,
    listener: std::net::TcpListener,
}

impl Socket {
    /// As many sockets at one port as there are threads: the kernel shares connections out among them.
    pub(crate) fn bind(address: Option<IpAddr>, port: u16, count: usize) -> io::Result<Vec<Self>> {
        let bind = || match address {
            Some(address) => Self::bind_one(SocketAddr::new(address, port)),
            // Takes IPv4 as well, where there is IPv6 at all.
            None => {
                Self::bind_one(SocketAddr::from(([0_u16; 8], port))).or_else(|error| match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                    _ => Self::bind_one(SocketAddr::from(([0_u8; 4], port))),
                })
            }
        };
        (0..count).map(|_| bind()).collect()
    }

    fn bind_one(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        // Accepted connections inherit it.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        Ok(Self {
            port: address.port(),
            listener: socket.listen(BACKLOG)?.into_std()?,
        })
    }
}

/// Accepts until it is dropped. Connections go on.
#[derive(Debug)]
pub(super) struct Acceptor {
    _stop: DropGuard,
}

impl Acceptor {
    pub(super) fn start(socket: Socket, connections: &TaskTracker, shared: &Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::from_std(socket.listener)?;
        let stop = CancellationToken::new();
        let accept = accept(listener, socket.port, connections.clone(), Arc::clone(shared));
        connections.spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self {
            _stop: stop.drop_guard(),
        })
    }
}

async fn accept(listener: TcpListener, port: u16, connections: TaskTracker, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let arrival = Arrival {
                    peer,
                    port,
                    scheme: Scheme::Http,
                    head_deadline: Instant::now() + HEAD_TIMEOUT,
                    tls: None,
                    shared: Arc::clone(&shared),
                };
                connections.spawn(serve(stream, arrival, connections.clone()));
            }
            Err(error) => {
                shared.metrics.accept_errors.inc();
                tracing::warn!(port, error = %ErrorChain(&error), "failed to accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, arrival: Arrival, tasks: TaskTracker) {
    let _open = Open::new(arrival.shared.metrics.connections.clone());
    let listener = arrival.shared.routes().listener(arrival.port).map(Arc::clone);
    match listener {
        None => http1::serve(stream, arrival, tasks).await,
        Some(listener) => {
            let arrival = Arrival {
                tls: Some(listener.key().clone()),
                ..arrival
            };
            Box::pin(serve_tls(stream, listener.current(), arrival, tasks)).await;
        }
    }
}

async fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, mut arrival: Arrival, tasks: TaskTracker) {
    arrival.scheme = Scheme::Https;
    let stream = match timeout_at(arrival.head_deadline, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // Scanners and clients that lack the authority: their fault, and they may be many.
            tracing::debug!(port = arrival.port, error = %ErrorChain(&error), "failed to agree on TLS");
            return;
        }
        Err(_) => return,
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream: Box<dyn Transport> = Box::new(stream);
    match is_http2 {
        true => http2::serve(stream, arrival, tasks).await,
        false => http1::serve(stream, arrival, tasks).await,
    }
}

/// Counts a connection as long as it is open.
struct Open(Gauge);

impl Open {
    fn new(connections: Gauge) -> Self {
        connections.inc();
        Self(connections)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
