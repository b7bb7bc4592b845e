//! What runs for WsRoutes: the webhook on every replica, the rest on the leader.

use super::{Process, ProcessError, listen};
use crate::certificates::{self, Serving};
use crate::config_stream::{self, Sidecars};
use crate::metrics::Metrics;
use crate::settings::SidecarsSettings;
use crate::webhook::{self, Webhook};
use crate::ws_route::{self, Controller, Synced, WsRouteContext};
use heddle_telemetry::ErrorChain;
use kube::Client;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Starts what every replica runs. It goes on until `stop` is cancelled.
pub(super) async fn start_on_every_replica(
    process: &Process<'_>,
    sidecars: &SidecarsSettings,
    background: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), ProcessError> {
    let Process {
        settings,
        client,
        health,
        metrics,
        serving,
    } = process;
    let listener = listen(sidecars.webhook_listen).await?;
    let certificate_is_there = health.expect_cache("the certificate");
    background.spawn(certificates::follow(
        Client::clone(client),
        sidecars.certificates.clone(),
        Serving::clone(serving),
        certificate_is_there,
        stop.clone(),
    ));
    let routes_are_known = health.expect_cache("WsRoutes of the webhook");
    let (routes, following) = webhook::follow(
        Client::clone(client),
        &settings.watch_namespaces,
        routes_are_known,
        stop.clone(),
    );
    background.spawn(following);
    let webhook = Webhook {
        routes,
        sidecar: sidecars.sidecar.clone(),
        trust_bundle: serving.bundle(),
        metrics: Metrics::clone(metrics),
    };
    let served = webhook::serve(listener, Serving::clone(serving), webhook, stop.clone());
    background.spawn(async move {
        if let Err(error) = served.await {
            tracing::error!(error = %ErrorChain(&error), "the webhook cannot be served");
        }
    });
    Ok(())
}

/// Starts what the leader runs. It goes on until `stop` is cancelled.
pub(super) async fn start_on_leader(
    process: &Process<'_>,
    sidecars: &SidecarsSettings,
    tasks: &mut JoinSet<&'static str>,
    stop: &CancellationToken,
) -> Result<(), ProcessError> {
    let Process {
        settings,
        client,
        health,
        metrics,
        serving,
    } = process;
    let listener = listen(sidecars.stream.listen).await?;
    let port = listener
        .local_addr()
        .map_or(sidecars.stream.listen.port(), |address| address.port());
    let kept = certificates::keep(
        Client::clone(client),
        sidecars.certificates.clone(),
        Metrics::clone(metrics),
        health.heartbeat("the keeper of certificates"),
        stop.clone(),
    );
    let connected = Sidecars::new(metrics.sidecars_connected.clone());
    let served = config_stream::serve(
        listener,
        Client::clone(client),
        Serving::clone(serving),
        connected.clone(),
        Metrics::clone(metrics),
        stop.clone(),
    );
    let controller = Controller {
        context: Arc::new(WsRouteContext::new(
            Client::clone(client),
            connected,
            Metrics::clone(metrics),
            serving.bundle(),
            settings.replica.clone(),
        )),
        namespaces: settings.watch_namespaces.clone(),
        concurrency: settings.concurrency.into(),
        heartbeat: health.heartbeat("the controller of WsRoutes"),
        synced: Synced::expected_by(health, &settings.watch_namespaces),
    };
    let until_stop = stop.clone();
    tasks.spawn(async move {
        kept.await;
        // Somebody else may be who keeps them.
        until_stop.cancelled().await;
        "the keeper of certificates"
    });
    tasks.spawn(async move {
        if let Err(error) = served.await {
            tracing::error!(error = %ErrorChain(&error), "the configuration stream cannot be served");
        }
        "the configuration stream"
    });
    let controlled = ws_route::run(controller, stop.clone());
    tasks.spawn(async move {
        controlled.await;
        "the controller of WsRoutes"
    });
    if let Some(service) = sidecars.stream.service.clone() {
        let pointed = config_stream::point_here(Client::clone(client), service, port, stop.clone());
        tasks.spawn(async move {
            pointed.await;
            "the endpoint of the configuration stream"
        });
    }
    Ok(())
}
