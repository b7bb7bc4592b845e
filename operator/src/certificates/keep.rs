//! The leader keeps the Secret fresh, and the `caBundle` of the webhooks with it.

use super::authority::{self, IssueError};
use super::plan::{Step, plan};
use super::stored::{self, Certificate, Stored, StoredError};
use super::webhooks::{self, PatchError};
use super::{CertificateIssuer, CertificateSettings, Lifetimes};
use crate::health::Heartbeat;
use crate::metrics::Metrics;
use heddle_crds::metadata::FIELD_MANAGER;
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often is looked whether anybody has touched Secret or webhooks. It costs a read or three.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long one look may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Why certificates are not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("failed to read the Secret with the certificates")]
    Read(#[source] kube::Error),
    #[error("failed to write the Secret with the certificates")]
    Write(#[source] kube::Error),
    #[error("failed to renew the certificates")]
    Issue(#[from] IssueError),
    #[error("failed to read the certificates in the Secret")]
    Stored(#[from] StoredError),
    #[error("failed to tell the API server which authorities to trust")]
    Patch(#[from] PatchError),
    #[error("failed to look after the certificates within {} s", CHECK_TIMEOUT.as_secs())]
    Timeout,
}

/// Looks after the certificates until `stop` is cancelled.
pub(crate) async fn keep(
    client: Client,
    settings: CertificateSettings,
    metrics: Metrics,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let CertificateIssuer::Heddle(lifetimes) = settings.issuer else {
        return;
    };
    let mut is_failing = false;
    loop {
        heartbeat.beat();
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = tokio::time::timeout(CHECK_TIMEOUT, look(&client, &settings, &lifetimes)) => looked,
        };
        match looked.unwrap_or(Err(KeepError::Timeout)) {
            Ok(stored) => {
                metrics.note_certificates(
                    stored.serving.certificate.not_after,
                    stored.authority.certificate.not_after,
                );
                if std::mem::take(&mut is_failing) {
                    tracing::info!("certificates are looked after again");
                }
            }
            Err(error) => {
                metrics.certificate_failures.inc();
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(error = %ErrorChain(&error), "certificates are not looked after");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CHECK_INTERVAL.min(lifetimes.serving / 10)) => {}
        }
    }
}

/// One look: takes as many steps as there are, and brings the webhooks up to date.
async fn look(
    client: &Client,
    settings: &CertificateSettings,
    lifetimes: &Lifetimes,
) -> Result<Stored, KeepError> {
    let api = Api::<Secret>::namespaced(client.clone(), &settings.namespace);
    let secret = api.get_opt(&settings.secret).await.map_err(KeepError::Read)?;
    let before = match secret.as_ref().map(Stored::read) {
        Some(Ok(stored)) => Some(stored),
        None => None,
        Some(Err(error)) => {
            tracing::warn!(error = %ErrorChain(&error), "the certificates cannot be read and are made anew");
            None
        }
    };
    let mut after = before.clone();
    let now = Timestamp::now().as_second();
    loop {
        let step = plan(after.as_ref(), &settings.names, lifetimes, now);
        if let (Step::WaitUntil(_), Some(stored)) = (step, &after) {
            if before.as_ref() != Some(stored) {
                write(&api, settings, secret.as_ref(), stored).await?;
            }
            break;
        }
        tracing::info!(step = ?step, "certificates change");
        after = Some(carry_out(step, after, &settings.names, lifetimes, now)?);
    }
    let stored = after.ok_or(StoredError::Missing(stored::CERTIFICATE))?;
    if let Some(name) = &settings.webhook_configuration {
        webhooks::patch(client, name, &stored.bundle()).await?;
    }
    Ok(stored)
}

/// What a step leads to.
pub(super) fn carry_out(
    step: Step,
    stored: Option<Stored>,
    names: &[String],
    lifetimes: &Lifetimes,
    now: i64,
) -> Result<Stored, IssueError> {
    let serve = |authority| authority::serving(authority, names, now, lifetimes.serving);
    let Some(stored) = stored.filter(|_| step != Step::Begin) else {
        let authority = authority::authority(now, lifetimes.authority)?;
        return Ok(Stored {
            serving: serve(&authority)?,
            authority,
            next: None,
            former: Vec::new(),
        });
    };
    let mut former: Vec<Certificate> = stored.former.clone();
    former.retain(|certificate| certificate.not_after > now);
    Ok(match (step, stored.next.clone()) {
        (Step::Announce, _) => Stored {
            next: Some(authority::authority(now, lifetimes.authority)?),
            former,
            ..stored
        },
        (Step::Promote, Some(next)) => {
            former.push(stored.authority.certificate);
            Stored {
                serving: serve(&next)?,
                authority: next,
                next: None,
                former,
            }
        }
        _ => Stored {
            serving: serve(&stored.authority)?,
            former,
            ..stored
        },
    })
}

/// Writes to the very version that was read: two that believe to lead must not mix their keys.
async fn write(
    api: &Api<Secret>,
    settings: &CertificateSettings,
    before: Option<&Secret>,
    stored: &Stored,
) -> Result<(), KeepError> {
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    let written = match before {
        Some(secret) => {
            let secret = Secret {
                data: Some(stored.data()),
                ..secret.clone()
            };
            api.replace(&settings.secret, &parameters, &secret).await
        }
        None => {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(settings.secret.clone()),
                    namespace: Some(settings.namespace.clone()),
                    ..ObjectMeta::default()
                },
                type_: Some("kubernetes.io/tls".into()),
                data: Some(stored.data()),
                ..Secret::default()
            };
            api.create(&parameters, &secret).await
        }
    };
    written.map(drop).map_err(KeepError::Write)
}
