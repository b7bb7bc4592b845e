//! Accepts connections at one port, on one thread.

use crate::forwarding::Scheme;
use crate::handshake::Arrival;
use crate::http1;
use crate::shared::Shared;
use heddle_telemetry::ErrorChain;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
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
                    shared: Arc::clone(&shared),
                };
                connections.spawn(serve(stream, arrival));
            }
            Err(error) => {
                shared.metrics.accept_errors.inc();
                tracing::warn!(port, error = %ErrorChain(&error), "failed to accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, arrival: Arrival) {
    let connections = arrival.shared.metrics.connections.clone();
    connections.inc();
    http1::serve(stream, arrival).await;
    connections.dec();
}
