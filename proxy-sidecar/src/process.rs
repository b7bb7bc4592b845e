//! The life of the process: what is started in which order, and how it ends.

use crate::backoff::Retry;
use crate::config::files::{self, FileSet, FilesError, Paths};
use crate::config::{Configurator, Listening, Reporter};
use crate::config_stream::{Arrived, ConfigStream, StoreError, StreamSettings};
use crate::control::{ControlError, ControlSocket};
use crate::health::Health;
use crate::metrics::RoutesCollector;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::worker::{WorkerError, Workers};
use heddle_http_server::serve_probes;
use heddle_telemetry::{ErrorChain, MetricsRegistry, Telemetry};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the last spans may take to be exported.
const TELEMETRY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often files are looked at.
const FILES_INTERVAL: Duration = Duration::from_secs(1);

/// Why the process ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("failed to listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("failed to listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("failed to open what is kept of the configuration")]
    Store(#[from] StoreError),
    #[error("failed to read the routes to begin with")]
    Files(#[from] FilesError),
    #[error("failed to serve WsRoute {id}: {message}")]
    Refused { id: String, message: String },
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("failed to end every session in time")]
    SessionsLeft,
}

/// Runs until a signal says otherwise or something breaks.
pub(crate) async fn run(settings: Settings) -> ExitCode {
    let telemetry = match heddle_telemetry::init(settings.telemetry.clone()) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("{}", ErrorChain(&error));
            return ExitCode::FAILURE;
        }
    };
    let result = run_with(&settings, &telemetry).await;
    match &result {
        Ok(()) => tracing::info!("proxy stopped"),
        Err(error) => tracing::error!(error = %ErrorChain(error), "proxy failed"),
    }
    if let Err(error) = telemetry.shutdown(TELEMETRY_TIMEOUT).await {
        tracing::warn!(error = %ErrorChain(&error), "spans were lost");
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run_with(settings: &Settings, telemetry: &Telemetry) -> Result<(), ProcessError> {
    let mut signals = Signals::listen()?;
    raise_file_limit();
    let shared = Arc::new(Shared::new(
        settings.telemetry.otlp.is_some(),
        settings.telemetry.sampler,
    ));
    let health = Health::default();
    let stop_admin = CancellationToken::new();
    let mut background = JoinSet::new();
    let admin = TcpListener::bind(settings.admin)
        .await
        .map_err(|source| ProcessError::Listen {
            address: settings.admin,
            source,
        })?;
    let registry = metrics(&shared, telemetry);
    background.spawn(serve_probes(admin, health.clone(), registry, stop_admin.clone()));
    let workers = Workers::start(settings.threads, &shared)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        threads = settings.threads,
        admin = %settings.admin,
        "proxy started"
    );
    let listening = Listening {
        address: settings.listen_address,
        admin_port: settings.admin.port(),
    };
    let configurator = Configurator::new(shared, workers, listening, settings.secrets.clone());
    let result = serve(settings, configurator, &health, &mut signals).await;
    stop_admin.cancel();
    background.join_all().await;
    result
}

fn metrics(shared: &Arc<Shared>, telemetry: &Telemetry) -> MetricsRegistry {
    let mut registry = MetricsRegistry::new("proxy", env!("CARGO_PKG_VERSION"));
    registry.register_telemetry(telemetry);
    shared.metrics.register(&mut registry);
    registry.register_collector(RoutesCollector::new(Arc::clone(shared)));
    registry
}

/// Serves until a signal says otherwise, and then has every session end in order.
async fn serve(
    settings: &Settings,
    mut configurator: Configurator,
    health: &Health,
    signals: &mut Signals,
) -> Result<(), ProcessError> {
    let control = ControlSocket::open(settings.state_dir.as_deref())?;
    match &settings.stream {
        Some(stream) => follow_operator(stream, &mut configurator, health, signals, &control).await?,
        None => follow_files(settings, &mut configurator, health, signals, &control).await?,
    }
    tracing::info!("draining");
    health.stop();
    let ended = configurator.drain().await;
    control.drained().await;
    match ended {
        true => Ok(()),
        false => Err(ProcessError::SessionsLeft),
    }
}

/// Serves by what the operator says, and before it says anything by what it said last, until a signal says otherwise.
async fn follow_operator(
    settings: &StreamSettings,
    configurator: &mut Configurator,
    health: &Health,
    signals: &mut Signals,
    control: &ControlSocket,
) -> Result<(), ProcessError> {
    let mut stream = ConfigStream::open(settings)?;
    if let Some(applied) = stream.serve_kept(configurator).await {
        health.set_applied(&applied);
    }
    let mut asked = pin!(control.asked_to_drain());
    let mut ticks = tokio::time::interval(FILES_INTERVAL);
    loop {
        tokio::select! {
            () = stop(&mut signals.terminate, &mut signals.interrupt) => return Ok(()),
            () = &mut asked => return Ok(()),
            arrived = stream.next() => match arrived {
                Arrived::Configuration(received) => {
                    health.set_applied(&stream.serve(received, configurator).await);
                }
                Arrived::Broadcast(broadcast) => stream.broadcast(&broadcast, configurator),
            },
            _ = ticks.tick() => {
                configurator.refresh_secrets();
                if let Some(applied) = stream.retry(configurator).await {
                    health.set_applied(&applied);
                }
            }
        }
    }
}

/// Serves by what the files say, until a signal says otherwise.
async fn follow_files(
    settings: &Settings,
    configurator: &mut Configurator,
    health: &Health,
    signals: &mut Signals,
    control: &ControlSocket,
) -> Result<(), ProcessError> {
    let mut followed = FollowedFiles::begin(&settings.paths, configurator, health).await?;
    let mut asked = pin!(control.asked_to_drain());
    let mut ticks = tokio::time::interval(FILES_INTERVAL);
    loop {
        tokio::select! {
            () = stop(&mut signals.terminate, &mut signals.interrupt) => return Ok(()),
            () = &mut asked => return Ok(()),
            _ = signals.reload.recv() => {}
            _ = ticks.tick() => {}
        }
        configurator.refresh_secrets();
        if followed.look() || followed.retry.is_due() {
            followed.apply(configurator, health).await;
        }
    }
}

/// Files whose routes are served.
struct FollowedFiles<'a> {
    paths: &'a Paths,
    set: FileSet,
    /// Why they could not be read the last time.
    trouble: Option<String>,
    retry: Retry,
    reporter: Reporter,
}

impl<'a> FollowedFiles<'a> {
    /// Serves what they say. Whoever starts the program learns at once of a route that cannot be served.
    async fn begin(
        paths: &'a Paths,
        configurator: &mut Configurator,
        health: &Health,
    ) -> Result<Self, ProcessError> {
        let set = files::read(paths)?;
        let applied = configurator.apply(set.route_set()).await;
        for route in &applied {
            if let Some(error) = &route.error {
                return Err(ProcessError::Refused {
                    id: route.id.to_string(),
                    message: error.message.clone(),
                });
            }
        }
        tracing::info!(routes = applied.len(), "routes are served");
        health.set_applied(&applied);
        Ok(Self {
            paths,
            set,
            trouble: None,
            retry: Retry::default(),
            reporter: Reporter::default(),
        })
    }

    /// Reads them again. Whether they say something else.
    fn look(&mut self) -> bool {
        match files::read(self.paths) {
            Ok(read) => {
                self.trouble = None;
                let is_new = read != self.set;
                if is_new {
                    self.set = read;
                    self.retry.reset();
                }
                is_new
            }
            // Said once: the files are looked at every second.
            Err(error) => {
                let text = ErrorChain(&error).to_string();
                if self.trouble.as_ref() != Some(&text) {
                    tracing::error!(
                        error = text,
                        "failed to read the routes anew; the former ones are served on"
                    );
                }
                self.trouble = Some(text);
                false
            }
        }
    }

    async fn apply(&mut self, configurator: &mut Configurator, health: &Health) {
        let is_again = self.retry.is_due();
        let applied = configurator.apply(self.set.route_set()).await;
        let refused = applied.iter().filter(|route| route.error.is_some()).count();
        self.retry.note(refused == 0);
        self.reporter.report(&applied);
        if !is_again {
            tracing::info!(routes = applied.len(), refused, "routes are served");
        }
        health.set_applied(&applied);
    }
}

/// Has as many connections as the system lets us: each session has two.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most).map(|()| most));
    match raised {
        Ok(most) => tracing::debug!(limit = most, "the limit of open files was raised"),
        Err(error) => tracing::warn!(error = %error, "failed to raise the limit of open files"),
    }
}

/// The signals that mean something: from Kubernetes, from a terminal, and from who has changed the files.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> Result<Self, ProcessError> {
        let listen = |kind| signal(kind).map_err(ProcessError::Signals);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
        })
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
