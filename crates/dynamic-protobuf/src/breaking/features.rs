//! What the syntax, the edition and the features written down make of an element.
//!
//! Source of the defaults: <https://protobuf.dev/editions/features/>.

use super::option_bytes;
use crate::descriptor::{
    Edition, EnumType, FeatureSet, FieldPresence, JsonFormat, MessageEncoding, Utf8Validation,
};
use std::fmt;

/// The field of `FeatureSet` that holds the features of C++.
const CPP: u32 = 1000;
/// The field of `FeatureSet` that holds the features of Java.
const JAVA: u32 = 1001;
/// `string_type` in the features of C++ and `utf8_validation` in those of Java.
const SECOND: u32 = 2;

/// Where `(pb.cpp).string_type` is below an element's features.
pub(super) const CPP_STRING_TYPE: [i32; 2] = [CPP as i32, SECOND as i32];
/// Where `(pb.java).utf8_validation` is below an element's features.
pub(super) const JAVA_UTF8_VALIDATION: [i32; 2] = [JAVA as i32, SECOND as i32];

/// How C++ holds a string or bytes field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CppStringType {
    View,
    Cord,
    String,
    /// Only the option `ctype` has it.
    StringPiece,
}

impl fmt::Display for CppStringType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "VIEW",
            Self::Cord => "CORD",
            Self::String => "STRING",
            Self::StringPiece => "STRING_PIECE",
        })
    }
}

/// The features of one element, those it inherits included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    /// Proto2 and proto3 state no features; what looks like one in their options is ignored.
    are_stated: bool,
    pub(super) presence: FieldPresence,
    pub(super) enum_type: EnumType,
    pub(super) utf8_validation: Utf8Validation,
    pub(super) message_encoding: MessageEncoding,
    pub(super) json_format: JsonFormat,
    pub(super) cpp_string_type: CppStringType,
    /// Whether Java checks strings that the other languages do not.
    pub(super) is_java_verifying: bool,
}

impl Features {
    /// What files of this edition start from.
    pub(super) fn of(edition: Edition) -> Self {
        let latest = Self {
            are_stated: true,
            presence: FieldPresence::Explicit,
            enum_type: EnumType::Open,
            utf8_validation: Utf8Validation::Verify,
            message_encoding: MessageEncoding::LengthPrefixed,
            json_format: JsonFormat::Allow,
            cpp_string_type: CppStringType::View,
            is_java_verifying: false,
        };
        match edition {
            Edition::Proto2 => Self {
                are_stated: false,
                enum_type: EnumType::Closed,
                utf8_validation: Utf8Validation::None,
                json_format: JsonFormat::LegacyBestEffort,
                cpp_string_type: CppStringType::String,
                ..latest
            },
            Edition::Proto3 => Self {
                are_stated: false,
                presence: FieldPresence::Implicit,
                cpp_string_type: CppStringType::String,
                ..latest
            },
            Edition::Edition2023 => Self {
                cpp_string_type: CppStringType::String,
                ..latest
            },
            Edition::Edition2024 | Edition::Unknown(_) => latest,
        }
    }

    /// These features with what an element states itself: `own`, and in its options as `encoded` the features of languages
    /// in field `number`.
    pub(super) fn with(self, own: &FeatureSet, encoded: &[u8], number: u32) -> Self {
        if !self.are_stated {
            return self;
        }
        let extended = option_bytes::bytes(encoded, number).unwrap_or_default();
        let of_language = |language| option_bytes::number(option_bytes::bytes(extended, language)?, SECOND);
        Self {
            are_stated: true,
            presence: own.field_presence.unwrap_or(self.presence),
            enum_type: own.enum_type.unwrap_or(self.enum_type),
            utf8_validation: own.utf8_validation.unwrap_or(self.utf8_validation),
            message_encoding: own.message_encoding.unwrap_or(self.message_encoding),
            json_format: own.json_format.unwrap_or(self.json_format),
            cpp_string_type: match of_language(CPP) {
                Some(1) => CppStringType::View,
                Some(2) => CppStringType::Cord,
                Some(3) => CppStringType::String,
                _ => self.cpp_string_type,
            },
            is_java_verifying: match of_language(JAVA) {
                Some(1) => false,
                Some(2) => true,
                _ => self.is_java_verifying,
            },
        }
    }
}
