//! How any replica has messages go to all sessions of a route: by itself while it leads, and else by asking the leader.

use crate::config_stream::{BROADCASTS_PATH, Reached, Relay, Unreached};
use bytes::Bytes;
use heddle_crds::sse_subscription::Reason;
use heddle_route_config::protocol::Broadcast;
use heddle_telemetry::ErrorChain;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long it may take to connect to the leader.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the leader may take to answer: it waits for sidecars.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a silent leader is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an answer.
const ANSWER_LIMIT: usize = 64 << 10;

/// The way to the leader, from a replica that does not lead.
#[derive(Clone, Debug)]
pub(crate) struct LeaderSettings {
    /// Where the leader serves the configuration stream, without a path.
    pub(crate) url: String,
    /// A service-account token of this replica's own, which the kubelet keeps fresh.
    pub(crate) token_file: PathBuf,
}

/// Why a replica that does not lead has no way to sessions.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum NoWay {
    #[error("this replica of the operator does not lead, and was given no token to ask the leader with")]
    Token,
    #[error(
        "WsRoutes are not looked after where this operator runs; the chart's value proxy.enabled has them be"
    )]
    Sidecars,
}

/// Has messages go to all sessions of a route. Clones are the same.
#[derive(Clone)]
pub(crate) struct Broadcaster(Arc<Shared>);

struct Shared {
    /// Set when this replica leads. A process that no longer leads ends.
    own: OnceLock<Relay>,
    leader: Result<Leader, NoWay>,
}

/// The leader, as another replica reaches it.
struct Leader {
    settings: LeaderSettings,
    /// The authorities, in PEM, that its certificate may be signed by.
    bundle: watch::Receiver<Arc<str>>,
    connection: Mutex<Connection>,
}

#[derive(Default)]
struct Connection {
    requests: Option<SendRequest<Full<Bytes>>>,
    /// Aborted when dropped.
    tasks: JoinSet<()>,
}

/// Why the leader could not be asked.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("failed to read the operator's own service-account token")]
    Token(#[source] io::Error),
    #[error("failed to find a host in the address of the leader")]
    Host,
    #[error("failed to make a request to the leader")]
    Request(#[source] http::Error),
    #[error("failed to trust the leader")]
    Trust(#[source] rustls::Error),
    #[error("failed to connect to the leader")]
    Connect(#[source] io::Error),
    #[error("failed to hear from the leader in time")]
    Timeout,
    #[error("failed to talk to the leader")]
    Http(#[source] hyper::Error),
    #[error("failed to read the leader's answer")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to understand the leader's answer")]
    Parse(#[source] serde_json::Error),
    #[error("failed to have the leader broadcast: it answered {status}{}", hint(*.status))]
    Refused { status: StatusCode },
}

/// What people may want to know of an answer.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => ", as an older version does",
        _ => "",
    }
}

impl Broadcaster {
    /// Of a replica that does not lead yet.
    pub(crate) fn new(leader: Result<LeaderSettings, NoWay>, bundle: watch::Receiver<Arc<str>>) -> Self {
        let leader = leader.map(|settings| Leader {
            settings,
            bundle,
            connection: Mutex::default(),
        });
        Self(Arc::new(Shared {
            own: OnceLock::new(),
            leader,
        }))
    }

    /// From now on this replica leads.
    pub(crate) fn lead(&self, relay: Relay) {
        // A process begins to lead once.
        self.0.own.set(relay).ok();
    }

    /// Sends messages to the sidecars of a route, and waits until all of those in ready pods have queued them.
    pub(crate) async fn broadcast(&self, broadcast: Broadcast) -> Result<Reached, Unreached> {
        if let Some(own) = self.0.own.get() {
            return own.relay(broadcast).await;
        }
        let leader = match &self.0.leader {
            Ok(leader) => leader,
            Err(none) => return Err(Unreached::new(Reason::SinkFailing, none.to_string())),
        };
        let asked = leader.ask(&broadcast).await;
        asked.unwrap_or_else(|error| {
            Err(Unreached::new(
                Reason::SinkFailing,
                ErrorChain(&error).to_string(),
            ))
        })
    }
}

impl Leader {
    async fn ask(&self, broadcast: &Broadcast) -> Result<Result<Reached, Unreached>, AskError> {
        let request = self.request(broadcast)?;
        let exchanged = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        let answered = exchanged.unwrap_or(Err(AskError::Timeout));
        if matches!(
            answered,
            Err(AskError::Timeout | AskError::Http(_) | AskError::Read(_))
        ) {
            // Another one may lead by now.
            self.connection.lock().await.requests = None;
        }
        let (status, body) = answered?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map(Ok).map_err(AskError::Parse),
            StatusCode::CONFLICT => serde_json::from_slice(&body).map(Err).map_err(AskError::Parse),
            status => Err(AskError::Refused { status }),
        }
    }

    fn request(&self, broadcast: &Broadcast) -> Result<Request<Full<Bytes>>, AskError> {
        let token = std::fs::read_to_string(&self.settings.token_file).map_err(AskError::Token)?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut bearer = bearer.map_err(|error| AskError::Request(error.into()))?;
        bearer.set_sensitive(true);
        let body = serde_json::to_vec(broadcast).map_err(AskError::Parse)?;
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}{BROADCASTS_PATH}", self.settings.url))
            .header(header::AUTHORIZATION, bearer)
            .body(Full::from(body))
            .map_err(AskError::Request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), AskError> {
        let mut requests = self.connected().await?;
        let answer = requests.send_request(request).await.map_err(AskError::Http)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
        Ok((status, body.map_err(AskError::Read)?.to_bytes()))
    }

    /// The connection that there is, or a new one.
    async fn connected(&self) -> Result<SendRequest<Full<Bytes>>, AskError> {
        let mut connection = self.connection.lock().await;
        if let Some(requests) = connection
            .requests
            .as_ref()
            .filter(|requests| !requests.is_closed())
        {
            return Ok(requests.clone());
        }
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await;
        let (requests, driver) = connected.unwrap_or(Err(AskError::Timeout))?;
        while connection.tasks.try_join_next().is_some() {}
        connection.tasks.spawn(driver);
        connection.requests = Some(requests.clone());
        Ok(requests)
    }

    async fn connect(
        &self,
    ) -> Result<
        (
            SendRequest<Full<Bytes>>,
            impl Future<Output = ()> + Send + 'static,
        ),
        AskError,
    > {
        let url: Uri = self.settings.url.parse().map_err(|_| AskError::Host)?;
        let host = url.host().ok_or(AskError::Host)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| AskError::Host)?;
        let config = trusting(&self.bundle.borrow())?;
        let port = url.port_u16().unwrap_or(443);
        let stream = TcpStream::connect((host, port))
            .await
            .map_err(AskError::Connect)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.map_err(AskError::Connect)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (requests, driver) = handshake.map_err(AskError::Http)?;
        // How it ends is seen by the requests.
        let driver = async move { driver.await.unwrap_or_default() };
        Ok((requests, driver))
    }
}

fn trusting(bundle: &str) -> Result<ClientConfig, AskError> {
    let mut roots = RootCertStore::empty();
    // What cannot be read is of no use here; that none is shows in the handshake.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(AskError::Trust)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests;
