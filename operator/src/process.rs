//! The life of the process: what is started in which order, and how it ends.

mod sidecars;
mod subscriptions;

use crate::broadcaster::Broadcaster;
use crate::certificates::Serving;
use crate::context::Context;
use crate::failures::Failures;
use crate::health::Health;
use crate::idl_repo::{self, Controller, Synced};
use crate::leader::{Election, LeadershipLost};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::source::SourceClient;
use crate::sse_subscription::PrepareError;
use heddle_http_server::serve_probes;
use heddle_telemetry::{ErrorChain, MetricsRegistry, Telemetry};
use kube::Client;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the last spans may take to be exported.
const TELEMETRY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the API server is asked for a sign of life.
const CONTACT_INTERVAL: Duration = Duration::from_secs(5);

/// Why the process ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("failed to listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("failed to find out how to reach the API server")]
    Configuration(#[source] kube::config::InferConfigError),
    #[error("failed to make a client of the API server")]
    Client(#[source] kube::Error),
    #[error("failed to listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Subscriptions(#[from] PrepareError),
    #[error(transparent)]
    LeadershipLost(#[from] LeadershipLost),
    #[error("failed to go on: {0} ended by itself")]
    Ended(&'static str),
    #[error("failed to stop in {} s: work was still in progress", .0.as_secs())]
    ShutdownTimeout(Duration),
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
        Ok(()) => tracing::info!("operator stopped"),
        Err(error) => tracing::error!(error = %ErrorChain(error), "operator failed"),
    }
    if let Err(error) = telemetry.shutdown(TELEMETRY_TIMEOUT).await {
        tracing::warn!(error = %ErrorChain(&error), "spans were lost");
    }
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What the parts of the process share.
struct Process<'a> {
    settings: &'a Settings,
    client: Client,
    health: Health,
    metrics: Metrics,
    serving: Serving,
    broadcaster: Broadcaster,
}

async fn run_with(settings: &Settings, telemetry: &Telemetry) -> Result<(), ProcessError> {
    let mut background = JoinSet::new();
    let health = Health::default();
    let stop = CancellationToken::new();
    background.spawn(stop_on_signal(signals()?, health.clone(), stop.clone()));
    let config = kube::Config::infer().await.map_err(ProcessError::Configuration)?;
    let client = Client::try_from(config).map_err(ProcessError::Client)?;
    let listener = listen(settings.listen).await?;
    let mut registry = MetricsRegistry::new("operator", env!("CARGO_PKG_VERSION"));
    registry.register_telemetry(telemetry);
    let metrics = Metrics::new(&mut registry);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        replica = settings.replica,
        listen = %settings.listen,
        "operator started"
    );

    let stop_background = CancellationToken::new();
    background.spawn(serve_probes(
        listener,
        health.clone(),
        registry,
        stop_background.clone(),
    ));
    background.spawn(keep_in_contact(
        client.clone(),
        health.clone(),
        stop_background.clone(),
    ));
    let serving = Serving::default();
    let process = Process {
        settings,
        client,
        health,
        metrics,
        broadcaster: sidecars::broadcaster(settings.sidecars.as_ref(), &serving),
        serving,
    };
    let mut started = Ok(());
    if let Some(of_sidecars) = &settings.sidecars {
        let stop = &stop_background;
        started = sidecars::start_on_every_replica(&process, of_sidecars, &mut background, stop).await;
    }
    if let Some(of_subscriptions) = settings.subscriptions.as_ref().filter(|_| started.is_ok()) {
        started = subscriptions::start_on_every_replica(&process, of_subscriptions, &mut background, &stop);
    }
    let worked = async {
        let result = match started {
            Ok(()) => work(&process, &stop).await,
            Err(error) => Err(error),
        };
        // What waits for a signal may have none to wait for any more.
        stop.cancel();
        result
    };
    let (result, ()) = tokio::join!(worked, linger(settings, &stop));
    stop_background.cancel();
    background.join_all().await;
    result
}

/// Goes on for a while after the end has begun: the pod is not ready any more, but API servers learn that later, and what
/// they ask meanwhile is answered.
async fn linger(settings: &Settings, stop: &CancellationToken) {
    stop.cancelled().await;
    if let Some(of_sidecars) = &settings.sidecars {
        tokio::time::sleep(of_sidecars.webhook_linger).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ProcessError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ProcessError::Listen { address, source })
}

/// The signals that end a process: from Kubernetes and from a terminal.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

fn signals() -> Result<Signals, ProcessError> {
    let listen = |kind| signal(kind).map_err(ProcessError::Signals);
    Ok(Signals {
        terminate: listen(SignalKind::terminate())?,
        interrupt: listen(SignalKind::interrupt())?,
    })
}

async fn stop_on_signal(mut signals: Signals, health: Health, stop: CancellationToken) {
    tokio::select! {
        _ = signals.terminate.recv() => {}
        _ = signals.interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
    health.stop();
    stop.cancel();
}

/// Asks the API server for a sign of life now and then: watches and leases alone would not tell a quiet cluster from an
/// unreachable one.
async fn keep_in_contact(client: Client, health: Health, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CONTACT_INTERVAL);
    let mut is_lost = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = tokio::time::timeout(CONTACT_INTERVAL, client.apiserver_version()) => answer,
        };
        let trouble = match answer {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(ErrorChain(&error).to_string()),
            Err(_) => Some(format!("no answer within {} s", CONTACT_INTERVAL.as_secs())),
        };
        match (&trouble, is_lost) {
            (None, true) => tracing::info!("the API server answers again"),
            (Some(error), false) => tracing::warn!(error, "the API server does not answer"),
            _ => {}
        }
        is_lost = trouble.is_some();
        if !is_lost {
            health.note_api_contact();
        }
    }
}

/// Works while this replica leads.
async fn work(process: &Process<'_>, stop: &CancellationToken) -> Result<(), ProcessError> {
    let Some(lease) = &process.settings.lease else {
        process.metrics.leader.set(1);
        return lead(process, stop).await;
    };
    let heartbeat = process.health.heartbeat("leader election");
    let (election, leads) = Election::new(
        process.client.clone(),
        lease,
        process.settings.replica.clone(),
        heartbeat,
    );
    // The Lease is kept until the work has ended, so that no other replica begins before.
    let work_ended = CancellationToken::new();
    let mut election = std::pin::pin!(election.run(work_ended.clone()));
    let worked = async {
        let worked = match wait_until_leading(leads, stop).await {
            true => {
                process.metrics.leader.set(1);
                lead(process, stop).await
            }
            false => Ok(()),
        };
        work_ended.cancel();
        worked
    };
    let mut worked = std::pin::pin!(worked);
    tokio::select! {
        // What is in flight is dropped on the spot: another replica may be at work already.
        lost = &mut election => {
            process.metrics.leader.set(0);
            Err(lost.err().map_or(ProcessError::Ended("the election"), ProcessError::from))
        }
        worked = &mut worked => {
            election.await?;
            process.metrics.leader.set(0);
            worked
        }
    }
}

async fn wait_until_leading(mut leads: watch::Receiver<bool>, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        leading = leads.wait_for(|leads| *leads) => leading.is_ok(),
    }
}

/// Runs the controllers until told to stop, and then gives what is in flight some time to finish.
async fn lead(process: &Process<'_>, stop: &CancellationToken) -> Result<(), ProcessError> {
    let settings = process.settings;
    let mut controllers = JoinSet::new();
    if let Some(of_sidecars) = &settings.sidecars {
        sidecars::start_on_leader(process, of_sidecars, &mut controllers, stop).await?;
    }
    start_idl_repos(process, &mut controllers, stop);
    tokio::select! {
        () = stop.cancelled() => {}
        ended = controllers.join_next() => {
            // The signal ends controllers too.
            if !stop.is_cancelled() {
                let who = ended.and_then(Result::ok).unwrap_or("a controller");
                return Err(ProcessError::Ended(who));
            }
        }
    }
    tracing::info!("stopping; waiting for what is in flight");
    let ended = tokio::time::timeout(settings.shutdown_timeout, async {
        while controllers.join_next().await.is_some() {}
    });
    ended
        .await
        .map_err(|_| ProcessError::ShutdownTimeout(settings.shutdown_timeout))
}

fn start_idl_repos(process: &Process<'_>, controllers: &mut JoinSet<&'static str>, stop: &CancellationToken) {
    let Process {
        settings, metrics, ..
    } = process;
    let context = Arc::new(Context {
        client: process.client.clone(),
        source: SourceClient::new(
            settings.address_policy.clone(),
            settings.concurrency.into(),
            metrics.questions_waiting.clone(),
            stop.clone(),
        ),
        job_defaults: settings.job_defaults.clone(),
        settings_version: settings.job_defaults.version(),
        metrics: metrics.clone(),
        failures: Failures::default(),
        refusals: Failures::default(),
        permits: Semaphore::new(settings.concurrency.into()),
        events_are_unreadable: AtomicBool::new(false),
        instance: settings.replica.clone(),
    });
    let everywhere = [None];
    let some: Vec<_> = settings.watch_namespaces.iter().cloned().map(Some).collect();
    for namespace in if some.is_empty() {
        everywhere.to_vec()
    } else {
        some
    } {
        let controller = Controller {
            client: process.client.clone(),
            context: Arc::clone(&context),
            namespace,
            heartbeat: process.health.heartbeat("the controller of IdlRepos"),
            synced: Synced::expected_by(&process.health),
        };
        let controlled = idl_repo::run(controller, stop.clone());
        controllers.spawn(async move {
            controlled.await;
            "the controller of IdlRepos"
        });
    }
}
