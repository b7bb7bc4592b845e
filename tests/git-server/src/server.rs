//! The server: its thread, its listener and its connections.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::site::Site;
use crate::{BareRepository, GitServerOptions, RequestLine, TlsFiles};

/// For requests in flight when the server is told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running server. Dropping it stops it and waits for requests in flight.
pub struct GitServer {
    address: SocketAddr,
    data: PathBuf,
    ca_pem: String,
    site: Arc<Site>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl GitServer {
    /// Starts a server on a thread of its own, and returns when it listens.
    ///
    /// # Errors
    /// Git is missing, the data folder is not writable, the address is taken, or the certificate cannot be used.
    pub fn start(options: GitServerOptions) -> Result<Self> {
        let tls_directory = options.data.join("tls");
        let tls = match &options.tls {
            Some(files) => files.clone(),
            None => TlsFiles::make(&tls_directory, &options.names)?,
        };
        let ca_pem = match options.tls {
            Some(_) => String::new(),
            None => std::fs::read_to_string(tls_directory.join("ca.crt")).context("failed to read ca.crt")?,
        };
        let acceptor = TlsAcceptor::from(tls.server_config()?);
        let site = Arc::new(Site::new(options)?);
        let stop = CancellationToken::new();
        let (listening, address) = oneshot::channel();
        let thread = std::thread::Builder::new().name("git-server".to_owned()).spawn({
            let (site, stop) = (Arc::clone(&site), stop.clone());
            move || run(&site, &acceptor, &stop, listening)
        });
        let thread = thread.context("failed to start a thread")?;
        let address = address.blocking_recv().context("the server's thread ended")??;
        let data = site.options.data.clone();
        Ok(Self {
            address,
            data,
            ca_pem,
            site,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a repository on this server, by the name `localhost`.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("https://localhost:{}/{repository}", self.address.port())
    }

    /// The made authority's certificate; empty when the certificate was given.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// [`Self::ca_pem`] as a file.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.data.join("tls").join("ca.crt")
    }

    /// A repository on the server's disk, created when missing.
    ///
    /// # Errors
    /// Git fails.
    pub fn repository(&self, name: &str) -> Result<BareRepository> {
        BareRepository::create(&self.site.path(name))
    }

    /// The requests answered so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestLine> {
        self.site.log.lines()
    }

    /// Stops the server and waits until it has.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the server's thread has panicked");
        }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The thread's work: a runtime, the listener, and the requests until told to stop.
fn run(
    site: &Arc<Site>,
    acceptor: &TlsAcceptor,
    stop: &CancellationToken,
    listening: oneshot::Sender<Result<SocketAddr>>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime.context("failed to start a runtime") {
        Ok(runtime) => runtime,
        Err(error) => {
            if listening.send(Err(error)).is_err() {
                eprintln!("nobody waits for the server to listen");
            }
            return;
        }
    };
    runtime.block_on(async {
        let bound = listen(site.options.listen).await;
        let (listener, answer) = match bound {
            Ok((listener, address)) => (Some(listener), Ok(address)),
            Err(error) => (None, Err(error)),
        };
        if let (Ok(()), Some(listener)) = (listening.send(answer), listener) {
            accept(site, acceptor, stop, &listener).await;
        }
    });
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    let address = listener
        .local_addr()
        .context("failed to read the address listened on")?;
    Ok((listener, address))
}

async fn accept(site: &Arc<Site>, acceptor: &TlsAcceptor, stop: &CancellationToken, listener: &TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // Forgets connections that have ended.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(site), acceptor.clone(), stop.clone(), stream));
                }
                Err(error) => eprintln!("failed to accept a connection: {error}"),
            },
        }
    }
    // Streams of events have no end of their own.
    site.pushes.close();
    site.backend.tasks.close();
    let finished = async {
        while connections.join_next().await.is_some() {}
        site.backend.tasks.wait().await;
    };
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, finished).await.is_err() {
        eprintln!("requests were still running at shutdown");
    }
}

async fn connection(site: Arc<Site>, acceptor: TlsAcceptor, stop: CancellationToken, stream: TcpStream) {
    // A client that does not trust the certificate hangs up here; that is what some tests are about.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, std::convert::Infallible>(site.answer(request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    // Clients that cancel in mid-transfer are normal; anything else shows in the request's own line.
    drop(ended);
}
