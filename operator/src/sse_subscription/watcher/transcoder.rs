//! Turns the data of events from JSON into protobuf, by the types that count at the time.

use super::event::{Event, Protobuf};
use crate::sse_subscription::types::Types;
use bytes::Bytes;
use heddle_crds::sse_subscription::Transcoding;
use heddle_crds::transcoding::UnknownFields;
use heddle_dynamic_protobuf::json::{self, JsonError, JsonParser, ParseOptions};
use std::sync::Arc;
use tokio::sync::watch;

/// Turns data as a subscription wants it.
pub(crate) struct Transcoder {
    types: watch::Receiver<Arc<Types>>,
    transcoding: Transcoding,
    namespace: String,
}

/// What became of some events.
#[derive(Debug, Default)]
pub(crate) struct Transcoded {
    /// Those whose data fits, in their order, with it as a message.
    pub(crate) fitting: Vec<Event>,
    /// The others, in their order.
    pub(crate) misfits: Vec<Misfit>,
}

/// An event whose data does not fit.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// Which of the events it is, from 0.
    pub(crate) index: usize,
    /// Why, for people; it tells places and nothing of the data.
    pub(crate) why: String,
}

impl Transcoder {
    /// One that goes by what `types` holds at the time, for a subscription of `namespace`.
    pub(crate) fn new(types: watch::Receiver<Arc<Types>>, transcoding: Transcoding, namespace: &str) -> Self {
        Self {
            types,
            transcoding,
            namespace: namespace.to_owned(),
        }
    }

    /// The types that count, and that they have changed.
    pub(super) fn types(&self) -> watch::Receiver<Arc<Types>> {
        self.types.clone()
    }

    /// Turns the data of `events` by `types`.
    pub(super) fn transcode(&self, types: &Types, events: &[Event]) -> Transcoded {
        let mut parser = JsonParser::new(ParseOptions {
            unknown: match self.transcoding.unknown_fields {
                UnknownFields::Ignore => json::UnknownFields::Ignore,
                UnknownFields::Refuse => json::UnknownFields::Refuse,
            },
            ..ParseOptions::default()
        });
        // The messages of all events lie in one piece of memory.
        let mut wire = Vec::new();
        let mut ends = Vec::with_capacity(events.len());
        let mut misfits = Vec::new();
        for (index, event) in events.iter().enumerate() {
            match self.append(&mut parser, types, event, &mut wire) {
                Ok(()) => ends.push((index, wire.len())),
                Err(why) => misfits.push(Misfit { index, why }),
            }
        }
        let (wire, schema) = (Bytes::from(wire), self.schema_uri(types));
        let mut start = 0;
        let fitting = ends.into_iter().filter_map(|(index, end)| {
            let wire = wire.slice(start..end);
            start = end;
            let schema = Arc::clone(&schema);
            Some(Event {
                protobuf: Some(Protobuf { wire, schema }),
                ..events.get(index)?.clone()
            })
        });
        Transcoded {
            fitting: fitting.collect(),
            misfits,
        }
    }

    fn append(
        &self,
        parser: &mut JsonParser,
        types: &Types,
        event: &Event,
        wire: &mut Vec<u8>,
    ) -> Result<(), String> {
        let name = &self.transcoding.message;
        let message = types.schema.message(name);
        // Types without it are never swapped in.
        let message = message.ok_or_else(|| format!("there is no message type {name}"))?;
        parser
            .parse(message, &event.data, wire)
            .map_err(|error: JsonError| format!("its data is no JSON of {name}: {error}"))
    }

    /// What a `dataschema` has to be: a URI that is not relative, and another one for other types. This is a tag (RFC 4151) of
    /// the descriptor set and the type.
    fn schema_uri(&self, types: &Types) -> Arc<str> {
        format!(
            "tag:heddle.dev,2026:namespaces/{}/idlrepos/{}/descriptors/{}#{}",
            self.namespace,
            self.transcoding.idl_repo_ref.name,
            types.descriptors.digest,
            self.transcoding.message
        )
        .into()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sse_subscription::types::tests::types;
    use heddle_crds::reference::IdlRepoReference;
    use k8s_openapi::jiff::Timestamp;
    use std::time::Instant;

    pub(crate) const ORDER: &str =
        "message Order { string name = 1; int32 count = 2; map<string, int32> stock = 3; }";

    pub(crate) fn event(id: &str, data: &str) -> Event {
        Event {
            id: id.into(),
            last_event_id: id.into(),
            type_: "order".into(),
            data: Bytes::copy_from_slice(data.as_bytes()),
            protobuf: None,
            received_at: Instant::now(),
            time: Timestamp::UNIX_EPOCH,
            traceparent: None,
        }
    }

    pub(crate) fn transcoder(
        unknown_fields: UnknownFields,
        types: watch::Receiver<Arc<Types>>,
    ) -> Transcoder {
        let transcoding = Transcoding {
            idl_repo_ref: IdlRepoReference { name: "idl".into() },
            message: "shop.v1.Order".into(),
            unknown_fields,
        };
        Transcoder::new(types, transcoding, "shop")
    }

    fn transcode(unknown_fields: UnknownFields, data: &[&str]) -> Transcoded {
        let (_sender, types) = watch::channel(types(ORDER));
        let transcoder = transcoder(unknown_fields, types);
        let events: Vec<_> = data.iter().map(|data| event(data, data)).collect();
        let types = transcoder.types().borrow().clone();
        transcoder.transcode(&types, &events)
    }

    #[test]
    fn each_event_gets_its_own_message_and_those_that_do_not_fit_are_named() {
        let data = [r#"{"name":"a"}"#, "{", r#"{"count":1}"#, "{}", "[]"];
        let transcoded = transcode(UnknownFields::Ignore, &data);
        let wires: Vec<_> = transcoded
            .fitting
            .iter()
            .map(|event| (&*event.id, event.protobuf.as_ref().unwrap().wire.as_ref()))
            .collect();
        assert_eq!(
            wires,
            [
                (data[0], &b"\x0a\x01a"[..]),
                (data[2], b"\x10\x01"),
                (data[3], b"")
            ]
        );
        let misfits: Vec<_> = transcoded.misfits.iter().map(|misfit| misfit.index).collect();
        assert_eq!(misfits, [1, 4]);
    }

    #[test]
    fn why_data_does_not_fit_tells_the_place_and_nothing_of_the_data() {
        for data in [
            r#"{"count":"canary"}"#,
            r#"{"stock":{"canary":"canary"}}"#,
            r#"canary"#,
        ] {
            let transcoded = transcode(UnknownFields::Ignore, &[data]);
            let why = &transcoded.misfits[0].why;
            assert!(why.contains("shop.v1.Order") && !why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn unknown_members_are_left_out_or_refused() {
        let data = [r#"{"name":"a","more":1}"#];
        assert_eq!(transcode(UnknownFields::Ignore, &data).fitting.len(), 1);
        assert_eq!(transcode(UnknownFields::Refuse, &data).misfits.len(), 1);
    }

    #[test]
    fn the_schema_is_a_uri_of_the_set_and_the_type() {
        let transcoded = transcode(UnknownFields::Ignore, &["{}"]);
        let schema = &transcoded.fitting[0].protobuf.as_ref().unwrap().schema;
        let (set, message) = schema.split_once('#').unwrap();
        assert!(set.starts_with("tag:heddle.dev,2026:namespaces/shop/idlrepos/idl/descriptors/sha256:"));
        assert_eq!(message, "shop.v1.Order");
        assert!(url::Url::parse(schema).is_ok());
    }
}
