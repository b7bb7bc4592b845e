//! Which responses are event streams.

use crate::Error;
use crate::error::Place;
use crate::retry_after::retry_after;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use std::time::SystemTime;
use url::Url;

/// What the head of a response means.
pub(crate) enum Verdict {
    EventStream,
    /// Never to ask again.
    NoContent,
}

/// Judges a response that is no redirect.
pub(crate) fn judge(url: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Verdict, Error> {
    let place = Place::of(url);
    match status {
        StatusCode::NO_CONTENT => return Ok(Verdict::NoContent),
        StatusCode::OK => {}
        status => {
            let retry_after = retry_after(headers, SystemTime::now());
            return Err(Error::Status {
                place,
                status,
                retry_after,
            });
        }
    }
    if !is_event_stream(headers) {
        return Err(Error::ContentType { place });
    }
    if is_encoded(headers) {
        return Err(Error::ContentEncoding { place });
    }
    Ok(Verdict::EventStream)
}

/// Parameters, a charset among them, are ignored: event streams are UTF-8.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    values.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn is_stream(content_type: &'static str) -> bool {
        is_event_stream(&HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_static(content_type),
        )]))
    }

    #[test]
    fn the_content_type_is_compared_without_parameters_and_case() {
        assert!(is_stream("text/event-stream"));
        assert!(is_stream("Text/Event-Stream ; charset=utf-8"));
        assert!(!is_stream("text/event-stream-x"));
        assert!(!is_stream("text/html"));
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}
