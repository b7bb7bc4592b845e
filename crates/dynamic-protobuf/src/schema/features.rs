//! The features of editions, resolved: what an element states, else what encloses it, else the edition's default.
//!
//! Source: <https://protobuf.dev/editions/features/>. proto2 and proto3 are editions with other defaults.

use crate::descriptor::{
    Edition, EnumType, FeatureSet, FieldPresence, MessageEncoding, RepeatedFieldEncoding, Utf8Validation,
};

/// The features that apply to one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) field_presence: FieldPresence,
    pub(crate) enum_type: EnumType,
    pub(crate) repeated_field_encoding: RepeatedFieldEncoding,
    pub(crate) utf8_validation: Utf8Validation,
    pub(crate) message_encoding: MessageEncoding,
}

impl Features {
    /// The defaults of an edition; those of 2023 for ones that are not known.
    pub(crate) fn defaults(edition: Edition) -> Self {
        let latest = Self {
            field_presence: FieldPresence::Explicit,
            enum_type: EnumType::Open,
            repeated_field_encoding: RepeatedFieldEncoding::Packed,
            utf8_validation: Utf8Validation::Verify,
            message_encoding: MessageEncoding::LengthPrefixed,
        };
        match edition {
            Edition::Proto2 => Self {
                enum_type: EnumType::Closed,
                repeated_field_encoding: RepeatedFieldEncoding::Expanded,
                utf8_validation: Utf8Validation::None,
                ..latest
            },
            Edition::Proto3 => Self {
                field_presence: FieldPresence::Implicit,
                ..latest
            },
            _ => latest,
        }
    }

    /// The features of an element inside the one that has `self`.
    pub(crate) fn with(self, own: &FeatureSet) -> Self {
        Self {
            field_presence: own.field_presence.unwrap_or(self.field_presence),
            enum_type: own.enum_type.unwrap_or(self.enum_type),
            repeated_field_encoding: own
                .repeated_field_encoding
                .unwrap_or(self.repeated_field_encoding),
            utf8_validation: own.utf8_validation.unwrap_or(self.utf8_validation),
            message_encoding: own.message_encoding.unwrap_or(self.message_encoding),
        }
    }
}
