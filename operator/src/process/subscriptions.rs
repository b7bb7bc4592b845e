//! What runs for SseSubscriptions, on every replica: its membership, and the controller of its share.

use super::{Process, ProcessError};
use crate::metrics::Metrics;
use crate::settings::SubscriptionsSettings;
use crate::sharding::{Fence, Membership, View, new_identity};
use crate::sse_subscription::{self, Controller, SubscriptionContext, Synced};
use kube::Client;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Starts it. It ends some time after `stop` is cancelled: when every stream's place is stored and all claims are given
/// back.
pub(super) fn start_on_every_replica(
    process: &Process<'_>,
    subscriptions: &SubscriptionsSettings,
    background: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), ProcessError> {
    let Process {
        settings,
        client,
        health,
        metrics,
        broadcaster,
        ..
    } = process;
    let replica = &settings.replica;
    let (membership, view, fence) = match &settings.lease {
        Some(lease) => {
            let (membership, view, fence) = Membership::new(Client::clone(client), lease, replica);
            (Some(membership), view, fence)
        }
        None => {
            let alone = View::alone(&new_identity(replica), replica);
            (None, watch::channel(alone).1, Fence::open())
        }
    };
    let context = SubscriptionContext::new(
        Client::clone(client),
        Metrics::clone(metrics),
        subscriptions.clone(),
        broadcaster.clone(),
        view,
        fence,
        replica.clone(),
    );
    let controller = Controller {
        context: Arc::new(context?),
        namespaces: settings.watch_namespaces.clone(),
        concurrency: settings.concurrency.into(),
        heartbeat: health.heartbeat("the controller of SseSubscriptions"),
        synced: Synced::expected_by(health, &settings.watch_namespaces),
    };
    let everything_is_let_go = CancellationToken::new();
    if let Some(membership) = membership {
        let heartbeat = health.heartbeat("the membership");
        background.spawn(membership.run(heartbeat, everything_is_let_go.clone()));
    }
    let controlled = sse_subscription::run(controller, stop.clone());
    background.spawn(async move {
        controlled.await;
        everything_is_let_go.cancel();
    });
    Ok(())
}
