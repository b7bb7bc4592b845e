//! The connection to the operator: made again whenever it ends.

use super::StreamSettings;
use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::mpsc as body_channel;
use heddle_crds::publication::{SET_BYTES_LIMIT, digest};
use heddle_route_config::protocol::{
    Acknowledgement, Assembly, AssemblyError, CONTENT_TYPE, Configuration, DescriptorsPart, Hello,
    LINE_BYTES_LIMIT, Lines, LinesError, PATH, ToOperator, ToSidecar, line,
};
use heddle_telemetry::ErrorChain;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::Rng as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long it may take to connect, and to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a silent operator is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a first failure; each further one doubles it. Some of it is taken away at random.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_LIMIT: Duration = Duration::from_secs(15);

/// A stream that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Lines that wait to be sent.
const OUTGOING_LIMIT: usize = 4;

/// Bytes of a text that the operator refuses with.
const REFUSAL_LIMIT: usize = 512;

/// Why a stream could not be had, or broke.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("failed to find a host in the operator's URL")]
    Host,
    #[error("failed to read the service-account token")]
    Token(#[source] io::Error),
    #[error("failed to use the service-account token")]
    Header(#[source] http::Error),
    #[error("failed to use the authorities that the operator is trusted by")]
    Trust(#[source] rustls::Error),
    #[error("failed to connect to the operator")]
    Connect(#[source] io::Error),
    #[error("failed to connect to the operator within {} s", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    #[error("failed to talk to the operator")]
    Http(#[source] hyper::Error),
    #[error("failed to be answered by the operator within {} s", ANSWER_TIMEOUT.as_secs())]
    AnswerTimeout,
    #[error("failed to be let in by the operator: {status}: {text}")]
    Refused { status: StatusCode, text: String },
    #[error(transparent)]
    Lines(#[from] LinesError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    #[error("failed to uncompress a descriptor set")]
    Uncompress(#[source] io::Error),
    #[error("failed to receive a descriptor set: it is not the one that was announced")]
    Digest,
}

/// What has come.
#[derive(Debug)]
pub(crate) struct Received {
    pub(super) configuration: Configuration,
    /// The descriptor sets that came before it, by digest.
    pub(super) sets: BTreeMap<String, Arc<[u8]>>,
}

/// What the connection's task is told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Nothing is connected before there is one.
    hello: Option<Hello>,
    acknowledged: Option<Acknowledgement>,
}

/// The connection, in a task of its own.
#[derive(Debug)]
pub(super) struct Link {
    received: mpsc::Receiver<Received>,
    told: watch::Sender<Told>,
    bundle: watch::Sender<String>,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

impl Link {
    /// Starts the task. `bundle` is what the operator said last whom to trust.
    pub(super) fn start(settings: &StreamSettings, bundle: Option<String>) -> Self {
        let (sender, received) = mpsc::channel(1);
        let (told, hearing) = watch::channel(Told::default());
        let bundle = bundle.filter(|bundle| !bundle.is_empty());
        let (bundle, trusted) = watch::channel(bundle.unwrap_or_else(|| settings.trust_bundle.clone()));
        let mut task = JoinSet::new();
        task.spawn(run(settings.clone(), sender, hearing, trusted));
        Self {
            received,
            told,
            bundle,
            _task: task,
        }
    }

    /// What to begin streams with, from the next one on.
    pub(super) fn set_hello(&self, hello: Hello) {
        self.told.send_modify(|told| told.hello = Some(hello));
    }

    pub(super) fn acknowledge(&self, acknowledgement: Acknowledgement) {
        self.told
            .send_modify(|told| told.acknowledged = Some(acknowledgement));
    }

    /// Whom to trust from the next connection on.
    pub(super) fn trust(&self, bundle: &str) {
        if !bundle.is_empty() {
            self.bundle.send_replace(bundle.to_owned());
        }
    }

    pub(super) async fn next(&mut self) -> Received {
        match self.received.recv().await {
            Some(received) => received,
            // The task ends with this only.
            None => std::future::pending().await,
        }
    }
}

async fn run(
    settings: StreamSettings,
    received: mpsc::Sender<Received>,
    mut told: watch::Receiver<Told>,
    bundle: watch::Receiver<String>,
) {
    if told.wait_for(|told| told.hello.is_some()).await.is_err() {
        return;
    }
    let mut pause = PAUSE;
    let mut is_failing = false;
    loop {
        let started = Instant::now();
        let trusted = bundle.borrow().clone();
        let ended = converse(&settings, &trusted, &received, &mut told, &mut is_failing).await;
        if started.elapsed() > GOOD {
            pause = PAUSE;
        }
        match ended {
            // The operator ends streams when they get old, and when another replica leads.
            Ok(()) => tracing::info!("the operator has ended the stream"),
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(error = %ErrorChain(&error), "the operator is out of reach; routes are served on");
            }
            Err(_) => {}
        }
        let share = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(pause.mul_f64(share)).await;
        pause = (pause * 2).min(PAUSE_LIMIT);
    }
}

async fn converse(
    settings: &StreamSettings,
    bundle: &str,
    received: &mpsc::Sender<Received>,
    told: &mut watch::Receiver<Told>,
    is_failing: &mut bool,
) -> Result<(), LinkError> {
    let mut connections = JoinSet::new();
    let hello = told.borrow_and_update().hello.clone().unwrap_or_default();
    let (mut outgoing, body) = body_channel::channel(OUTGOING_LIMIT);
    let first = frame(&ToOperator::Hello(hello));
    // The channel has room for it.
    outgoing.send(Ok(first)).await.ok();
    let opened = open(settings, bundle, body, &mut connections);
    let mut incoming = opened.await?;
    tracing::info!("connected to the operator");
    *is_failing = false;
    let mut reader = Reader::default();
    loop {
        tokio::select! {
            changed = told.changed() => {
                let acknowledged = told.borrow_and_update().acknowledged.clone();
                if changed.is_err() {
                    return Ok(());
                }
                if let Some(acknowledged) = acknowledged {
                    let line = frame(&ToOperator::Acknowledged(acknowledged));
                    if outgoing.send(Ok(line)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            next = reader.next(&mut incoming) => match next? {
                Some(next) => if received.send(next).await.is_err() {
                    return Ok(());
                },
                None => return Ok(()),
            },
        }
    }
}

type Outgoing = body_channel::Receiver<Result<Frame<Bytes>, Infallible>>;

async fn open(
    settings: &StreamSettings,
    bundle: &str,
    body: Outgoing,
    connections: &mut JoinSet<()>,
) -> Result<Incoming, LinkError> {
    let token = std::fs::read_to_string(&settings.token_file).map_err(LinkError::Token)?;
    let request = request(&settings.url, token.trim(), body)?;
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(&settings.url, bundle)).await;
    let stream = connected.map_err(|_| LinkError::ConnectTimeout)??;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let (mut requests, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(LinkError::Http)?;
    connections.spawn(async move {
        // How it ends is seen by the stream.
        connection.await.ok();
    });
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, requests.send_request(request)).await;
    let answer = answer
        .map_err(|_| LinkError::AnswerTimeout)?
        .map_err(LinkError::Http)?;
    let status = answer.status();
    let incoming = answer.into_body();
    match status.is_success() {
        true => Ok(incoming),
        false => Err(LinkError::Refused {
            status,
            text: refusal(incoming).await,
        }),
    }
}

fn request(url: &Uri, token: &str, body: Outgoing) -> Result<Request<StreamBody<Outgoing>>, LinkError> {
    let authority = url.authority().ok_or(LinkError::Host)?;
    Request::post(format!("https://{authority}{PATH}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .body(StreamBody::new(body))
        .map_err(LinkError::Header)
}

async fn connect(url: &Uri, bundle: &str) -> Result<tokio_rustls::client::TlsStream<TcpStream>, LinkError> {
    /// Where HTTPS is served.
    const HTTPS_PORT: u16 = 443;
    let host = url.host().ok_or(LinkError::Host)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| LinkError::Host)?;
    let config = trusting(bundle)?;
    let port = url.port_u16().unwrap_or(HTTPS_PORT);
    let stream = TcpStream::connect((bare, port))
        .await
        .map_err(LinkError::Connect)?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(LinkError::Connect)
}

fn trusting(bundle: &str) -> Result<ClientConfig, LinkError> {
    let mut roots = RootCertStore::empty();
    // One of several may be of no use here; that none is shows in the handshake.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(LinkError::Trust)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn refusal(incoming: Incoming) -> String {
    let body = http_body_util::Limited::new(incoming, REFUSAL_LIMIT)
        .collect()
        .await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn frame(message: &ToOperator) -> Frame<Bytes> {
    Frame::data(line(message).into())
}

/// Makes configurations of what arrives.
#[derive(Debug)]
struct Reader {
    lines: Lines,
    assembly: Assembly,
    sets: BTreeMap<String, Arc<[u8]>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            lines: Lines::new(LINE_BYTES_LIMIT),
            assembly: Assembly::default(),
            sets: BTreeMap::new(),
        }
    }
}

impl Reader {
    /// The next configuration with the sets before it; nothing at the end. Can be dropped and called again without losing
    /// anything.
    async fn next(&mut self, incoming: &mut Incoming) -> Result<Option<Received>, LinkError> {
        loop {
            match self.lines.next_line()? {
                Some(ToSidecar::Configuration(configuration)) => {
                    let sets = std::mem::take(&mut self.sets);
                    return Ok(Some(Received { configuration, sets }));
                }
                Some(ToSidecar::DescriptorsPart(part)) => self.add(&part)?,
                None => {
                    let Some(frame) = incoming.frame().await else {
                        return Ok(None);
                    };
                    let frame = frame.map_err(LinkError::Http)?;
                    if let Some(bytes) = frame.data_ref() {
                        self.lines.push(bytes);
                    }
                }
            }
        }
    }

    fn add(&mut self, part: &DescriptorsPart) -> Result<(), LinkError> {
        let Some(compressed) = self.assembly.add(part)? else {
            return Ok(());
        };
        let set = uncompress(&compressed, part.bytes)?;
        if digest(&set) != part.digest {
            return Err(LinkError::Digest);
        }
        self.sets.insert(part.digest.clone(), Arc::from(set));
        Ok(())
    }
}

/// No more than was announced, and no more than is ever published.
fn uncompress(compressed: &[u8], bytes: u64) -> Result<Vec<u8>, LinkError> {
    let limit = bytes.min(SET_BYTES_LIMIT as u64);
    let decoder = zstd::Decoder::new(compressed).map_err(LinkError::Uncompress)?;
    let mut set = Vec::new();
    decoder
        .take(limit)
        .read_to_end(&mut set)
        .map_err(LinkError::Uncompress)?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_route_config::protocol::parts;

    #[test]
    fn a_set_is_taken_only_if_it_is_the_one_that_was_announced() {
        let set = vec![7; 3_000_000];
        let compressed = zstd::encode_all(&*set, 3).unwrap();
        let add = |digest_: &str, bytes: u64| {
            let mut reader = Reader::default();
            for part in parts(digest_, bytes, &compressed) {
                reader.add(&part)?;
            }
            Ok::<_, LinkError>(reader.sets)
        };
        let right = digest(&set);
        let sets = add(&right, set.len() as u64).unwrap();
        assert_eq!(*sets[&right], *set);
        assert!(matches!(add("sha256:0", 3_000_000), Err(LinkError::Digest)));
        // One that is larger than it says is not read to its end.
        assert!(matches!(add(&right, 1000), Err(LinkError::Digest)));
    }
}
