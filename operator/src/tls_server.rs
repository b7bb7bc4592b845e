//! Accepts TLS connections for the webhook and the configuration stream: so many at a time, each handshake in bounded time.

use heddle_telemetry::ErrorChain;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connections may take to end when the server stops.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until `stop` is cancelled. `converse` gets each connection, and is to end soon after its token is cancelled.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    config: rustls::ServerConfig,
    connection_limit: usize,
    stop: CancellationToken,
    converse: impl Fn(TlsStream<TcpStream>, CancellationToken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let permits = Arc::new(Semaphore::new(connection_limit));
    let mut handshakes = JoinSet::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            Some(ended) = handshakes.join_next(), if !handshakes.is_empty() => {
                if let Ok(Some((stream, permit))) = ended {
                    let conversation = converse(stream, stop.clone());
                    connections.spawn(async move {
                        conversation.await;
                        drop(permit);
                    });
                }
            }
            accepted = accept(&listener, &permits) => {
                let Some((stream, permit)) = accepted else { continue };
                let handshake = acceptor.accept(stream);
                handshakes.spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                        Ok(Ok(stream)) => Some((stream, permit)),
                        Ok(Err(error)) => {
                            tracing::debug!(error = %ErrorChain(&error), "TLS handshake failed");
                            None
                        }
                        Err(_) => None,
                    }
                });
            }
        }
    }
    handshakes.shutdown().await;
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(END_TIMEOUT, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    /// What follows a failed accept, which is out of file descriptors more often than not.
    const PAUSE: Duration = Duration::from_millis(100);
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            stream.set_nodelay(true).ok();
            Some((stream, permit))
        }
        Err(error) => {
            tracing::warn!(error = %ErrorChain(&error), "failed to accept a connection");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}
