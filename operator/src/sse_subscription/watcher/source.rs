//! The connection to the source, in the words of conditions.

use crate::sse_subscription::resolve::ResolvedSource;
use crate::sse_subscription::tls::TlsMaterial;
use crate::sse_subscription::validate::ValidatedSubscription;
use bytes::Bytes;
use heddle_crds::sse_subscription::Reason;
use heddle_git_remote::AddressPolicy;
use heddle_sse_client::{
    Backoff, Client, End, Error, Event, EventStream, Item, Limits, Refusal, Request, RequestError, Settings,
    Text, Tls, TlsError,
};
use heddle_telemetry::ErrorChain;
use http::{Method, StatusCode};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::net::SocketAddr;

/// What a line may have besides its data: the name of a field, a colon and a space.
const FIELD_BYTES: usize = 64;

/// How much longer a wait may become at random.
const JITTER: f64 = 0.25;

/// Data up to this size is copied out of the chunk that it arrived in, which it would keep in memory as a whole.
const COPIED_BYTES: usize = 16 << 10;

/// What a source has to say.
#[derive(Debug)]
pub(crate) enum Received {
    Event(ReceivedEvent),
    /// The stream's last event id has changed without an event.
    Passed(Text),
    /// A connection is being tried.
    Connecting,
    /// It is there.
    Open,
    /// It broke or could not be made, and is tried again then.
    Waiting {
        reason: Reason,
        message: String,
        until: Option<Timestamp>,
    },
    /// It is not tried again.
    Ended {
        reason: Reason,
        message: String,
    },
}

/// An event as the stream has it.
#[derive(Debug)]
pub(crate) struct ReceivedEvent {
    pub(crate) type_: Text,
    /// UTF-8.
    pub(crate) data: Bytes,
    /// The stream's last event id after it.
    pub(crate) last_event_id: Text,
}

/// Why a source cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("failed to make a request of spec.source")]
    Request(#[from] RequestError),
    #[error("failed to use the certificates that spec.source names")]
    Tls(#[from] TlsError),
    #[error("failed to make a request of spec.source: {0} is no method")]
    Method(&'static str),
}

/// A stream that connects again and again.
pub(crate) struct Source {
    /// Absent when it is closed.
    stream: Option<EventStream>,
}

/// What sources are connected to with.
#[derive(Clone)]
pub(crate) struct Sources {
    policy: AddressPolicy,
    /// For all sources without TLS settings of their own.
    plain: Client,
}

impl Sources {
    pub(crate) fn new(policy: AddressPolicy) -> Result<Self, TlsError> {
        let plain = Client::builder().address_policy(Policy(policy.clone())).build()?;
        Ok(Self { policy, plain })
    }

    fn client(&self, material: &TlsMaterial) -> Result<Client, TlsError> {
        if *material == TlsMaterial::default() {
            return Ok(self.plain.clone());
        }
        let client = Client::builder().address_policy(Policy(self.policy.clone()));
        client.tls(tls(material)?).build()
    }
}

struct Policy(AddressPolicy);

impl heddle_sse_client::AddressPolicy for Policy {
    fn permit(&self, _: &str, address: SocketAddr) -> Result<(), Refusal> {
        let ip = address.ip();
        self.0.permits(ip).then_some(()).ok_or_else(|| {
            Refusal::new(format!(
                "{ip} is in a network that the operator's settings forbid"
            ))
        })
    }
}

impl Source {
    /// Nothing happens before it is asked for what comes next.
    pub(crate) fn new(
        validated: &ValidatedSubscription,
        resolved: ResolvedSource,
        sources: &Sources,
        resume_after: &str,
    ) -> Result<Self, SourceError> {
        let client = sources.client(&resolved.tls)?;
        let settings = settings(validated, resume_after);
        Ok(Self {
            stream: Some(client.subscribe(request(validated, resolved)?, settings)),
        })
    }

    /// What comes next. Nothing is lost when this is dropped.
    pub(crate) async fn next(&mut self) -> Received {
        if let Some(stream) = &mut self.stream {
            while let Some(item) = stream.next().await {
                if let Some(received) = received(item) {
                    return received;
                }
            }
        }
        // After its end there is nothing, for as long as somebody waits.
        std::future::pending().await
    }

    /// Closes the connection. Nothing more comes.
    pub(crate) fn close(&mut self) {
        self.stream = None;
    }
}

fn request(validated: &ValidatedSubscription, resolved: ResolvedSource) -> Result<Request, SourceError> {
    let method = validated.spec.source.method.as_str();
    let parsed = Method::try_from(method).map_err(|_| SourceError::Method(method))?;
    let mut request = Request::new(parsed, validated.url.as_str())?;
    for (name, value) in &resolved.headers {
        request = request.header(name.clone(), value.clone())?;
    }
    Ok(match resolved.body {
        Some(body) => request.body(body),
        None => request,
    })
}

fn tls(material: &TlsMaterial) -> Result<Tls, TlsError> {
    let mut tls = Tls::default();
    if let Some(authorities) = &material.authorities {
        tls = tls.without_system_roots().trust(authorities)?;
    }
    if let Some((certificate, key)) = &material.identity {
        tls = tls.identity(certificate, key)?;
    }
    if let Some(name) = &material.server_name {
        tls = tls.server_name(&name.to_str())?;
    }
    Ok(tls)
}

fn settings(validated: &ValidatedSubscription, resume_after: &str) -> Settings {
    let times = &validated.times;
    let limit = usize::try_from(validated.spec.source.max_event_bytes).unwrap_or(usize::MAX);
    Settings {
        last_event_id: resume_after.into(),
        limits: Limits {
            line_bytes: limit.saturating_add(FIELD_BYTES),
            event_bytes: limit,
        },
        connect_timeout: times.connect_timeout,
        response_timeout: times.connect_timeout,
        read_timeout: times.read_timeout,
        backoff: Backoff {
            initial: times.reconnect.initial,
            max: times.reconnect.max,
            jitter: JITTER,
            ..Backoff::default()
        },
        // Whoever runs the server may mend anything, and nobody would tell the operator.
        is_retryable: |_| true,
        ..Settings::default()
    }
}

fn received(item: Item) -> Option<Received> {
    Some(match item {
        Item::Event(event) => Received::Event(event.into()),
        Item::LastEventId(id) => Received::Passed(id),
        Item::Connecting { .. } => Received::Connecting,
        Item::Open(_) => Received::Open,
        Item::Waiting(waiting) => Received::Waiting {
            reason: reason(&waiting.why),
            message: message(&waiting.why),
            until: SignedDuration::try_from(waiting.delay)
                .ok()
                .and_then(|delay| Timestamp::now().checked_add(delay).ok()),
        },
        Item::Ended(End::NoContent) => Received::Ended {
            reason: Reason::EndedByServer,
            message: "The source answered 204 No Content: there is nothing more to come. Annotate with heddle.dev/requestedAt to ask again.".into(),
        },
        Item::Ended(End::Failed(error)) => Received::Ended {
            reason: reason(&error),
            message: message(&error),
        },
        _ => return None,
    })
}

impl From<Event> for ReceivedEvent {
    fn from(event: Event) -> Self {
        let (type_, data, last_event_id) = event.into_parts();
        Self {
            type_,
            data: match data.len() {
                0..=COPIED_BYTES => Bytes::copy_from_slice(data.as_bytes()),
                _ => data.into_bytes(),
            },
            last_event_id,
        }
    }
}

fn message(error: &Error) -> String {
    let text = ErrorChain(error).to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!(
            "{}{}.",
            first.to_uppercase(),
            letters.as_str().trim_end_matches('.')
        ),
        None => text,
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::AddressRefused { .. } => Reason::AddressRefused,
        Error::Certificate { .. } | Error::Tls { .. } => Reason::TlsNotTrusted,
        Error::ConnectTimeout { .. }
        | Error::ResponseTimeout { .. }
        | Error::ReadTimeout { .. }
        | Error::LineTimeout { .. } => Reason::TimedOut,
        Error::Status { status, .. } => match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Unauthorized,
            StatusCode::TOO_MANY_REQUESTS => Reason::RateLimited,
            _ => Reason::RefusedByServer,
        },
        Error::ContentType { .. } | Error::ContentEncoding { .. } => Reason::NotAnEventStream,
        Error::Redirect { .. } => Reason::RedirectRefused,
        Error::EndOfStream { .. } | Error::Read { .. } => Reason::ConnectionLost,
        Error::Parse { .. } => Reason::EventTooLarge,
        Error::Resolve { .. } | Error::Connect { .. } | Error::Proxy { .. } | Error::Exchange { .. } => {
            Reason::Unreachable
        }
        _ => Reason::InternalError,
    }
}
