//! Puts what Secrets hold into a subscription. Nothing of it is kept but in the watcher that uses it.

use super::connector::Connector;
use super::tls::{TlsMaterial, client_config};
use super::validate::{self, ValidatedSubscription};
use super::watcher::sink::http::{HttpClient, HttpSink, Signature};
use super::watcher::sink::idl_repo::IdlRepoSink;
use super::watcher::sink::ws_route::WsRouteSink;
use super::watcher::sink::{Sink, Target};
use crate::broadcaster::Broadcaster;
use crate::conditions;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heddle_crds::reference::SecretKeyReference;
use heddle_crds::sse_subscription::{self as api, Reason, SinkAuthentication, SseSubscriptionSpec, Tls};
use heddle_git_remote::AddressPolicy;
use heddle_telemetry::ErrorChain;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::ServerName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection to a sink is kept that has nothing to do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections to one sink that are kept.
const IDLE_CONNECTIONS: usize = 8;

/// What dead letters are delivered to, in messages.
const DEAD_LETTER: &str = "deadLetter";

type Problem = conditions::Problem<Reason>;

/// The Secrets of a namespace that a subscription names; `None` for one that is not there.
pub(crate) type Secrets = BTreeMap<String, Option<Secret>>;

/// What a source needs besides the specification.
pub(crate) struct ResolvedSource {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) tls: TlsMaterial,
}

/// A subscription with everything that it needs.
pub(crate) struct Resolved {
    pub(crate) source: ResolvedSource,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) dead_letter: Option<Sink>,
}

/// What sinks are made with.
#[derive(Clone)]
pub(crate) struct SinkFactory {
    kube: kube::Client,
    policy: Arc<AddressPolicy>,
    broadcaster: Broadcaster,
    /// For all sinks without TLS settings of their own.
    plain: Arc<HttpClient>,
}

/// The names of the Secrets that a specification names.
pub(crate) fn secret_names(spec: &SseSubscriptionSpec) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let source = &spec.source;
    names.extend(
        source
            .headers_from
            .iter()
            .map(|header| header.secret_key_ref.name.clone()),
    );
    names.extend(source.body_from.iter().map(|reference| reference.name.clone()));
    add_tls(&mut names, source.tls.as_ref());
    let sinks = spec.sinks.iter().filter_map(|sink| sink.http.as_ref());
    let dead_letter = spec
        .delivery
        .dead_letter
        .as_ref()
        .and_then(|sink| sink.http.as_ref());
    for http in sinks.chain(dead_letter) {
        add_tls(&mut names, http.tls.as_ref());
        if let Some(how) = &http.authentication {
            names.extend(how.bearer.iter().map(|bearer| bearer.secret_key_ref.name.clone()));
            names.extend(how.basic.iter().map(|basic| basic.secret_ref.name.clone()));
            names.extend(how.hmac.iter().map(|hmac| hmac.secret_key_ref.name.clone()));
        }
    }
    names
}

fn add_tls(names: &mut BTreeSet<String>, tls: Option<&Tls>) {
    let Some(tls) = tls else { return };
    let references = tls.ca_secret_ref.iter().chain(&tls.client_certificate_secret_ref);
    names.extend(references.map(|reference| reference.name.clone()));
}

/// A value of a Secret.
fn value<'a>(secrets: &'a Secrets, name: &str, key: &str) -> Result<&'a [u8], Problem> {
    let Some(secret) = secrets.get(name).and_then(Option::as_ref) else {
        return Err(Problem {
            reason: Reason::SecretNotFound,
            message: format!("Secret {name} does not exist in this namespace."),
        });
    };
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    value.map(|value| value.0.as_slice()).ok_or_else(|| Problem {
        reason: Reason::SecretInvalid,
        message: format!("Secret {name} has no key {key}."),
    })
}

fn text<'a>(secrets: &'a Secrets, reference: &SecretKeyReference) -> Result<&'a str, Problem> {
    let SecretKeyReference { name, key } = reference;
    let text = std::str::from_utf8(value(secrets, name, key)?).map(str::trim);
    text.map_err(|_| unusable(name, key, "it is not text"))
}

fn unusable(name: &str, key: &str, why: &str) -> Problem {
    Problem {
        reason: Reason::SecretInvalid,
        message: format!("The value of {key} in Secret {name} cannot be used: {why}."),
    }
}

fn header_value(prefix: &str, text: &str, name: &str, key: &str) -> Result<HeaderValue, Problem> {
    let value = HeaderValue::try_from(format!("{prefix}{text}"));
    let mut value = value.map_err(|_| unusable(name, key, "a header field cannot hold it"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls_material(tls: Option<&Tls>, secrets: &Secrets) -> Result<TlsMaterial, Problem> {
    let mut material = TlsMaterial::default();
    let Some(tls) = tls else { return Ok(material) };
    // What is no name is refused with the specification.
    material.server_name = tls
        .server_name
        .clone()
        .and_then(|name| ServerName::try_from(name).ok());
    if let Some(reference) = &tls.ca_secret_ref {
        material.authorities = Some(value(secrets, &reference.name, "ca.crt")?.to_vec());
    }
    if let Some(reference) = &tls.client_certificate_secret_ref {
        let certificate = value(secrets, &reference.name, "tls.crt")?.to_vec();
        material.identity = Some((certificate, value(secrets, &reference.name, "tls.key")?.to_vec()));
    }
    // Found out here rather than when connecting.
    client_config(&material).map_err(|error| Problem {
        reason: Reason::SecretInvalid,
        message: format!(
            "A Secret with certificates cannot be used: {}.",
            ErrorChain(&error)
        ),
    })?;
    Ok(material)
}

/// What the source needs.
fn source(validated: &ValidatedSubscription, secrets: &Secrets) -> Result<ResolvedSource, Problem> {
    let spec = &validated.spec.source;
    let mut headers = validated.headers.clone();
    for header in &spec.headers_from {
        let reference = &header.secret_key_ref;
        let prefix = header.prefix.as_deref().unwrap_or_default();
        let value = header_value(prefix, text(secrets, reference)?, &reference.name, &reference.key)?;
        if let Ok(name) = HeaderName::try_from(&header.name) {
            headers.insert(name, value);
        }
    }
    let body = match (&spec.body, &spec.body_from) {
        (Some(body), _) => Some(body.clone().into_bytes()),
        (None, Some(reference)) => Some(value(secrets, &reference.name, &reference.key)?.to_vec()),
        (None, None) => None,
    };
    Ok(ResolvedSource {
        headers,
        body,
        tls: tls_material(spec.tls.as_ref(), secrets)?,
    })
}

impl SinkFactory {
    pub(crate) fn new(
        kube: kube::Client,
        policy: AddressPolicy,
        broadcaster: Broadcaster,
    ) -> Result<Self, super::tls::TlsMaterialError> {
        let policy = Arc::new(policy);
        let plain = http_client(&policy, &TlsMaterial::default())?.into();
        Ok(Self {
            kube,
            policy,
            broadcaster,
            plain,
        })
    }

    /// The subscription with everything that it needs, or what is missing.
    pub(crate) fn resolve(
        &self,
        namespace: &str,
        validated: &ValidatedSubscription,
        secrets: &Secrets,
    ) -> Result<Resolved, Problem> {
        let spec = &validated.spec;
        let sinks = spec.sinks.iter().map(|sink| {
            let target = match (&sink.http, &sink.idl_repo, &sink.ws_route) {
                (Some(http), ..) => self.http(http, validated, secrets)?,
                (None, Some(idl_repo), _) => Target::IdlRepo(Box::new(IdlRepoSink::new(
                    self.kube.clone(),
                    namespace,
                    idl_repo.name.clone(),
                ))),
                (None, None, Some(ws_route)) => Target::WsRoute(Box::new(WsRouteSink {
                    broadcaster: self.broadcaster.clone(),
                    namespace: namespace.to_owned(),
                    route: ws_route.name.clone(),
                    format: ws_route.format,
                    timeout: validated.times.sink_timeout,
                })),
                (None, None, None) => Target::Log,
            };
            Ok(Sink {
                name: sink.name.as_str().into(),
                target,
            })
        });
        let dead_letter = spec.delivery.dead_letter.as_ref().map(|dead_letter| {
            let target = match &dead_letter.http {
                Some(http) => self.http(http, validated, secrets)?,
                None => Target::Log,
            };
            Ok(Sink {
                name: DEAD_LETTER.into(),
                target,
            })
        });
        Ok(Resolved {
            source: source(validated, secrets)?,
            sinks: sinks.collect::<Result<_, Problem>>()?,
            dead_letter: dead_letter.transpose()?,
        })
    }

    fn http(
        &self,
        http: &api::HttpSink,
        validated: &ValidatedSubscription,
        secrets: &Secrets,
    ) -> Result<Target, Problem> {
        let invalid = |error: validate::InvalidSpec| Problem {
            reason: error.reason(),
            message: format!("{}.", ErrorChain(&error)),
        };
        let mut headers = validate::headers("spec.sinks[].http.headers", &http.headers).map_err(invalid)?;
        let signature = authenticate(http.authentication.as_deref(), &mut headers, secrets)?;
        let client = match &http.tls {
            None => Arc::clone(&self.plain),
            Some(tls) => {
                let material = tls_material(Some(tls), secrets)?;
                let client = http_client(&self.policy, &material).map_err(|error| Problem {
                    reason: Reason::SecretInvalid,
                    message: format!("{}.", ErrorChain(&error)),
                })?;
                Arc::new(client)
            }
        };
        Ok(Target::Http(Box::new(HttpSink {
            client,
            uri: validate::sink_uri("spec.sinks[].http.url", &http.url).map_err(invalid)?,
            mode: http.mode,
            headers,
            signature,
            timeout: validated.times.sink_timeout,
        })))
    }
}

/// Adds credentials to `headers`, or gives what signs requests.
fn authenticate(
    how: Option<&SinkAuthentication>,
    headers: &mut HeaderMap,
    secrets: &Secrets,
) -> Result<Option<Box<Signature>>, Problem> {
    let Some(how) = how else { return Ok(None) };
    if let Some(bearer) = &how.bearer {
        let reference = &bearer.secret_key_ref;
        let token = text(secrets, reference)?;
        let value = header_value("Bearer ", token, &reference.name, &reference.key)?;
        headers.insert(header::AUTHORIZATION, value);
    }
    if let Some(basic) = &how.basic {
        let name = &basic.secret_ref.name;
        let mut pair = value(secrets, name, "username")?.to_vec();
        pair.push(b':');
        pair.extend_from_slice(value(secrets, name, "password")?);
        let value = header_value("Basic ", &STANDARD.encode(pair), name, "password")?;
        headers.insert(header::AUTHORIZATION, value);
    }
    let Some(hmac) = &how.hmac else { return Ok(None) };
    let reference = &hmac.secret_key_ref;
    let key = value(secrets, &reference.name, &reference.key)?;
    Ok(HeaderName::try_from(&hmac.header).ok().map(|header| {
        Box::new(Signature {
            header,
            key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key),
        })
    }))
}

fn http_client(
    policy: &Arc<AddressPolicy>,
    material: &TlsMaterial,
) -> Result<HttpClient, super::tls::TlsMaterialError> {
    let mut tls = client_config(material)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = Connector::new(Arc::clone(policy), Arc::new(tls), material.server_name.clone());
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector))
}
