//! One message into the other encoding.

use bytes::Bytes;
use heddle_crds::transcoding::UnknownFields;
use heddle_crds::ws_route::{Encoding, InvalidMessagePolicy};
use heddle_dynamic_protobuf::json::{self, JsonError, JsonParser, JsonPrinter, ParseOptions, PrintOptions};
use heddle_dynamic_protobuf::{Schema, SchemaCell};
use heddle_route_config::Transcoding;
use heddle_ws_session::Side;
use heddle_ws_session::broadcast::Broadcast;
use std::cell::RefCell;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// The most memory that a thread keeps for the next message.
const KEPT_BYTES: usize = 256 * 1024;

/// Turns the messages of one route's sessions, by the schema that counts at the time.
#[derive(Debug)]
pub(crate) struct Transcoder {
    schema: Arc<SchemaCell>,
    transcoding: Transcoding,
}

/// The schema has no message type of a name that the route gives.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("failed to find message type {name} in the descriptor set")]
pub(crate) struct MissingType {
    /// The full name.
    pub(crate) name: String,
}

/// Why a message could not be turned. The texts tell places, never values.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConversionError {
    #[error("expected a {0} message")]
    WrongKind(&'static str),
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("the message type is not known now")]
    MissingType,
    #[error("the message is too long in the other encoding")]
    TooLong,
}

/// What is reused from one message to the next: one for each thread.
struct Tools {
    lenient: JsonParser,
    strict: JsonParser,
    printer: JsonPrinter,
    out: Vec<u8>,
}

thread_local! {
    static TOOLS: RefCell<Tools> = RefCell::new(Tools::new());
}

impl Tools {
    fn new() -> Self {
        let parser = |unknown| {
            JsonParser::new(ParseOptions {
                unknown,
                ..ParseOptions::default()
            })
        };
        Self {
            lenient: parser(json::UnknownFields::Ignore),
            strict: parser(json::UnknownFields::Refuse),
            printer: JsonPrinter::new(PrintOptions::default()),
            out: Vec::new(),
        }
    }

    /// Hands out what was written, in memory of its own, and keeps the buffer unless it has grown large.
    fn take(&mut self, most: usize) -> Result<Bytes, ConversionError> {
        let is_short = self.out.len() <= most;
        let bytes = is_short.then(|| Bytes::copy_from_slice(&self.out));
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        bytes.ok_or(ConversionError::TooLong)
    }
}

impl Transcoder {
    /// A transcoder as the route wants it. A schema that `schema` gets later counts from then on.
    ///
    /// # Errors
    /// When a type is not in the schema that is there now.
    pub(crate) fn new(transcoding: Transcoding, schema: Arc<SchemaCell>) -> Result<Self, MissingType> {
        let transcoder = Self { schema, transcoding };
        transcoder.check(&transcoder.schema.load())?;
        Ok(transcoder)
    }

    /// Whether `schema` has the types of this route.
    ///
    /// # Errors
    /// When it lacks one.
    pub(crate) fn check(&self, schema: &Schema) -> Result<(), MissingType> {
        let names = [
            &self.transcoding.client_message,
            &self.transcoding.backend_message,
        ];
        match names.into_iter().find(|name| schema.message(name).is_none()) {
            Some(name) => Err(MissingType { name: name.clone() }),
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(crate) fn knows_its_types(&self) -> bool {
        self.check(&self.schema.load()).is_ok()
    }

    /// What becomes of messages that cannot be turned.
    pub(super) fn policy(&self) -> InvalidMessagePolicy {
        self.transcoding.on_invalid_message
    }

    /// Turns a message of `from` into one of at most `most` bytes.
    pub(super) fn convert(
        &self,
        from: Side,
        message: &Message,
        most: usize,
    ) -> Result<Message, ConversionError> {
        match self.encoding(from) {
            Encoding::Json => {
                let Message::Text(text) = message else {
                    return Err(ConversionError::WrongKind("text"));
                };
                self.parse(from, text.as_bytes(), most)
            }
            Encoding::Protobuf => {
                let Message::Binary(wire) = message else {
                    return Err(ConversionError::WrongKind("binary"));
                };
                self.print(from, wire, most)
            }
        }
    }

    /// A message for all clients, in their encoding: as it is, or turned as if a backend had sent it.
    pub(super) fn for_clients(&self, broadcast: &Broadcast, most: usize) -> Result<Message, ConversionError> {
        let text = Utf8Bytes::try_from(broadcast.payload()).map(Message::Text);
        // It was made of a text.
        let message = text.map_err(|_| ConversionError::WrongKind("text"))?;
        match self.encoding(Side::Client) {
            Encoding::Json => Ok(message),
            Encoding::Protobuf => self.convert(Side::Backend, &message, most),
        }
    }

    fn encoding(&self, side: Side) -> Encoding {
        match (side, self.transcoding.client_encoding) {
            (Side::Client, encoding) => encoding,
            (Side::Backend, Encoding::Json) => Encoding::Protobuf,
            (Side::Backend, Encoding::Protobuf) => Encoding::Json,
        }
    }

    fn message_name(&self, side: Side) -> &str {
        match side {
            Side::Client => &self.transcoding.client_message,
            Side::Backend => &self.transcoding.backend_message,
        }
    }

    fn parse(&self, from: Side, text: &[u8], most: usize) -> Result<Message, ConversionError> {
        let schema = self.schema.load();
        let message = schema
            .message(self.message_name(from))
            .ok_or(ConversionError::MissingType)?;
        TOOLS.with_borrow_mut(|tools| {
            let parser = match self.transcoding.unknown_fields {
                UnknownFields::Ignore => &mut tools.lenient,
                UnknownFields::Refuse => &mut tools.strict,
            };
            parser.parse(message, text, &mut tools.out)?;
            Ok(Message::Binary(tools.take(most)?))
        })
    }

    fn print(&self, from: Side, wire: &[u8], most: usize) -> Result<Message, ConversionError> {
        let schema = self.schema.load();
        let message = schema
            .message(self.message_name(from))
            .ok_or(ConversionError::MissingType)?;
        TOOLS.with_borrow_mut(|tools| {
            tools.printer.print(message, wire, &mut tools.out)?;
            let text = Utf8Bytes::try_from(tools.take(most)?);
            // Printed JSON is UTF-8; if it were not, nothing of it would go out.
            text.map(Message::Text)
                .map_err(|_| ConversionError::WrongKind("UTF-8"))
        })
    }
}
