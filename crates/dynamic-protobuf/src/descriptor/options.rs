//! The options of `descriptor.proto` that change how messages are read, written or compared; the rest stays as bytes.

macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value),+
        }

        impl $name {
            /// The value with this number in `descriptor.proto`.
            pub(crate) const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$value),)+
                    _ => None,
                }
            }
        }
    };
}

open_enum!(
    /// Whether a singular field remembers that it was set.
    FieldPresence {
        /// Set and unset differ.
        Explicit = 1,
        /// A default value is the same as unset.
        Implicit = 2,
        /// The field must be set.
        LegacyRequired = 3,
    }
);
open_enum!(
    /// What happens to enum numbers without a name.
    EnumType {
        /// They are values like others.
        Open = 1,
        /// They go to the unknown fields.
        Closed = 2,
    }
);
open_enum!(
    /// How repeated scalars are written.
    RepeatedFieldEncoding {
        /// All in one length-delimited value.
        Packed = 1,
        /// Each with its own tag.
        Expanded = 2,
    }
);
open_enum!(
    /// Whether strings are checked.
    Utf8Validation {
        /// Invalid UTF-8 is refused.
        Verify = 2,
        /// Strings are taken as they are.
        None = 3,
    }
);
open_enum!(
    /// How nested messages are written.
    MessageEncoding {
        /// With a length before them.
        LengthPrefixed = 1,
        /// As groups.
        Delimited = 2,
    }
);
open_enum!(
    /// Whether a type promises to work in JSON.
    JsonFormat {
        /// It does.
        Allow = 1,
        /// It may or may not.
        LegacyBestEffort = 2,
    }
);
open_enum!(
    /// Whether a method may be repeated.
    IdempotencyLevel {
        /// Nothing is known.
        Unknown = 0,
        /// It changes nothing.
        NoSideEffects = 1,
        /// Twice is as good as once.
        Idempotent = 2,
    }
);

/// The features of editions as far as an element states them itself; `None` is inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet {
    /// Presence of singular fields.
    pub field_presence: Option<FieldPresence>,
    /// Open or closed.
    pub enum_type: Option<EnumType>,
    /// Packed or expanded.
    pub repeated_field_encoding: Option<RepeatedFieldEncoding>,
    /// Checked or not.
    pub utf8_validation: Option<Utf8Validation>,
    /// Length-prefixed or group.
    pub message_encoding: Option<MessageEncoding>,
    /// JSON promised or not.
    pub json_format: Option<JsonFormat>,
}

/// Options of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileOptions {
    /// Features that everything in the file inherits.
    pub features: FeatureSet,
    /// The options as they were encoded, those that this struct models included.
    pub encoded: Vec<u8>,
}

/// Options of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageOptions {
    /// Whether it uses the wire format of the old MessageSet.
    pub message_set_wire_format: bool,
    /// Whether it is the entry type of a map field.
    pub map_entry: bool,
    /// Features that everything in the message inherits.
    pub features: FeatureSet,
    /// The options as they were encoded, those that this struct models included.
    pub encoded: Vec<u8>,
}

/// Options of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldOptions {
    /// Whether repeated scalars are packed, when the file says so.
    pub packed: Option<bool>,
    /// The field's own features.
    pub features: FeatureSet,
    /// The options as they were encoded, those that this struct models included.
    pub encoded: Vec<u8>,
}

/// Options of a oneof.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OneofOptions {
    /// Features that its fields inherit.
    pub features: FeatureSet,
    /// The options as they were encoded, those that this struct models included.
    pub encoded: Vec<u8>,
}

/// Options of an enum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnumOptions {
    /// Whether two names may have one number.
    pub allow_alias: bool,
    /// The enum's own features.
    pub features: FeatureSet,
    /// The options as they were encoded, those that this struct models included.
    pub encoded: Vec<u8>,
}

/// Options of an enum's value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnumValueOptions {
    /// The options as they were encoded.
    pub encoded: Vec<u8>,
}

/// Options of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceOptions {
    /// The options as they were encoded.
    pub encoded: Vec<u8>,
}

/// Options of a method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodOptions {
    /// Whether it may be repeated, when the file says so.
    pub idempotency_level: Option<IdempotencyLevel>,
    /// The options as they were encoded, those that this struct models included.
    pub encoded: Vec<u8>,
}
