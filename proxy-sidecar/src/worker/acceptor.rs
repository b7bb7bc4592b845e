//! Accepts connections at one port, on one thread, while it is among those that accept.

use super::{Post, Seat};
use crate::forwarding::Scheme;
use crate::handshake::{Arrival, HEAD_TIMEOUT};
use crate::shared::Shared;
use crate::tls::ListenerTls;
use crate::{http1, http2};
use heddle_telemetry::ErrorChain;
use heddle_ws_session::Transport;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

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
    /// A socket at one port for each thread. All are the same to the kernel: whoever accepts a connection has it.
    pub(crate) fn bind(address: Option<IpAddr>, port: u16, count: usize) -> io::Result<Vec<Self>> {
        let socket = match address {
            Some(address) => Self::bind_one(SocketAddr::new(address, port)),
            // Takes IPv4 as well, where there is IPv6 at all.
            None => {
                Self::bind_one(SocketAddr::from(([0_u16; 8], port))).or_else(|error| match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                    _ => Self::bind_one(SocketAddr::from(([0_u8; 4], port))),
                })
            }
        }?;
        let clone = |_| {
            Ok(Self {
                port,
                listener: socket.listener.try_clone()?,
            })
        };
        (0..count).map(clone).collect()
    }

    fn bind_one(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        // The port may be opened again while threads have still to hear that it was closed.
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
    pub(super) fn start(socket: Socket, post: Post) -> Self {
        let stop = CancellationToken::new();
        let tasks = post.crew.tasks().clone();
        tasks.spawn(stop.clone().run_until_cancelled_owned(accept(socket, post)));
        Self {
            _stop: stop.drop_guard(),
        }
    }
}

/// Accepts while this thread is among those that do. Otherwise the socket is not registered, and nobody who comes wakes
/// the thread.
async fn accept(socket: Socket, post: Post) {
    let mut accepting = post.crew.accepting();
    let Socket { port, listener } = socket;
    // The sender lives as long as the threads.
    while accepting.wait_for(|count| post.index < *count).await.is_ok() {
        let registered = listener.try_clone().and_then(TcpListener::from_std);
        match registered {
            Ok(listener) => {
                tokio::select! {
                    _ = accepting.wait_for(|count| post.index >= *count) => {}
                    () = accept_at(&listener, port, &post) => {}
                }
            }
            Err(error) => failed(&post.shared, port, &error).await,
        }
    }
}

async fn accept_at(listener: &TcpListener, port: u16, post: &Post) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let arrival = Arrival {
                    peer,
                    port,
                    scheme: Scheme::Http,
                    head_deadline: Instant::now() + HEAD_TIMEOUT,
                    tls: None,
                    shared: Arc::clone(&post.shared),
                };
                place(stream, arrival, post);
            }
            Err(error) => failed(&post.shared, port, &error).await,
        }
    }
}

async fn failed(shared: &Shared, port: u16, error: &io::Error) {
    shared.metrics.accept_errors.inc();
    tracing::warn!(port, error = %ErrorChain(error), "failed to accept a connection");
    tokio::time::sleep(PAUSE).await;
}

/// Has a connection served by this thread, or by another one if this has too many.
fn place(stream: TcpStream, arrival: Arrival, post: &Post) {
    let seat = post.crew.seat(post.index);
    if seat.thread() == post.index {
        return match tls(&arrival) {
            // Not within a future that asks first: it would be as large as this one, and as much again.
            None => drop(post.crew.tasks().spawn(http1::serve(stream, arrival, seat))),
            Some(listener) => drop(
                post.crew
                    .tasks()
                    .spawn(serve_tls(stream, listener, arrival, seat)),
            ),
        };
    }
    match stream.into_std() {
        Ok(stream) => seat.serve(|seat| serve_elsewhere(stream, arrival, seat)),
        Err(error) => lost(&arrival, &error),
    }
}

async fn serve_elsewhere(stream: std::net::TcpStream, arrival: Arrival, seat: Seat) {
    match (TcpStream::from_std(stream), tls(&arrival)) {
        (Ok(stream), None) => Box::pin(http1::serve(stream, arrival, seat)).await,
        (Ok(stream), Some(listener)) => Box::pin(serve_tls(stream, listener, arrival, seat)).await,
        (Err(error), _) => lost(&arrival, &error),
    }
}

/// What a connection's port has of TLS at this moment; none if it takes plain connections.
fn tls(arrival: &Arrival) -> Option<Arc<ListenerTls>> {
    arrival.shared.routes().listener(arrival.port).map(Arc::clone)
}

fn lost(arrival: &Arrival, error: &io::Error) {
    arrival.shared.metrics.accept_errors.inc();
    tracing::warn!(port = arrival.port, error = %ErrorChain(error), "failed to hand a connection over");
}

async fn serve_tls(stream: TcpStream, listener: Arc<ListenerTls>, mut arrival: Arrival, seat: Seat) {
    arrival.scheme = Scheme::Https;
    arrival.tls = Some(listener.key().clone());
    let config = listener.current();
    drop(listener);
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
        true => http2::serve(stream, arrival, seat.tasks().clone()).await,
        false => http1::serve(stream, arrival, seat).await,
    }
}
