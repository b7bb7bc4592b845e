//! The connection to the operator: made again whenever it ends.

mod open;
mod reader;
mod told;

use super::StreamSettings;
use crate::backoff::Backoff;
use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::mpsc as body_channel;
use heddle_crds::publication::UncompressError;
use heddle_route_config::protocol::{
    Acknowledgement, AssemblyError, Broadcast, BroadcastResult, Configuration, Hello, LinesError, ToOperator,
    line,
};
use heddle_telemetry::ErrorChain;
use http::StatusCode;
use hyper::body::Frame;
use open::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, open};
use reader::Reader;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use told::Told;

/// The pause after a first failure, and the longest one.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_LIMIT: Duration = Duration::from_secs(15);

/// A stream that has lasted so long is a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Lines that wait to be sent.
const OUTGOING_LIMIT: usize = 4;

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
    #[error(transparent)]
    Uncompress(#[from] UncompressError),
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
        self.told.begin(hello);
    }

    /// Sends an acknowledgement over the stream that there is. Later ones begin with `hello`.
    pub(super) fn acknowledge(&self, hello: Hello, acknowledgement: Acknowledgement) {
        self.told.acknowledge(hello, acknowledgement);
    }

    /// Says what became of a broadcast that came over the stream that there is.
    pub(super) fn answer(&self, result: BroadcastResult) {
        self.told.answer(result);
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

fn frame(message: &ToOperator) -> Frame<Bytes> {
    Frame::data(line(message).into())
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
}
