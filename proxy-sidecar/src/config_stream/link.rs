//! The connection to the operator: made again whenever it ends.

use super::StreamSettings;
use crate::backoff::Backoff;
use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::mpsc as body_channel;
use heddle_crds::publication::{SET_BYTES_LIMIT, digest};
use heddle_route_config::protocol::{
    Acknowledgement, Assembly, AssemblyError, Broadcast, BroadcastResult, CONTENT_TYPE, Configuration,
    DescriptorsPart, Hello, LINE_BYTES_LIMIT, Lines, LinesError, PATH, ToOperator, ToSidecar, line,
};
use heddle_telemetry::ErrorChain;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long it may take to connect, and to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a silent operator is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a first failure, and the longest one.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_LIMIT: Duration = Duration::from_secs(15);

/// A stream that has lasted so long is a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Acknowledgements that wait to be sent. More come about only while nobody takes them, and then the newest count.
const ACKNOWLEDGEMENTS_LIMIT: usize = 64;

/// Answers to broadcasts that wait to be sent. Whoever waits for one that is forgotten asks again.
const ANSWERS_LIMIT: usize = 256;

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
pub(crate) enum Arrived {
    /// What to do from now on.
    Configuration(Received),
    /// Messages for all sessions of a route.
    Broadcast(Broadcast),
}

/// A configuration that has come.
#[derive(Debug)]
pub(crate) struct Received {
    pub(super) configuration: Configuration,
    /// The descriptor sets that came before it, by digest.
    pub(super) sets: BTreeMap<String, Arc<[u8]>>,
}

/// What the connection's task is told.
#[derive(Debug, Default)]
struct Told {
    state: Mutex<ToldState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct ToldState {
    /// Nothing is connected before there is one. It has the newest acknowledgement in it.
    hello: Option<Hello>,
    /// Each is sent, in their order.
    acknowledgements: VecDeque<Acknowledgement>,
    answers: VecDeque<BroadcastResult>,
}

impl Told {
    fn state(&self) -> MutexGuard<'_, ToldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what to begin a stream with.
    async fn hello(&self) -> Hello {
        loop {
            if let Some(hello) = self.take_hello() {
                return hello;
            }
            self.changed.notified().await;
        }
    }

    fn take_hello(&self) -> Option<Hello> {
        let mut state = self.state();
        let hello = state.hello.clone()?;
        // The newest acknowledgement is in it, and older ones mean nothing to another stream.
        state.acknowledgements.clear();
        state.answers.clear();
        Some(hello)
    }

    async fn line(&self) -> ToOperator {
        loop {
            if let Some(line) = self.state().take_line() {
                return line;
            }
            self.changed.notified().await;
        }
    }
}

impl ToldState {
    fn take_line(&mut self) -> Option<ToOperator> {
        let acknowledged = self.acknowledgements.pop_front().map(ToOperator::Acknowledged);
        acknowledged.or_else(|| self.answers.pop_front().map(ToOperator::Broadcast))
    }
}

/// The connection, in a task of its own.
#[derive(Debug)]
pub(super) struct Link {
    received: mpsc::Receiver<Arrived>,
    told: Arc<Told>,
    bundle: watch::Sender<String>,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

impl Link {
    /// Starts the task. `bundle` is what the operator said last whom to trust.
    pub(super) fn start(settings: &StreamSettings, bundle: Option<String>) -> Self {
        let (sender, received) = mpsc::channel(1);
        let told = Arc::<Told>::default();
        let bundle = bundle.filter(|bundle| !bundle.is_empty());
        let (bundle, trusted) = watch::channel(bundle.unwrap_or_else(|| settings.trust_bundle.clone()));
        let run = Run {
            settings: settings.clone(),
            received: sender,
            told: Arc::clone(&told),
            bundle: trusted,
            reach: Reach::Unknown,
        };
        let mut task = JoinSet::new();
        task.spawn(run.run());
        Self {
            received,
            told,
            bundle,
            _task: task,
        }
    }

    /// What to begin streams with. The first one begins now.
    pub(super) fn begin(&self, hello: Hello) {
        self.told.state().hello = Some(hello);
        self.told.changed.notify_one();
    }

    /// Sends an acknowledgement over the stream that there is. Later ones begin with `hello`.
    pub(super) fn acknowledge(&self, hello: Hello, acknowledgement: Acknowledgement) {
        let mut state = self.told.state();
        state.hello = Some(hello);
        if state.acknowledgements.len() == ACKNOWLEDGEMENTS_LIMIT {
            state.acknowledgements.pop_front();
        }
        state.acknowledgements.push_back(acknowledgement);
        drop(state);
        self.told.changed.notify_one();
    }

    /// Says what became of a broadcast that came over the stream that there is.
    pub(super) fn answer(&self, result: BroadcastResult) {
        let mut state = self.told.state();
        if state.answers.len() == ANSWERS_LIMIT {
            state.answers.pop_front();
        }
        state.answers.push_back(result);
        drop(state);
        self.told.changed.notify_one();
    }

    /// Whom to trust from the next connection on.
    pub(super) fn trust(&self, bundle: &str) {
        if !bundle.is_empty() {
            self.bundle.send_replace(bundle.to_owned());
        }
    }

    pub(super) async fn next(&mut self) -> Arrived {
        match self.received.recv().await {
            Some(received) => received,
            // The task ends with this only.
            None => std::future::pending().await,
        }
    }
}

/// What was said about the operator last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    Unknown,
    Reached,
    Lost,
}

/// The task.
struct Run {
    settings: StreamSettings,
    received: mpsc::Sender<Arrived>,
    told: Arc<Told>,
    bundle: watch::Receiver<String>,
    reach: Reach,
}

impl Run {
    async fn run(mut self) {
        let mut backoff = Backoff::new(PAUSE, PAUSE_LIMIT);
        loop {
            let hello = self.told.hello().await;
            let mut good = false;
            match self.converse(hello, &mut good).await {
                // The operator ends streams when they get old, and when another replica leads.
                Ok(()) => tracing::debug!("the operator has ended the stream"),
                Err(error) => self.lost(&error),
            }
            if good {
                backoff.reset();
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// Speaks until the stream ends. `good` once it has lasted for a while.
    async fn converse(&mut self, hello: Hello, good: &mut bool) -> Result<(), LinkError> {
        let mut connections = JoinSet::new();
        let (mut outgoing, body) = body_channel::channel(OUTGOING_LIMIT);
        let first = frame(&ToOperator::Hello(hello));
        // The channel has room for it.
        outgoing.send(Ok(first)).await.ok();
        let trusted = self.trusted();
        let mut incoming = open(&self.settings, &trusted, body, &mut connections).await?;
        if self.reach == Reach::Unknown {
            self.reached();
        }
        let proven = tokio::time::sleep(GOOD);
        let mut proven = std::pin::pin!(proven);
        let mut reader = Reader::default();
        loop {
            tokio::select! {
                line = self.told.line() => {
                    if outgoing.send(Ok(frame(&line))).await.is_err() {
                        return Ok(());
                    }
                }
                () = &mut proven, if !*good => {
                    *good = true;
                    self.reached();
                }
                next = reader.next(&mut incoming) => match next? {
                    Some(next) => if self.received.send(next).await.is_err() {
                        return Ok(());
                    },
                    None => return Ok(()),
                },
            }
        }
    }

    /// Whom the operator named last, and whom the file names by now. One that is not there, or not yet, names nobody.
    fn trusted(&self) -> String {
        let file = self.settings.trust_bundle_file.as_ref();
        let of_file = file.and_then(|file| std::fs::read_to_string(file).ok());
        [self.bundle.borrow().clone(), of_file.unwrap_or_default()].join("\n")
    }

    fn reached(&mut self) {
        if self.reach != Reach::Reached {
            tracing::info!("connected to the operator");
        }
        self.reach = Reach::Reached;
    }

    fn lost(&mut self, error: &LinkError) {
        if self.reach != Reach::Lost {
            tracing::warn!(error = %ErrorChain(error), "the operator is out of reach; routes are served on");
        }
        self.reach = Reach::Lost;
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
    /// The next configuration with the sets before it, or broadcast; nothing at the end. Can be dropped and called again without losing
    /// anything.
    async fn next(&mut self, incoming: &mut Incoming) -> Result<Option<Arrived>, LinkError> {
        loop {
            match self.lines.next_line()? {
                Some(ToSidecar::Configuration(configuration)) => {
                    let sets = std::mem::take(&mut self.sets);
                    return Ok(Some(Arrived::Configuration(Received { configuration, sets })));
                }
                Some(ToSidecar::Broadcast(broadcast)) => return Ok(Some(Arrived::Broadcast(broadcast))),
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

    impl Link {
        /// What streams begin with.
        pub(in super::super) fn hello(&self) -> Hello {
            self.told.state().hello.clone().unwrap()
        }

        /// What nobody has taken yet.
        pub(in super::super) fn waiting(&self) -> Vec<Acknowledgement> {
            self.told.state().acknowledgements.iter().cloned().collect()
        }

        pub(in super::super) fn take_answer(&self) -> Option<BroadcastResult> {
            self.told.state().answers.pop_front()
        }
    }
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
