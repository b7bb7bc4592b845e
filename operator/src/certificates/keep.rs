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
use std::collections::BTreeMap;
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
    let mut known = None;
    loop {
        heartbeat.beat();
        let look = look(&client, &settings, &lifetimes, known.as_ref());
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = tokio::time::timeout(CHECK_TIMEOUT, look) => looked,
        };
        match looked.unwrap_or(Err(KeepError::Timeout)) {
            Ok(stored) => {
                metrics.note_certificates(
                    stored.serving.certificate.not_after,
                    stored.authority.certificate.not_after,
                );
                known = Some(stored);
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

/// One look: takes as many steps as there are, and brings the webhooks up to date. `known` is what the last one found.
async fn look(
    client: &Client,
    settings: &CertificateSettings,
    lifetimes: &Lifetimes,
    known: Option<&Stored>,
) -> Result<Stored, KeepError> {
    let api = Api::<Secret>::namespaced(client.clone(), &settings.namespace);
    let secret = api.get_opt(&settings.secret).await.map_err(KeepError::Read)?;
    let before = secret.as_ref().and_then(|secret| Stored::read(secret).ok());
    let now = Timestamp::now().as_second();
    let mut after = match &before {
        Some(before) => Some(before.clone()),
        None => recover(secret.as_ref(), known, lifetimes, now)?,
    };
    loop {
        let step = plan(after.as_ref(), &settings.names, lifetimes, now);
        if let (Step::WaitUntil(_), Some(stored)) = (step, &after) {
            if before.as_ref() != Some(stored) {
                write(&api, settings, secret.as_ref(), stored).await?;
            }
            break;
        }
        if let Some(stored) = &after
            && (step == Step::Promote || !stored.is_served_by_own_authority())
        {
            announce(client, settings, stored, now).await?;
        }
        tracing::info!(step = ?step, "certificates change");
        after = Some(carry_out(step, after, &settings.names, lifetimes, now)?);
    }
    let stored = after.ok_or(StoredError::Missing(stored::CERTIFICATE))?;
    tell_webhooks(client, settings, &stored).await?;
    Ok(stored)
}

/// What to go on from when the Secret is not as the leader left it.
fn recover(
    secret: Option<&Secret>,
    known: Option<&Stored>,
    lifetimes: &Lifetimes,
    now: i64,
) -> Result<Option<Stored>, IssueError> {
    if let Some(secret) = secret {
        let ours = authority::authority(now, lifetimes.authority)?;
        match Stored::adopt(secret, ours) {
            Ok(adopted) => {
                tracing::warn!(
                    "the certificates were written by somebody else: they are served until ours are trusted"
                );
                return Ok(Some(adopted));
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "the certificates cannot be read"),
        }
    }
    // Sidecars trust the authority that was there, which nobody can make again.
    if known.is_some() {
        tracing::warn!("the Secret with the certificates is written again");
    }
    Ok(known.cloned())
}

/// Has the API server trust the bundle before something is served by it that it may not know, unless what is served has
/// ended anyway.
async fn announce(
    client: &Client,
    settings: &CertificateSettings,
    stored: &Stored,
    now: i64,
) -> Result<(), KeepError> {
    match tell_webhooks(client, settings, stored).await {
        Err(_) if stored.serving.certificate.not_after <= now => Ok(()),
        told => Ok(told?),
    }
}

async fn tell_webhooks(
    client: &Client,
    settings: &CertificateSettings,
    stored: &Stored,
) -> Result<(), PatchError> {
    let Some(name) = &settings.webhook_configuration else {
        return Ok(());
    };
    let bundle = settings.with_additional(&stored.bundle());
    webhooks::patch(client, name, &bundle).await
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
                    labels: Some(BTreeMap::from([(
                        "app.kubernetes.io/part-of".to_owned(),
                        "heddle".to_owned(),
                    )])),
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
