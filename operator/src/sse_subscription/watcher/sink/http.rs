//! Delivers events to an HTTP endpoint as CloudEvents.

use super::super::cloud_event::{self, BATCHED, Fault, Origin, STRUCTURED};
use super::super::event::Event;
use super::super::retry::retry_after;
use super::Failure;
use crate::sse_subscription::connector::Connector;
use bytes::Bytes;
use heddle_crds::sse_subscription::ContentMode;
use heddle_telemetry::ErrorChain;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use k8s_openapi::jiff::Timestamp;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The most bytes of an answer that are read, so that the connection can be used again.
const ANSWER_LIMIT: usize = 64 << 10;

/// How requests are made.
pub(crate) type HttpClient = Client<Connector, Full<Bytes>>;

/// An HTTP endpoint, with all that a request to it has.
pub(crate) struct HttpSink {
    /// Most sinks share one.
    pub(crate) client: Arc<HttpClient>,
    pub(crate) uri: Uri,
    pub(crate) mode: ContentMode,
    /// Of each request, credentials among them.
    pub(crate) headers: HeaderMap,
    pub(crate) signature: Option<Box<Signature>>,
    pub(crate) timeout: Duration,
}

/// Signs bodies.
pub(crate) struct Signature {
    pub(crate) header: HeaderName,
    pub(crate) key: ring::hmac::Key,
}

impl HttpSink {
    pub(super) fn events_at_once(&self) -> usize {
        match self.mode {
            ContentMode::Binary | ContentMode::Structured => 1,
            ContentMode::Batched => usize::MAX,
        }
    }

    pub(super) async fn send(
        &self,
        origin: &Origin,
        events: &[Event],
        fault: Option<&Fault>,
    ) -> Result<(), Failure> {
        let Some((first, _)) = events.split_first() else {
            return Ok(());
        };
        let request = self.request(origin, first, events, fault);
        let exchanged = tokio::time::timeout(self.timeout, self.exchange(request)).await;
        exchanged.unwrap_or_else(|_| {
            let limit = self.timeout.as_millis();
            Err(Failure::Unreachable(format!(
                "it did not answer within {limit} ms"
            )))
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(), Failure> {
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| Failure::Unreachable(ErrorChain(&error).to_string()))?;
        let outcome = judge(&answer, Timestamp::now());
        drain(answer).await;
        outcome
    }

    fn request(
        &self,
        origin: &Origin,
        first: &Event,
        events: &[Event],
        fault: Option<&Fault>,
    ) -> Request<Full<Bytes>> {
        let mut headers = self.headers.clone();
        let body = match self.mode {
            ContentMode::Binary => {
                headers.extend(cloud_event::binary_headers(origin, first, fault));
                cloud_event::binary_body(first, fault)
            }
            ContentMode::Structured => {
                headers.insert(header::CONTENT_TYPE, STRUCTURED);
                let mut body = Vec::new();
                cloud_event::write_json(&mut body, origin, first, fault);
                body.into()
            }
            ContentMode::Batched => {
                headers.insert(header::CONTENT_TYPE, BATCHED);
                cloud_event::batch(origin, events, fault)
            }
        };
        if let Some(Signature { header, key }) = self.signature.as_deref() {
            headers.insert(header.clone(), signature(key, &body));
        }
        if let Some(Ok(value)) = first.traceparent.as_deref().map(HeaderValue::from_str) {
            headers.insert("traceparent", value);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

fn signature(key: &ring::hmac::Key, body: &[u8]) -> HeaderValue {
    let mut text = String::from("sha256=");
    for byte in ring::hmac::sign(key, body).as_ref() {
        // Writing to a String has no way to fail, and digits are a value.
        write!(text, "{byte:02x}").ok();
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// What an answer means.
fn judge<B>(answer: &Response<B>, now: Timestamp) -> Result<(), Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let message = format!("it answered {status}");
    Err(match status {
        StatusCode::GONE => Failure::Gone(message),
        // These are about the sink, its credentials or its load, and not about the event.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => unavailable(answer, message, now),
        status if status.is_client_error() => Failure::Refused(message),
        _ => unavailable(answer, message, now),
    })
}

fn unavailable<B>(answer: &Response<B>, message: String, now: Timestamp) -> Failure {
    let asked = answer.headers().get(header::RETRY_AFTER);
    Failure::Unavailable {
        message,
        retry_after: asked
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, now)),
    }
}

/// Reads what is left, so that the connection can be used again. What is in it matters to nobody.
async fn drain(answer: Response<Incoming>) {
    Limited::new(answer.into_body(), ANSWER_LIMIT)
        .collect()
        .await
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&'static str>) -> Result<(), Failure> {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(value) = retry_after {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(header::RETRY_AFTER, value);
        }
        judge(&answer, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn each_status_means_one_thing() {
        for status in [200, 202, 204] {
            assert_eq!(judged(status, None), Ok(()), "{status}");
        }
        for status in [400, 405, 413, 415, 422, 451] {
            assert!(
                matches!(judged(status, None), Err(Failure::Refused(_))),
                "{status}"
            );
        }
        for status in [301, 302, 401, 403, 404, 408, 425, 429, 500, 502, 503] {
            let judged = judged(status, None);
            assert!(matches!(judged, Err(Failure::Unavailable { .. })), "{status}");
        }
        assert!(matches!(judged(410, None), Err(Failure::Gone(_))));
    }

    #[test]
    fn a_sink_may_say_when_to_come_again() {
        let failure = judged(503, Some("7")).unwrap_err();
        assert_eq!(failure.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_signature_is_what_others_compute() {
        // RFC 4231, test case 2.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"Jefe");
        assert_eq!(
            signature(&key, b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
