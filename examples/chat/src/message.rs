//! What guests and the room say to each other, in either encoding of `idl/chat/v1/chat.proto`.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Message;

/// How messages are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// ProtoJSON in text messages.
    Json,
    /// The binary format in binary messages.
    Protobuf,
}

/// What a guest sends.
#[derive(Clone, PartialEq, Deserialize, prost::Message)]
pub(crate) struct ClientMessage {
    /// What the others in the room shall read.
    #[prost(string, tag = "1")]
    #[serde(default)]
    pub(crate) text: String,
}

/// What a guest gets.
#[derive(Clone, PartialEq, Serialize, prost::Message)]
pub(crate) struct ServerMessage {
    /// What has happened.
    #[prost(enumeration = "Kind", tag = "1")]
    #[serde(serialize_with = "by_name")]
    pub(crate) kind: i32,
    /// The guest that it is about.
    #[prost(string, tag = "2")]
    pub(crate) guest: String,
    /// What was said.
    #[prost(string, tag = "3")]
    pub(crate) text: String,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Kind {
    /// Nothing that this version knows.
    Unspecified = 0,
    /// Somebody has come into the room.
    Joined = 1,
    /// Somebody has left it.
    Left = 2,
    /// Somebody has said something.
    Said = 3,
}

fn by_name<S: serde::Serializer>(kind: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match Kind::try_from(*kind) {
        Ok(Kind::Joined) => "KIND_JOINED",
        Ok(Kind::Left) => "KIND_LEFT",
        Ok(Kind::Said) => "KIND_SAID",
        Ok(Kind::Unspecified) | Err(_) => "KIND_UNSPECIFIED",
    })
}

impl Encoding {
    /// Fails on what is not of this encoding.
    pub(crate) fn decode(self, message: &Message) -> Result<ClientMessage> {
        match (self, message) {
            (Self::Json, Message::Text(text)) => serde_json::from_str(text).context("failed to read JSON"),
            (Self::Protobuf, Message::Binary(bytes)) => {
                ClientMessage::decode(bytes.as_ref()).context("failed to read protobuf")
            }
            _ => bail!("text messages are for JSON, binary ones for protobuf"),
        }
    }

    pub(crate) fn encode(self, message: &ServerMessage) -> Result<Message> {
        Ok(match self {
            Self::Json => Message::text(serde_json::to_string(message).context("failed to write JSON")?),
            Self::Protobuf => Message::binary(message.encode_to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_say_the_same() {
        let said = ServerMessage {
            kind: Kind::Said.into(),
            guest: "a".to_owned(),
            text: "é".to_owned(),
        };
        let json = Encoding::Json.encode(&said).unwrap();
        assert_eq!(
            json,
            Message::text(r#"{"kind":"KIND_SAID","guest":"a","text":"é"}"#)
        );
        let binary = Encoding::Protobuf.encode(&said).unwrap().into_data();
        assert_eq!(ServerMessage::decode(binary).unwrap(), said);
    }

    #[test]
    fn a_message_of_the_other_encoding_is_refused() {
        assert!(Encoding::Json.decode(&Message::binary(vec![])).is_err());
        assert_eq!(
            Encoding::Json
                .decode(&Message::text("{\"text\":\"a\"}"))
                .unwrap()
                .text,
            "a"
        );
    }
}
