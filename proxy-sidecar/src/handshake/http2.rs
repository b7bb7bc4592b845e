//! The handshake with a backend in HTTP/2: extended CONNECT (RFC 8441), on connections that sessions share.

use super::BackendAnswer;
use super::attempt::{Answer, AttemptError, Switched};
use crate::backend::LiveBackend;
use crate::body::AnswerBody;
use crate::dial::{BackendStream, DialError};
use crate::fields::Fields;
use crate::http2::{SessionStream, Stream, is_unprocessed};
use crate::request::{SessionRequest, VERSION, end_to_end};
use bytes::{Bytes, BytesMut};
use heddle_route_config::Route;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// On how many connections a backend is asked, if it goes away from one before it has looked at the request.
const CONNECTION_TRIES: usize = 3;

/// Asks on a connection that has room, and waits for the answer.
pub(super) async fn attempt(
    request: &SessionRequest,
    backend: &Arc<LiveBackend>,
    route: &Route,
) -> Result<Answer, AttemptError> {
    let limit = route.timeouts.connect;
    let mut tries = 0;
    loop {
        let message = message(request, backend)?;
        let stream = timeout(limit, backend.pool.stream(backend, limit)).await;
        let stream = stream.map_err(|_| DialError::Timeout)??;
        tries += 1;
        match stream.send(message).await {
            Ok(response) => return answered(request, response, stream).await,
            Err(error) if tries < CONNECTION_TRIES && is_unprocessed(&error) => backend.pool.retire(&stream),
            Err(error) => return Err(AttemptError::Http2(error)),
        }
    }
}

async fn answered(
    request: &SessionRequest,
    response: Response<Incoming>,
    stream: Stream,
) -> Result<Answer, AttemptError> {
    match response.status() {
        StatusCode::OK => {
            let fields = switched_fields(request, response.headers());
            let upgraded = hyper::upgrade::on(response).await.map_err(AttemptError::Http2)?;
            Ok(Answer::Switched(Switched {
                stream: BackendStream::Other(Box::new(stream.hold(SessionStream::new(upgraded)))),
                leftover: BytesMut::new(),
                fields,
            }))
        }
        _ => Ok(Answer::Declined(declined(response, stream))),
    }
}

fn message(request: &SessionRequest, backend: &LiveBackend) -> Result<Request<Empty<Bytes>>, AttemptError> {
    let scheme = if backend.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(request.host.as_str())
        .path_and_query(request.target.as_ref())
        .build()
        .map_err(|_| AttemptError::Unsendable)?;
    let mut message = Request::new(Empty::new());
    *message.method_mut() = Method::CONNECT;
    *message.uri_mut() = uri;
    *message.headers_mut() = HeaderMap::from(&request.fields);
    message
        .headers_mut()
        .insert("sec-websocket-version", HeaderValue::from_static(VERSION));
    message
        .extensions_mut()
        .insert(Protocol::from_static("websocket"));
    Ok(message)
}

/// What a client in HTTP/1.1 also gets: the answer to its key, which the backend has not seen.
fn switched_fields(request: &SessionRequest, headers: &HeaderMap) -> Fields {
    let mut fields = end_to_end(Fields::from(headers));
    fields.remove("sec-websocket-accept");
    if let Some(key) = &request.key {
        fields.push("Sec-WebSocket-Accept", derive_accept_key(key));
    }
    fields
}

fn declined(response: Response<Incoming>, stream: Stream) -> BackendAnswer {
    let (head, body) = response.into_parts();
    BackendAnswer {
        status: head.status.as_u16(),
        reason: Bytes::from_static(head.status.canonical_reason().unwrap_or_default().as_bytes()),
        fields: end_to_end(Fields::from(&head.headers)),
        body: AnswerBody::Http2(stream.hold(body)),
    }
}
