//! The life of the process: what is started in which order, and how it ends.

use crate::config::files::{self, FilesError};
use crate::config::{Applied, Configurator};
use crate::config_stream::{ConfigStream, StoreError, StreamSettings};
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
    let shared = Arc::new(Shared::new(settings.telemetry.otlp.is_some()));
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
    let configurator = Configurator::new(shared, workers, settings.listen_address, settings.secrets.clone());
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
    if stream.serve_kept(configurator).await {
        health.set_ready();
    }
    let mut asked = pin!(control.asked_to_drain());
    let mut ticks = tokio::time::interval(FILES_INTERVAL);
    loop {
        tokio::select! {
            () = stop(&mut signals.terminate, &mut signals.interrupt) => return Ok(()),
            () = &mut asked => return Ok(()),
            received = stream.next() => {
                stream.serve(received, configurator).await;
                health.set_ready();
            }
            _ = ticks.tick() => {
                configurator.refresh_secrets();
                stream.retry(configurator).await;
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
    let mut set = files::read(&settings.paths)?;
    for applied in configurator.apply(set.clone()).await {
        if let Some(error) = applied.error {
            return Err(ProcessError::Refused {
                id: applied.id.to_string(),
                message: error.message,
            });
        }
    }
    tracing::info!(routes = set.routes.len(), "routes are served");
    health.set_ready();
    let mut asked = pin!(control.asked_to_drain());
    let mut ticks = tokio::time::interval(FILES_INTERVAL);
    let mut trouble = None;
    loop {
        tokio::select! {
            () = stop(&mut signals.terminate, &mut signals.interrupt) => return Ok(()),
            () = &mut asked => return Ok(()),
            _ = signals.reload.recv() => {}
            _ = ticks.tick() => {}
        }
        configurator.refresh_secrets();
        match files::read(&settings.paths) {
            Ok(read) if read == set => trouble = None,
            Ok(read) => {
                trouble = None;
                set = read;
                report(&configurator.apply(set.clone()).await);
            }
            // Said once: the files are looked at every second.
            Err(error) => {
                let text = ErrorChain(&error).to_string();
                if trouble.as_ref() != Some(&text) {
                    tracing::error!(
                        error = text,
                        "failed to read the routes anew; the former ones are served on"
                    );
                }
                trouble = Some(text);
            }
        }
    }
}

fn report(applied: &[Applied]) {
    for route in applied {
        if let Some(error) = &route.error {
            tracing::error!(route = %route.id, error = error.message, "failed to apply a route");
        }
    }
    let refused = applied.iter().filter(|route| route.error.is_some()).count();
    tracing::info!(routes = applied.len(), refused, "routes are served");
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
