//! What runs for WsRoutes: the webhook on every replica, the rest on the leader.

use super::{Process, ProcessError, listen};
use crate::broadcaster::{Broadcaster, LeaderSettings, NoWay};
use crate::certificates::{self, Serving};
use crate::config_stream::{self, Relay, Sidecars};
use crate::settings::SidecarsSettings;
use crate::webhook::{self, InFlight, Webhook};
use crate::ws_route::{self, Controller, Synced, WsRouteContext};
use heddle_telemetry::ErrorChain;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How this replica has messages go to all sessions of a route.
pub(super) fn broadcaster(sidecars: Option<&SidecarsSettings>, serving: &Serving) -> Broadcaster {
    let leader = || {
        let sidecars = sidecars.ok_or(NoWay::Sidecars)?;
        let token_file = sidecars.stream.broadcast_token_file.clone();
        Ok(LeaderSettings {
            url: sidecars.sidecar.configuration_url.clone(),
            token_file: token_file.ok_or(NoWay::Token)?,
        })
    };
    Broadcaster::new(leader(), serving.bundle())
}

/// Starts what every replica runs. It goes on until `stop` is cancelled.
pub(super) async fn start_on_every_replica(
    process: &Process<'_>,
    sidecars: &SidecarsSettings,
    background: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), ProcessError> {
    let listener = listen(sidecars.webhook_listen).await?;
    let certificate_is_there = process.health.expect_cache("the certificate");
    background.spawn(certificates::follow(
        process.client.clone(),
        sidecars.certificates.clone(),
        process.serving.clone(),
        certificate_is_there,
        stop.clone(),
    ));
    let routes_are_known = process.health.expect_cache("WsRoutes of the webhook");
    let (routes, following) = webhook::follow(
        process.client.clone(),
        &process.settings.watch_namespaces,
        routes_are_known,
        stop.clone(),
    );
    background.spawn(following);
    let webhook = Webhook {
        routes,
        sidecar: sidecars.sidecar.clone(),
        trust_bundle: process.serving.bundle(),
        metrics: process.metrics.clone(),
        in_flight: InFlight::default(),
    };
    let served = webhook::serve(listener, process.serving.clone(), webhook, stop.clone());
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
    let listener = listen(sidecars.stream.listen).await?;
    let port = listener
        .local_addr()
        .map_or(sidecars.stream.listen.port(), |address| address.port());
    let kept = certificates::keep(
        process.client.clone(),
        sidecars.certificates.clone(),
        process.metrics.clone(),
        process.health.heartbeat("the keeper of certificates"),
        stop.clone(),
    );
    let connected = Sidecars::new(process.metrics.sidecars_connected.clone());
    let relay = Relay::new(connected.clone(), process.metrics.clone());
    process.broadcaster.lead(relay.clone());
    let served = config_stream::serve(
        listener,
        process.client.clone(),
        process.serving.clone(),
        sidecars.stream.broadcast_token_file.clone(),
        relay,
        stop.clone(),
    );
    let controller = Controller {
        context: Arc::new(WsRouteContext::new(
            process.client.clone(),
            connected,
            process.metrics.clone(),
            process.serving.bundle(),
            process.settings.replica.clone(),
            sidecars.certificates.webhook_configuration.clone(),
        )),
        namespaces: process.settings.watch_namespaces.clone(),
        concurrency: process.settings.concurrency.into(),
        heartbeat: process.health.heartbeat("the controller of WsRoutes"),
        synced: Synced::expected_by(&process.health, &process.settings.watch_namespaces),
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
        let pointed = config_stream::point_here(process.client.clone(), service, port, stop.clone());
        tasks.spawn(async move {
            pointed.await;
            "the endpoint of the configuration stream"
        });
    }
    Ok(())
}
