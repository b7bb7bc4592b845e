//! The server: accepts, has TLS made, and serves each connection for as long as its client does its part.

use crate::activity::Activity;
use crate::gate::Gate;
use bytes::Bytes;
use heddle_telemetry::ErrorChain;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often a silent HTTP/2 peer is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of the head of an HTTP/2 request.
const HEAD_LIMIT: u32 = 32 * 1024;

/// What clients may take of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time. More wait to be accepted.
    pub connections: usize,
    /// Connections of one address, or one IPv6 network, at the same time. More are closed.
    pub connections_per_peer: usize,
    /// Requests of one HTTP/2 connection at the same time.
    pub streams: u32,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long the first request's head may take to arrive, after the handshake.
    pub first_request: Duration,
    /// How long a connection is kept between two requests, and how long the head of a later one may take.
    pub idle: Duration,
    /// The age at which a connection is closed in order: no new requests, and the open ones have `grace` to end.
    /// As old as it wants, if absent.
    pub age: Option<Duration>,
    /// How long open requests go on when a connection is closed in order, or the server stops.
    pub grace: Duration,
}

impl Limits {
    /// For requests that are answered at once.
    #[must_use]
    pub const fn new(connections: usize, connections_per_peer: usize) -> Self {
        Self {
            connections,
            connections_per_peer,
            streams: 64,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            // Longer than clients keep theirs (90 s in Go), so that it is they who close.
            idle: Duration::from_secs(120),
            age: Some(Duration::from_secs(600)),
            grace: Duration::from_secs(5),
        }
    }
}

/// Which versions of HTTP a server speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Either, as the client begins.
    Either,
}

impl Protocol {
    /// For TLS's ALPN (RFC 7301), the best first.
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::Http1 => &["http/1.1"],
            Self::Http2 => &["h2"],
            Self::Either => &["h2", "http/1.1"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    fn builder(self, limits: &Limits) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(HEAD_LIMIT)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        match self {
            Self::Http1 => builder.http1_only(),
            Self::Http2 => builder.http2_only(),
            Self::Either => builder,
        }
    }
}

/// What the connections of a server share.
struct Server<S> {
    builder: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    service: S,
    stop: CancellationToken,
}

/// Serves until `stop` is cancelled, over TLS if there is a configuration of it, whose ALPN is set here. `service`
/// answers each request; an answer whose body goes on counts as an open request for so long.
pub async fn serve<S, F, B>(
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
    protocol: Protocol,
    limits: Limits,
    service: S,
    stop: CancellationToken,
) where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let gate = Gate::new(limits.connections, limits.connections_per_peer);
    let tls = tls.map(|mut config| {
        config.alpn_protocols = protocol.names();
        TlsAcceptor::from(Arc::new(config))
    });
    let server = Arc::new(Server {
        builder: protocol.builder(&limits),
        tls,
        limits,
        service,
        stop,
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = server.stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = gate.accept(&listener) => {
                let Some((stream, place)) = accepted else { continue };
                let server = Arc::clone(&server);
                connections.spawn(async move {
                    server.take(stream).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    // Each has its own deadline from here.
    while connections.join_next().await.is_some() {}
}

impl<S, F, B> Server<S>
where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    async fn take(&self, stream: TcpStream) {
        let Some(acceptor) = &self.tls else {
            return self.converse(stream).await;
        };
        let handshake = tokio::time::timeout(self.limits.handshake, acceptor.accept(stream));
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = handshake => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => self.converse(stream).await,
            Ok(Err(error)) => tracing::debug!(error = %ErrorChain(&error), "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let activity = Activity::default();
        let service = service_fn(|request| {
            let (open, answer) = (activity.begin(), (self.service)(request));
            async move { Ok::<_, Infallible>(answer.await.map(|body| open.until_sent(body))) }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.retire(&activity) => {
                if !activity.has_begun() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(self.limits.grace, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %ErrorChain(&*error), "connection broke");
        }
    }

    /// Returns when there is a reason to close the connection.
    async fn retire(&self, activity: &Activity) {
        let aged = async {
            match self.limits.age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = activity.silence(&self.limits) => {}
            () = aged => {}
        }
    }
}
