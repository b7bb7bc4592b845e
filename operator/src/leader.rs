//! Leader election by a Lease: at most one replica works.
//!
//! The rules are those of client-go: a holder's time is measured by this replica's own clock from the moment it saw the
//! last renewal, so that clocks need not agree; and every write names the version that was read, so that two replicas
//! never both win.

mod lease;

use crate::health::Heartbeat;
use crate::settings::LeaseSettings;
use heddle_telemetry::ErrorChain;
use kube::Client;
use lease::{Attempt, LeaseClient};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The holder renews this often within the Lease's duration.
const RENEWALS: u32 = 5;

/// The share of the Lease's duration after which a holder that could not renew stops, well before others may start.
const RENEW_SHARE: f64 = 2.0 / 3.0;

/// The leadership was lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeadershipLost {
    #[error("failed to keep the Lease: {0} holds it now")]
    Taken(String),
    #[error("failed to keep the Lease: it could not be renewed for {} s", .0.as_secs())]
    Expired(Duration),
}

/// An election that a replica takes part in.
pub(crate) struct Election {
    lease: LeaseClient,
    duration: Duration,
    heartbeat: Heartbeat,
    leads: watch::Sender<bool>,
}

impl Election {
    /// Takes part as `identity`. The receiver says whether it leads.
    pub(crate) fn new(
        client: Client,
        settings: &LeaseSettings,
        identity: String,
        heartbeat: Heartbeat,
    ) -> (Self, watch::Receiver<bool>) {
        let (leads, receiver) = watch::channel(false);
        let lease = LeaseClient::new(client, settings, identity);
        (
            Self {
                lease,
                duration: settings.duration,
                heartbeat,
                leads,
            },
            receiver,
        )
    }

    /// Waits for the leadership and keeps it, until it is lost or `stop` is cancelled. In the latter case the Lease is
    /// given back, so that another replica need not wait for its end: to be cancelled only when the work has ended.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), LeadershipLost> {
        let interval = self.duration / RENEWALS;
        let patience = self.duration.mul_f64(RENEW_SHARE);
        let mut renewed_at: Option<Instant> = None;
        loop {
            self.heartbeat.beat();
            let asked_at = Instant::now();
            let timeout =
                renewed_at.map_or(interval, |at| (at + patience).saturating_duration_since(asked_at));
            let attempt = tokio::select! {
                () = stop.cancelled() => break,
                attempt = self.lease.acquire_or_renew(timeout.min(interval)) => attempt,
            };
            match (attempt, renewed_at) {
                (Ok(Attempt::Held), before) => {
                    // From before the request, since the server may have taken the renewal as early as then.
                    renewed_at = Some(asked_at);
                    if before.is_none() {
                        tracing::info!(identity = self.lease.identity(), "leadership acquired");
                        self.leads.send_replace(true);
                    }
                }
                (Ok(Attempt::HeldBy(other)), Some(_)) => return Err(LeadershipLost::Taken(other)),
                (Ok(Attempt::HeldBy(_)), None) => {}
                (Err(error), _) => tracing::warn!(error = %ErrorChain(&error), "lease not renewed"),
            }
            if let Some(at) = renewed_at.filter(|at| at.elapsed() >= patience) {
                return Err(LeadershipLost::Expired(at.elapsed()));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(interval.saturating_sub(asked_at.elapsed())) => {}
            }
        }
        if renewed_at.is_some() {
            self.release(interval).await;
        }
        Ok(())
    }

    async fn release(&mut self, timeout: Duration) {
        match self.lease.release(timeout).await {
            Ok(()) => tracing::info!("leadership released"),
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "lease not released; it will expire"),
        }
    }
}
