//! What other replicas ask the leader for: to relay messages to sidecars.

use super::{Answer, Shared, text};
use bytes::Bytes;
use heddle_route_config::protocol::{Broadcast, MESSAGES_LIMIT, TEXT_BYTES_LIMIT, TEXTS_BYTES_LIMIT};
use heddle_telemetry::ErrorChain;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Serialize;

/// Where broadcasts are asked for.
pub(crate) const BROADCASTS_PATH: &str = "/v1/broadcasts";

/// The audience of tokens that replicas show.
pub(crate) const BROADCASTS_AUDIENCE: &str = "heddle-broadcasts";

/// The most bytes of a request: texts at their longest, as JSON, and what is around them.
const REQUEST_LIMIT: usize = 8 << 20;

/// Why a request for a broadcast is not understood.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("failed to read a request of at most {REQUEST_LIMIT} bytes")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to parse a request")]
    Parse(#[from] serde_json::Error),
    #[error("failed to accept a request: more messages or bytes than a broadcast may have")]
    Exceed,
}

/// Answers a replica: 200 with whom the messages have reached, 409 with whom they have not.
pub(super) async fn answer(request: Request<Incoming>, shared: &Shared) -> Answer {
    if let Err(refusal) = shared.authenticator.replica(request.headers()).await {
        tracing::warn!(error = %ErrorChain(&refusal), "request for a broadcast refused");
        return text(refusal.status(), &refusal.to_string());
    }
    let broadcast = match read(request.into_body()).await {
        Ok(broadcast) => broadcast,
        Err(error) => return text(StatusCode::BAD_REQUEST, &ErrorChain(&error).to_string()),
    };
    match shared.relay.relay(broadcast).await {
        Ok(reached) => json(StatusCode::OK, &reached),
        Err(unreached) => json(StatusCode::CONFLICT, &unreached),
    }
}

async fn read(body: Incoming) -> Result<Broadcast, RequestError> {
    let body = Limited::new(body, REQUEST_LIMIT).collect().await;
    let broadcast: Broadcast = serde_json::from_slice(&body.map_err(RequestError::Read)?.to_bytes())?;
    match is_within_limits(&broadcast) {
        true => Ok(broadcast),
        false => Err(RequestError::Exceed),
    }
}

/// Whether sidecars may be sent it.
fn is_within_limits(broadcast: &Broadcast) -> bool {
    let lengths = || broadcast.messages.iter().map(|message| message.text.len());
    broadcast.messages.len() <= MESSAGES_LIMIT
        && lengths().all(|length| length <= TEXT_BYTES_LIMIT)
        && lengths().sum::<usize>() <= TEXTS_BYTES_LIMIT
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Plain structs with string keys have no way to fail.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(bytes)).boxed_unsync());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_route_config::protocol::BroadcastMessage;

    #[test]
    fn no_more_is_relayed_than_sidecars_read_as_one_line() {
        let of = |count: usize, bytes: usize| Broadcast {
            messages: vec![
                BroadcastMessage {
                    text: "x".repeat(bytes),
                    ..BroadcastMessage::default()
                };
                count
            ],
            ..Broadcast::default()
        };
        let most = TEXTS_BYTES_LIMIT / TEXT_BYTES_LIMIT;
        for (count, bytes, expected) in [
            (MESSAGES_LIMIT, 1, true),
            (MESSAGES_LIMIT + 1, 1, false),
            (most, TEXT_BYTES_LIMIT, true),
            (most + 1, TEXT_BYTES_LIMIT, false),
            (1, TEXT_BYTES_LIMIT + 1, false),
        ] {
            assert_eq!(
                is_within_limits(&of(count, bytes)),
                expected,
                "{count} of {bytes}"
            );
        }
    }
}
