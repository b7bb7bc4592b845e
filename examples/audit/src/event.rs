//! CloudEvents 1.0 out of HTTP requests, in each of the binding's content modes.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

/// What the attributes' header fields begin with in binary mode.
const PREFIX: &str = "ce-";

/// The events of a request, in the JSON format. None when it has none, or one without an id or a source.
pub(crate) fn read(fields: &HeaderMap, body: &[u8]) -> Option<Vec<Value>> {
    let media_type = fields.get(CONTENT_TYPE)?.to_str().ok()?;
    let events = match media_type.split(';').next().unwrap_or_default().trim() {
        "application/cloudevents-batch+json" => serde_json::from_slice(body).ok()?,
        "application/cloudevents+json" => vec![serde_json::from_slice(body).ok()?],
        _ => vec![binary(fields, body)],
    };
    let is_event = |event: &Value| event["id"].is_string() && event["source"].is_string();
    events.iter().all(is_event).then_some(events)
}

fn binary(fields: &HeaderMap, body: &[u8]) -> Value {
    let attributes = fields.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(PREFIX)?;
        let text = percent_decode(value.as_bytes()).decode_utf8_lossy();
        Some((name.to_owned(), Value::from(text)))
    });
    let mut event: Map<_, _> = attributes.collect();
    let text = || Value::from(String::from_utf8_lossy(body));
    event.insert(
        "data".to_owned(),
        serde_json::from_slice(body).unwrap_or_else(|_| text()),
    );
    Value::Object(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use serde_json::json;

    fn request(fields: &[(&'static str, &'static str)], body: &str) -> Option<Vec<Value>> {
        let pairs = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        read(&pairs.collect(), body.as_bytes())
    }

    #[test]
    fn all_content_modes_say_the_same() {
        let event =
            json!({ "specversion": "1.0", "id": "7", "source": "/ä", "type": "push", "data": { "n": 1 } });
        let attributes = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "7"),
            ("ce-source", "/%C3%A4"),
            ("ce-type", "push"),
        ];
        let structured = [("content-type", "application/cloudevents+json; charset=utf-8")];
        let batch = [("content-type", "application/cloudevents-batch+json")];
        assert_eq!(request(&attributes, r#"{"n":1}"#), Some(vec![event.clone()]));
        assert_eq!(
            request(&structured, &event.to_string()),
            Some(vec![event.clone()])
        );
        assert_eq!(
            request(&batch, &json!([event, event]).to_string()),
            Some(vec![event.clone(), event])
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert_eq!(request(&[("content-type", "text/plain")], "hello"), None);
        assert_eq!(
            request(&[("content-type", "application/cloudevents+json")], "{}"),
            None
        );
        assert_eq!(
            request(&[("content-type", "application/cloudevents-batch+json")], "{}"),
            None
        );
    }
}
