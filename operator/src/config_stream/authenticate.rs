//! Finds out which pod a sidecar is in, by its service-account token.

use super::PodId;
use heddle_route_config::protocol::TOKEN_AUDIENCE;
use http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::PostParams;
use kube::{Api, Client};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many tokens are asked about at the same time: after a change of the leader, all sidecars come at once.
const REVIEW_LIMIT: usize = 32;

/// How long a sidecar waits for its turn and the answer.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(20);

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Why a sidecar gets nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("failed to authenticate: there is no bearer token")]
    NoToken,
    #[error("failed to authenticate: the token is not valid for audience {TOKEN_AUDIENCE}")]
    NotAuthenticated,
    #[error("failed to authenticate: the token is not bound to a pod")]
    NotBound,
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
            Self::NotAuthenticated => "not_authenticated",
            Self::NotBound => "not_bound",
            Self::Review(_) => "review",
            Self::Timeout => "timeout",
        }
    }
}

/// Asks the API server about tokens.
pub(super) struct Authenticator {
    api: Api<TokenReview>,
    permits: Semaphore,
}

impl Authenticator {
    pub(super) fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            permits: Semaphore::new(REVIEW_LIMIT),
        }
    }

    /// The pod that the token in these header fields is bound to.
    pub(super) async fn pod(&self, headers: &HeaderMap) -> Result<PodId, Refusal> {
        let token = bearer(headers).ok_or(Refusal::NoToken)?;
        let review = tokio::time::timeout(REVIEW_TIMEOUT, self.review(token)).await;
        let status = review.map_err(|_| Refusal::Timeout)??.status.unwrap_or_default();
        let is_for_us = status
            .audiences
            .iter()
            .flatten()
            .any(|audience| audience == TOKEN_AUDIENCE);
        if status.authenticated != Some(true) || !is_for_us {
            return Err(Refusal::NotAuthenticated);
        }
        status.user.as_ref().and_then(pod).ok_or(Refusal::NotBound)
    }

    async fn review(&self, token: &str) -> Result<TokenReview, Refusal> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![TOKEN_AUDIENCE.to_owned()]),
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
