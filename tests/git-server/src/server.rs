//! Accepting connections, logging in, and routing to the backend.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgi::{Backend, StreamedBody};
use crate::request_log::RequestLog;
use crate::{Access, Account, BareRepository, RequestLine, TlsFiles};

/// For requests in flight when the server is told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Who a request without credentials is, where that is allowed.
const ANONYMOUS: &str = "anonymous";

/// How to run a [`GitServer`].
#[derive(Clone, Debug)]
pub struct GitServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where repositories are, and `tls/` when no certificate is given.
    pub data: PathBuf,
    /// Repositories to create at start, such as `team/idl.git`.
    pub repositories: Vec<String>,
    /// Whether a push to a repository that does not exist creates it.
    pub create_on_push: bool,
    /// Who may log in.
    pub accounts: Vec<Account>,
    /// Whether reading needs no login.
    pub anonymous_read: bool,
    /// Whether commits may be fetched by id that no reference points at.
    pub any_commit: bool,
    /// The certificate; made for `names` when missing.
    pub tls: Option<TlsFiles>,
    /// Host names and addresses that a made certificate is for.
    pub names: Vec<String>,
    /// Requests that are redirected.
    pub redirects: Vec<Redirect>,
    /// More git settings for the backend, such as `uploadpack.packObjectsHook`.
    pub settings: BTreeMap<String, String>,
    /// Whether to print a line of JSON for each request.
    pub print_requests: bool,
}

/// A path that is answered with a redirect.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// What the request's path begins with.
    pub from: String,
    /// What takes its place in the `Location`; may be another host's URL.
    pub to: String,
}

impl GitServerOptions {
    /// A server on loopback for one account that may write; its name and password are `writer` and `writer-password`.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.to_path_buf(),
            repositories: Vec::new(),
            create_on_push: false,
            accounts: vec![Account::new("writer", "writer-password", Access::Write)],
            anonymous_read: false,
            any_commit: true,
            tls: None,
            names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            redirects: Vec::new(),
            settings: BTreeMap::new(),
            print_requests: false,
        }
    }
}

/// A running server. Dropping it stops it and waits for requests in flight.
pub struct GitServer {
    address: SocketAddr,
    data: PathBuf,
    ca_pem: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What every request needs.
struct Shared {
    options: GitServerOptions,
    backend: Backend,
    log: RequestLog,
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
        let shared = Arc::new(Shared::new(options)?);
        let stop = CancellationToken::new();
        let (listening, address) = oneshot::channel();
        let thread = std::thread::Builder::new().name("git-server".to_owned()).spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            move || run(&shared, &acceptor, &stop, listening)
        });
        let thread = thread.context("failed to start a thread")?;
        let address = address.blocking_recv().context("the server's thread ended")??;
        let data = shared.options.data.clone();
        Ok(Self {
            address,
            data,
            ca_pem,
            shared,
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
        BareRepository::create(&self.shared.path(name))
    }

    /// The requests answered so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestLine> {
        self.shared.log.lines()
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
    shared: &Arc<Shared>,
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
        let bound = listen(shared.options.listen).await;
        let (listener, answer) = match bound {
            Ok((listener, address)) => (Some(listener), Ok(address)),
            Err(error) => (None, Err(error)),
        };
        if let (Ok(()), Some(listener)) = (listening.send(answer), listener) {
            accept(shared, acceptor, stop, &listener).await;
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

async fn accept(
    shared: &Arc<Shared>,
    acceptor: &TlsAcceptor,
    stop: &CancellationToken,
    listener: &TcpListener,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // Forgets connections that have ended.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Arc::clone(shared), acceptor.clone(), stop.clone(), stream));
                }
                Err(error) => eprintln!("failed to accept a connection: {error}"),
            },
        }
    }
    shared.backend.tasks.close();
    let finished = async {
        while connections.join_next().await.is_some() {}
        shared.backend.tasks.wait().await;
    };
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, finished).await.is_err() {
        eprintln!("requests were still running at shutdown");
    }
}

async fn connection(shared: Arc<Shared>, acceptor: TlsAcceptor, stop: CancellationToken, stream: TcpStream) {
    // A client that does not trust the certificate hangs up here; that is what some tests are about.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, std::convert::Infallible>(shared.answer(request).await) }
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

/// Why a request is not passed on to the backend.
enum Refusal {
    Login,
    Forbidden,
    Missing,
    Redirected(String),
}

impl Shared {
    fn new(options: GitServerOptions) -> Result<Self> {
        let root = options.data.join("repositories");
        std::fs::create_dir_all(&root).with_context(|| format!("failed to create {}", root.display()))?;
        for name in &options.repositories {
            BareRepository::create(&root.join(name))?;
        }
        let mut settings = options.settings.clone();
        settings.insert("http.receivepack".to_owned(), "true".to_owned());
        settings.insert(
            "uploadpack.allowAnySHA1InWant".to_owned(),
            options.any_commit.to_string(),
        );
        let backend = Backend {
            root,
            settings: settings.into_iter().collect(),
            tasks: TaskTracker::new(),
        };
        let log = RequestLog::new(options.print_requests);
        Ok(Self {
            options,
            backend,
            log,
        })
    }

    fn path(&self, repository: &str) -> PathBuf {
        self.backend.root.join(repository)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<StreamedBody> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        if head.uri.path() == "/healthz" {
            return plain(StatusCode::OK, "ok\n");
        }
        let account = self.log_in(&head);
        let user = account.map_or(ANONYMOUS, Account::name).to_owned();
        let response = match self.admit(&head, account) {
            Ok(()) => self
                .backend
                .serve(&head, body, &user)
                .await
                .unwrap_or_else(|error| {
                    eprintln!("{error:#}");
                    plain(StatusCode::INTERNAL_SERVER_ERROR, "the backend failed\n")
                }),
            Err(refusal) => refuse(refusal),
        };
        self.log.add(RequestLine {
            timestamp: jiff::Timestamp::now().to_string(),
            level: "INFO",
            message: "request",
            method: head.method.to_string(),
            target: head.uri.to_string(),
            status: response.status().as_u16(),
            user: account.map(|account| account.name().to_owned()),
            traceparent: text_header(&head, "traceparent").map(str::to_owned),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        response
    }

    fn log_in(&self, head: &request::Parts) -> Option<&Account> {
        let given = text_header(head, "authorization")?;
        self.options
            .accounts
            .iter()
            .find(|account| account.is_authorized_by(given))
    }

    /// Decides whether the backend may see the request, and creates what a first push needs.
    fn admit(&self, head: &request::Parts, account: Option<&Account>) -> Result<(), Refusal> {
        let path = head.uri.path();
        let redirect = self
            .options
            .redirects
            .iter()
            .find(|redirect| path.starts_with(&redirect.from));
        if let Some(redirect) = redirect {
            let query = head
                .uri
                .query()
                .map_or_else(String::new, |query| format!("?{query}"));
            let rest = &path[redirect.from.len()..];
            return Err(Refusal::Redirected(format!("{}{rest}{query}", redirect.to)));
        }
        let repository = repository_of(path).ok_or(Refusal::Missing)?;
        let writes = is_push(head);
        let granted = account.map(Account::access);
        let logged_in_or_open = granted.is_some() || (self.options.anonymous_read && !writes);
        if !logged_in_or_open || (granted.is_none() && head.headers.contains_key(header::AUTHORIZATION)) {
            return Err(Refusal::Login);
        }
        if writes && granted < Some(Access::Write) {
            return Err(Refusal::Forbidden);
        }
        self.find(repository, writes)
    }

    fn find(&self, repository: &str, writes: bool) -> Result<(), Refusal> {
        let path = self.path(repository);
        if path.join("HEAD").is_file() {
            return Ok(());
        }
        if !(writes && self.options.create_on_push) {
            return Err(Refusal::Missing);
        }
        BareRepository::create(&path).map(drop).map_err(|error| {
            eprintln!("failed to create {repository}: {error:#}");
            Refusal::Missing
        })
    }
}

/// The repository's name in a path of the smart protocol, when it stays inside the data folder.
fn repository_of(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let name = ["/info/refs", "/git-upload-pack", "/git-receive-pack"]
        .iter()
        .find_map(|suffix| path.strip_suffix(suffix))?;
    let safe = |part: &str| {
        !part.starts_with('.')
            && !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    name.split('/').all(safe).then_some(name)
}

fn is_push(head: &request::Parts) -> bool {
    let asks_for_push = head
        .uri
        .query()
        .is_some_and(|query| query.contains("service=git-receive-pack"));
    asks_for_push || (head.method == Method::POST && head.uri.path().ends_with("/git-receive-pack"))
}

fn text_header<'a>(head: &'a request::Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

fn refuse(refusal: Refusal) -> Response<StreamedBody> {
    match refusal {
        Refusal::Login => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "log in\n");
            let challenge = HeaderValue::from_static("Basic realm=\"git\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        Refusal::Forbidden => plain(StatusCode::FORBIDDEN, "this account may only read\n"),
        Refusal::Missing => plain(StatusCode::NOT_FOUND, "no such repository\n"),
        Refusal::Redirected(to) => {
            let mut response = plain(StatusCode::FOUND, "elsewhere\n");
            if let Ok(location) = HeaderValue::try_from(to) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<StreamedBody> {
    let body = Full::from(text).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
