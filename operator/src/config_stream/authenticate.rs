//! Finds out who connects by service-account tokens: which pod a sidecar is in, and whether it is a replica of the operator.

use super::{BROADCASTS_AUDIENCE, PodId};
use heddle_route_config::protocol::TOKEN_AUDIENCE;
use http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// How many tokens are asked about at the same time: after a change of the leader, all sidecars come at once.
const REVIEW_LIMIT: usize = 32;

/// How long a sidecar waits for its turn and the answer.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a replica is believed without being asked about again, and how many tokens of replicas are known at once.
const REPLICA_TRUST: Duration = Duration::from_secs(60);
const REPLICAS_LIMIT: usize = 64;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Why somebody gets nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("failed to authenticate: there is no bearer token")]
    NoToken,
    #[error("failed to authenticate: the token is not valid for audience {0}")]
    NotAuthenticated(&'static str),
    #[error("failed to authenticate: the token is not bound to a pod")]
    NotBound,
    #[error("failed to authenticate: the token is not the operator's")]
    NotReplica,
    #[error("failed to find out who the operator itself is: it was given no token")]
    Unknown,
    #[error("failed to read the operator's own token")]
    OwnToken(#[source] io::Error),
    #[error("failed to have the token reviewed")]
    Review(#[source] kube::Error),
    #[error("failed to have the token reviewed within {} s", REVIEW_TIMEOUT.as_secs())]
    Timeout,
}

impl Refusal {
    /// For metrics.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::NotAuthenticated(_) => "not_authenticated",
            Self::NotBound => "not_bound",
            Self::NotReplica => "not_replica",
            Self::Unknown | Self::OwnToken(_) => "unknown",
            Self::Review(_) => "review",
            Self::Timeout => "timeout",
        }
    }

    /// What is answered.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::NotAuthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::NotBound | Self::NotReplica => StatusCode::FORBIDDEN,
            Self::Unknown | Self::OwnToken(_) | Self::Review(_) | Self::Timeout => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// Asks the API server about tokens.
pub(super) struct Authenticator {
    api: Api<TokenReview>,
    permits: Semaphore,
    /// A token of this replica's own.
    token_file: Option<PathBuf>,
    /// Whom that token is for, which all replicas are.
    own_name: OnceCell<String>,
    /// Until when tokens of replicas are believed, by their digests.
    replicas: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Authenticator {
    pub(super) fn new(client: Client, token_file: Option<PathBuf>) -> Self {
        Self {
            api: Api::all(client),
            permits: Semaphore::new(REVIEW_LIMIT),
            token_file,
            own_name: OnceCell::new(),
            replicas: Mutex::default(),
        }
    }

    /// The pod that the token in these header fields is bound to.
    pub(super) async fn pod(&self, headers: &HeaderMap) -> Result<PodId, Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let user = self.user(token, TOKEN_AUDIENCE).await?;
        pod(&user).ok_or(Refusal::NotBound)
    }

    /// Makes sure that the token in these header fields is a replica's of this operator: of the account that its own is of.
    pub(super) async fn replica(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        if self.is_believed(&digest, Instant::now()) {
            return Ok(());
        }
        let user = self.user(token, BROADCASTS_AUDIENCE).await?;
        let own_name = self.own_name.get_or_try_init(|| self.find_own_name()).await?;
        if user.username.as_ref() != Some(own_name) {
            return Err(Refusal::NotReplica);
        }
        self.believe(digest, Instant::now());
        Ok(())
    }

    fn is_believed(&self, digest: &[u8; 32], now: Instant) -> bool {
        let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.get(digest).is_some_and(|until| *until > now)
    }

    fn believe(&self, digest: [u8; 32], now: Instant) {
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.retain(|_, until| *until > now);
        if replicas.len() < REPLICAS_LIMIT {
            replicas.insert(digest, now + REPLICA_TRUST);
        }
    }

    async fn find_own_name(&self) -> Result<String, Refusal> {
        let file = self.token_file.as_ref().ok_or(Refusal::Unknown)?;
        let token = tokio::fs::read_to_string(file).await.map_err(Refusal::OwnToken)?;
        let user = self.user(token.trim(), BROADCASTS_AUDIENCE).await?;
        user.username.ok_or(Refusal::Unknown)
    }

    /// Whom a token is for.
    async fn user(&self, token: &str, audience: &'static str) -> Result<UserInfo, Refusal> {
        let review = tokio::time::timeout(REVIEW_TIMEOUT, self.review(token, audience)).await;
        let status = review.map_err(|_| Refusal::Timeout)??.status.unwrap_or_default();
        let is_for_us = status.audiences.iter().flatten().any(|found| found == audience);
        if status.authenticated != Some(true) || !is_for_us {
            return Err(Refusal::NotAuthenticated(audience));
        }
        Ok(status.user.unwrap_or_default())
    }

    async fn review(&self, token: &str, audience: &str) -> Result<TokenReview, Refusal> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![audience.to_owned()]),
            },
            ..TokenReview::default()
        };
        self.api
            .create(&PostParams::default(), &review)
            .await
            .map_err(Refusal::Review)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn pod(user: &UserInfo) -> Option<PodId> {
    let account = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?;
    let (namespace, _) = account.split_once(':')?;
    let extra = |name: &str| user.extra.as_ref()?.get(name)?.first().cloned();
    Some(PodId {
        namespace: namespace.to_owned(),
        name: extra(POD_NAME)?,
        uid: extra(POD_UID)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::collections::BTreeMap;

    #[test]
    fn only_a_service_account_with_a_pod_is_a_sidecar() {
        let extra = |names: &[&str]| {
            let values = names
                .iter()
                .map(|name| ((*name).to_owned(), vec!["x".to_owned()]));
            Some(values.collect::<BTreeMap<_, _>>())
        };
        let user = |username: &str, names: &[&str]| UserInfo {
            username: Some(username.into()),
            extra: extra(names),
            ..UserInfo::default()
        };
        let account = "system:serviceaccount:shop:default";
        let found = pod(&user(account, &[POD_NAME, POD_UID])).unwrap();
        assert_eq!((found.namespace.as_str(), found.uid.as_str()), ("shop", "x"));
        assert_eq!(pod(&user(account, &[POD_NAME])), None);
        assert_eq!(pod(&user("system:node:a", &[POD_NAME, POD_UID])), None);
    }

    #[tokio::test]
    async fn a_replica_is_believed_for_a_while_and_no_more_of_them_than_there_is_room_for() {
        let config = kube::Config::new(http::Uri::from_static("https://127.0.0.1:1"));
        let authenticator = Authenticator::new(Client::try_from(config).unwrap(), None);
        let now = Instant::now();
        authenticator.believe([0; 32], now);
        assert!(authenticator.is_believed(&[0; 32], now + REPLICA_TRUST / 2));
        assert!(!authenticator.is_believed(&[1; 32], now));
        assert!(!authenticator.is_believed(&[0; 32], now + REPLICA_TRUST));
        let digests = (1..=REPLICAS_LIMIT as u8).map(|number| [number; 32]);
        digests
            .clone()
            .for_each(|digest| authenticator.believe(digest, now));
        let believed = digests.filter(|digest| authenticator.is_believed(digest, now));
        assert_eq!(believed.count(), REPLICAS_LIMIT - 1);
        // Those whose time is over make room.
        let later = now + REPLICA_TRUST;
        authenticator.believe([255; 32], later);
        assert!(authenticator.is_believed(&[255; 32], later));
    }

    #[test]
    fn a_token_is_found_whatever_the_case_of_its_scheme() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
        };
        assert_eq!(bearer(&with("bearer abc")), Some("abc"));
        assert_eq!(bearer(&with("Basic abc")), None);
        assert_eq!(bearer(&with("Bearer ")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
