//! Events as CloudEvents 1.0: the JSON Event Format and the HTTP Protocol Binding.

use super::event::{Event, Protobuf};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use k8s_openapi::jiff::Timestamp;
use serde::de::IgnoredAny;
use std::sync::Arc;

/// The type of a body with one event.
pub(crate) const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json");

/// The type of a body with an array of events.
pub(crate) const BATCHED: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json");

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const PROTOBUF: &str = "application/protobuf";

/// Bytes of an event in JSON besides its data, about.
const ENVELOPE_BYTES: usize = 384;

/// What all events of a subscription have in common.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The `source`: the subscription, since ids are unique in it and not in the stream that several may read.
    pub(crate) source: Arc<str>,
    /// The `subject`: the stream's address without its query.
    subject: Arc<str>,
    /// What an event in JSON begins with.
    beginning: Arc<[u8]>,
}

impl Origin {
    pub(crate) fn new(source: &str, subject: &str) -> Self {
        let mut beginning = br#"{"specversion":"1.0","source":"#.to_vec();
        write_string(&mut beginning, source);
        beginning.extend_from_slice(br#","subject":"#);
        write_string(&mut beginning, subject);
        Self {
            source: source.into(),
            subject: subject.into(),
            beginning: beginning.into(),
        }
    }
}

/// Why an event is in the dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The sink that did not take it. None, if it is of no use to any.
    pub(crate) sink: Option<Arc<str>>,
    pub(crate) error: String,
}

/// What goes out as the data of an event.
#[derive(Clone, Copy, Debug)]
enum Payload<'a> {
    Json(&'a Bytes),
    Text(&'a Bytes),
    Protobuf(&'a Protobuf),
}

impl<'a> Payload<'a> {
    /// Sinks get what was made of the data; dead letters have it as it came, so that it can be looked into, and sent again.
    fn of(event: &'a Event, fault: Option<&Fault>) -> Self {
        match &event.protobuf {
            Some(protobuf) if fault.is_none() => Self::Protobuf(protobuf),
            _ if is_json(&event.data) => Self::Json(&event.data),
            _ => Self::Text(&event.data),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json(_) => JSON,
            Self::Text(_) => TEXT,
            Self::Protobuf(_) => PROTOBUF,
        }
    }

    fn schema(self) -> Option<&'a str> {
        match self {
            Self::Json(_) | Self::Text(_) => None,
            Self::Protobuf(protobuf) => Some(&protobuf.schema),
        }
    }

    fn bytes(self) -> &'a Bytes {
        match self {
            Self::Json(data) | Self::Text(data) => data,
            Self::Protobuf(protobuf) => &protobuf.wire,
        }
    }

    /// The last member of an event in JSON.
    fn write(self, body: &mut Vec<u8>) {
        match self {
            Self::Json(data) => {
                body.extend_from_slice(br#","data":"#);
                body.extend_from_slice(data);
            }
            Self::Text(data) => {
                body.extend_from_slice(br#","data":"#);
                write_string(body, &String::from_utf8_lossy(data));
            }
            Self::Protobuf(protobuf) => {
                body.extend_from_slice(br#","data_base64":"#);
                write_string(body, &STANDARD.encode(&protobuf.wire));
            }
        }
    }
}

/// Attributes besides `datacontenttype`, in the order in which they are written; `None` are left out.
fn attributes<'a>(
    origin: &'a Origin,
    event: &'a Event,
    time: &'a str,
    fault: Option<&'a Fault>,
) -> [(&'static str, Option<&'a str>); 10] {
    [
        ("ce-specversion", Some("1.0")),
        ("ce-id", Some(&event.id)),
        ("ce-source", Some(&origin.source)),
        ("ce-type", Some(&event.type_)),
        ("ce-subject", Some(&origin.subject)),
        ("ce-time", Some(time)),
        ("ce-dataschema", Payload::of(event, fault).schema()),
        ("ce-traceparent", event.traceparent.as_deref()),
        ("ce-heddlesink", fault.and_then(|fault| fault.sink.as_deref())),
        ("ce-heddleerror", fault.map(|fault| fault.error.as_str())),
    ]
}

fn is_json(data: &[u8]) -> bool {
    // Cheap to rule out; a JSON text begins with one of these.
    let begins_so = data.first().is_some_and(|first| {
        matches!(
            first,
            b'{' | b'[' | b'"' | b'-' | b't' | b'f' | b'n' | b' ' | b'\t' | b'\n' | b'\r'
        ) || first.is_ascii_digit()
    });
    begins_so && serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

/// The whole event in JSON, at the end of `body`.
pub(crate) fn write_json(body: &mut Vec<u8>, origin: &Origin, event: &Event, fault: Option<&Fault>) {
    write_json_at(body, origin, event, &event.time.to_string(), fault);
}

/// The same, with the event's time as text.
fn write_json_at(body: &mut Vec<u8>, origin: &Origin, event: &Event, time: &str, fault: Option<&Fault>) {
    let payload = Payload::of(event, fault);
    body.reserve(payload.bytes().len() + ENVELOPE_BYTES);
    body.extend_from_slice(&origin.beginning);
    for (name, value) in [
        (&br#","id":"#[..], Some(&*event.id)),
        (br#","type":"#, Some(&event.type_)),
        (br#","time":"#, Some(time)),
        (br#","datacontenttype":"#, Some(payload.content_type())),
        (br#","dataschema":"#, payload.schema()),
        (br#","traceparent":"#, event.traceparent.as_deref()),
        (
            br#","heddlesink":"#,
            fault.and_then(|fault| fault.sink.as_deref()),
        ),
        (br#","heddleerror":"#, fault.map(|fault| fault.error.as_str())),
    ] {
        if let Some(value) = value {
            body.extend_from_slice(name);
            write_string(body, value);
        }
    }
    payload.write(body);
    body.push(b'}');
}

/// Writing to a Vec has no way to fail, nor has a string.
fn write_string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).ok();
}

/// All of them in an array.
pub(crate) fn batch(origin: &Origin, events: &[Event], fault: Option<&Fault>) -> Bytes {
    let bytes: usize = events.iter().map(|event| event.data.len() + ENVELOPE_BYTES).sum();
    let mut body = Vec::with_capacity(bytes + 2);
    body.push(b'[');
    // Events that came together have the same time, which takes longer to write than all the rest.
    let mut written = None::<(Timestamp, String)>;
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let (_, time) = match written.take() {
            Some(same) if same.0 == event.time => written.insert(same),
            _ => written.insert((event.time, event.time.to_string())),
        };
        write_json_at(&mut body, origin, event, time, fault);
    }
    body.push(b']');
    body.into()
}

/// The body of a request that has the attributes in its header fields.
pub(crate) fn binary_body(event: &Event, fault: Option<&Fault>) -> Bytes {
    Payload::of(event, fault).bytes().clone()
}

/// The header fields of such a request.
pub(crate) fn binary_headers(origin: &Origin, event: &Event, fault: Option<&Fault>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    let time = event.time.to_string();
    let content_type = Payload::of(event, fault).content_type();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in attributes(origin, event, &time, fault) {
        let value = value.map(percent_encoded).map(HeaderValue::try_from);
        // What is encoded is always a value.
        if let Some(Ok(value)) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// As the HTTP binding asks (3.1.3.2): printable ASCII stays, but for space, `"` and `%`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' | 0..=0x20 | 0x7f.. => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
                encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Instant;

    fn origin() -> Origin {
        Origin::new(
            "/apis/heddle.dev/v1alpha1/namespaces/shop/ssesubscriptions/pushes",
            "https://forge.example/events",
        )
    }

    fn event(data: &str) -> Event {
        Event {
            id: "tränen 7".into(),
            last_event_id: "7".into(),
            type_: "push".into(),
            data: Bytes::copy_from_slice(data.as_bytes()),
            protobuf: None,
            received_at: Instant::now(),
            time: Timestamp::from_second(0).unwrap(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        }
    }

    fn json_of(data: &str, fault: Option<&Fault>) -> Value {
        let mut body = Vec::new();
        write_json(&mut body, &origin(), &event(data), fault);
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn an_event_in_json_has_its_data_as_json_or_as_text() {
        let object = json_of(r#"{"a":[1,"é"]}"#, None);
        assert_eq!(object["data"], json!({ "a": [1, "é"] }));
        assert_eq!(object["datacontenttype"], "application/json");
        assert_eq!(object["specversion"], "1.0");
        assert_eq!(object["id"], "tränen 7");
        assert_eq!(object["time"], "1970-01-01T00:00:00Z");
        assert_eq!(object["source"], *origin().source);
        assert_eq!(object["subject"], "https://forge.example/events");
        assert_eq!(object["heddlesink"], Value::Null);
        for text in ["{not json}", "", "two\nlines", "\"open"] {
            let object = json_of(text, None);
            assert_eq!(object["data"], text);
            assert_eq!(object["datacontenttype"], "text/plain; charset=utf-8");
        }
    }

    #[test]
    fn a_dead_letter_says_who_refused_it_and_why() {
        let fault = Fault {
            sink: Some("orders".into()),
            error: "it answered 400".into(),
        };
        let object = json_of("1", Some(&fault));
        assert_eq!(object["heddlesink"], "orders");
        assert_eq!(object["heddleerror"], "it answered 400");
    }

    #[test]
    fn a_message_goes_out_as_such_and_into_a_dead_letter_as_it_came() {
        let transcoded = Event {
            protobuf: Some(Protobuf {
                wire: Bytes::from_static(b"\x08\x01"),
                schema: "tag:a#b".into(),
            }),
            ..event(r#"{"a":1}"#)
        };
        let fault = Fault {
            sink: None,
            error: "why".into(),
        };
        let structured = |fault| {
            let mut body = Vec::new();
            write_json(&mut body, &origin(), &transcoded, fault);
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let to_sink = structured(None);
        assert_eq!(to_sink["data_base64"], "CAE=");
        assert_eq!(to_sink["datacontenttype"], "application/protobuf");
        assert_eq!(to_sink["dataschema"], "tag:a#b");
        assert_eq!(to_sink.get("data"), None);
        let headers = binary_headers(&origin(), &transcoded, None);
        assert_eq!(headers["content-type"], "application/protobuf");
        assert_eq!(headers["ce-dataschema"], "tag:a#b");
        assert_eq!(binary_body(&transcoded, None), &b"\x08\x01"[..]);

        let dead = structured(Some(&fault));
        assert_eq!(dead["data"], json!({ "a": 1 }));
        assert_eq!(dead["heddleerror"], "why");
        for name in ["data_base64", "dataschema", "heddlesink"] {
            assert_eq!(dead.get(name), None, "{name}");
        }
        let headers = binary_headers(&origin(), &transcoded, Some(&fault));
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(binary_body(&transcoded, Some(&fault)), r#"{"a":1}"#);
    }

    #[test]
    fn a_batch_is_an_array_in_order() {
        let body = batch(&origin(), &[event("1"), event("2")], None);
        let array: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(array[0]["data"], 1);
        assert_eq!(array[1]["data"], 2);
        assert_eq!(array.as_array().unwrap().len(), 2);
    }

    #[test]
    fn attributes_in_header_fields_are_percent_encoded() {
        let headers = binary_headers(&origin(), &event("plain"), None);
        assert_eq!(headers["ce-id"], "tr%C3%A4nen%207");
        assert_eq!(headers["ce-type"], "push");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert!(headers.get("ce-datacontenttype").is_none());
        assert_eq!(percent_encoded("a\"%~\u{7f}"), "a%22%25~%7F");
    }
}
