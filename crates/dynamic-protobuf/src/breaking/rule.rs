//! The rules by name, and the levels that turn them on.

use std::fmt;
use std::str::FromStr;

/// How much a new version of a schema may change: each level says what must go on working.
///
/// In order of strictness; what breaks a weaker level breaks the stronger ones as well, by that rule or by a stricter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Messages in the binary encoding.
    Wire,
    /// Messages in the binary encoding and in JSON.
    WireJson,
    /// Both encodings and generated code, as long as types may move between files of a package.
    Package,
    /// Both encodings and generated code, also where each file becomes a file of code (C++, Python).
    File,
}

impl Level {
    /// All levels, the weakest first.
    pub const ALL: [Self; 4] = [Self::Wire, Self::WireJson, Self::Package, Self::File];

    /// The level's name, as in `WIRE_JSON`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wire => "WIRE",
            Self::WireJson => "WIRE_JSON",
            Self::Package => "PACKAGE",
            Self::File => "FILE",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text that should have been a [`Level`] is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a level of compatibility: expected WIRE, WIRE_JSON, PACKAGE or FILE")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |level: &Self| level.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownLevel)
    }
}

macro_rules! rules {
    ($($(#[doc = $purpose:literal])+ $name:ident = $id:literal: $($level:ident)+;)+) => {
        /// What must not change, by the names that `buf breaking` gives its rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $(
                $(#[doc = $purpose])+
                #[doc = concat!("\n\n`", $id, "`, on at", $(" [`", stringify!($level), "`](Level::", stringify!($level), ")"),+, ".")]
                $name,
            )+
        }

        impl Rule {
            /// All rules by name.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The rule's name, as in `FIELD_SAME_TYPE`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// What must not change, in a sentence.
            pub fn purpose(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($purpose),+).trim_start(),)+
                }
            }

            /// Whether the rule is on at this level.
            pub const fn is_on_at(self, level: Level) -> bool {
                match self {
                    $(Self::$name => matches!(level, $(Level::$level)|+),)+
                }
            }
        }
    };
}

rules! {
    /// No enum is deleted from its file.
    EnumNoDelete = "ENUM_NO_DELETE": File;
    /// Enums that promise to work in JSON go on doing so.
    EnumSameJsonFormat = "ENUM_SAME_JSON_FORMAT": WireJson Package File;
    /// Enums stay open or closed: whether numbers without a name are values.
    EnumSameType = "ENUM_SAME_TYPE": Package File;
    /// No number is deleted from an enum.
    EnumValueNoDelete = "ENUM_VALUE_NO_DELETE": Package File;
    /// No number is deleted from an enum unless all its names are reserved.
    EnumValueNoDeleteUnlessNameReserved = "ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED": WireJson;
    /// No number is deleted from an enum unless it is reserved.
    EnumValueNoDeleteUnlessNumberReserved = "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED": Wire WireJson;
    /// The numbers of an enum keep their names; aliases may be added.
    EnumValueSameName = "ENUM_VALUE_SAME_NAME": WireJson Package File;
    /// No number that was open to extensions is closed to them.
    ExtensionMessageNoDelete = "EXTENSION_MESSAGE_NO_DELETE": Package File;
    /// No extension is deleted from its file.
    ExtensionNoDelete = "EXTENSION_NO_DELETE": File;
    /// No field is deleted.
    FieldNoDelete = "FIELD_NO_DELETE": Package File;
    /// No field is deleted unless its name is reserved.
    FieldNoDeleteUnlessNameReserved = "FIELD_NO_DELETE_UNLESS_NAME_RESERVED": WireJson;
    /// No field is deleted unless its number is reserved.
    FieldNoDeleteUnlessNumberReserved = "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED": Wire WireJson;
    /// Fields stay required, repeated, a map, or singular with or without presence.
    FieldSameCardinality = "FIELD_SAME_CARDINALITY": Package File;
    /// Fields keep their type in C++: `ctype` or the feature `(pb.cpp).string_type`.
    FieldSameCppStringType = "FIELD_SAME_CPP_STRING_TYPE": Package File;
    /// Fields keep their default value.
    FieldSameDefault = "FIELD_SAME_DEFAULT": Wire WireJson Package File;
    /// String fields go on being checked for UTF-8 by Java, or not being checked.
    FieldSameJavaUtf8Validation = "FIELD_SAME_JAVA_UTF8_VALIDATION": Package File;
    /// Fields keep their name in JSON.
    FieldSameJsonName = "FIELD_SAME_JSON_NAME": WireJson Package File;
    /// 64-bit integers keep their type in JavaScript: `jstype`.
    FieldSameJstype = "FIELD_SAME_JSTYPE": Package File;
    /// The numbers of a message's fields, and of extensions, keep their names.
    FieldSameName = "FIELD_SAME_NAME": WireJson Package File;
    /// Fields do not move into, out of or between oneofs.
    FieldSameOneof = "FIELD_SAME_ONEOF": Wire WireJson Package File;
    /// Fields keep their type.
    FieldSameType = "FIELD_SAME_TYPE": Package File;
    /// String fields go on being checked for UTF-8, or not being checked.
    FieldSameUtf8Validation = "FIELD_SAME_UTF8_VALIDATION": Package File;
    /// Fields stay required, singular, or repeated (which maps are too).
    FieldWireCompatibleCardinality = "FIELD_WIRE_COMPATIBLE_CARDINALITY": Wire;
    /// Fields change only to types that read the same bytes: among int32, int64, uint32, uint64 and bool; among sint32 and sint64;
    /// among fixed32 and sfixed32; among fixed64 and sfixed64; from string to bytes; to an enum of the same name with more values.
    FieldWireCompatibleType = "FIELD_WIRE_COMPATIBLE_TYPE": Wire;
    /// Fields stay required, singular, repeated or a map.
    FieldWireJsonCompatibleCardinality = "FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY": WireJson;
    /// Fields change only to types that read the same bytes and the same JSON: among int32 and uint32; among int64 and uint64;
    /// among fixed32 and sfixed32; among fixed64 and sfixed64; to an enum of the same name with more values.
    FieldWireJsonCompatibleType = "FIELD_WIRE_JSON_COMPATIBLE_TYPE": WireJson;
    /// No file is deleted.
    FileNoDelete = "FILE_NO_DELETE": File;
    /// Files keep the option `cc_enable_arenas`.
    FileSameCcEnableArenas = "FILE_SAME_CC_ENABLE_ARENAS": Package File;
    /// Files keep the option `cc_generic_services`.
    FileSameCcGenericServices = "FILE_SAME_CC_GENERIC_SERVICES": Package File;
    /// Files keep the option `csharp_namespace`.
    FileSameCsharpNamespace = "FILE_SAME_CSHARP_NAMESPACE": Package File;
    /// Files keep the option `go_package`.
    FileSameGoPackage = "FILE_SAME_GO_PACKAGE": Package File;
    /// Files keep the option `java_generic_services`.
    FileSameJavaGenericServices = "FILE_SAME_JAVA_GENERIC_SERVICES": Package File;
    /// Files keep the option `java_multiple_files`.
    FileSameJavaMultipleFiles = "FILE_SAME_JAVA_MULTIPLE_FILES": Package File;
    /// Files keep the option `java_outer_classname`.
    FileSameJavaOuterClassname = "FILE_SAME_JAVA_OUTER_CLASSNAME": Package File;
    /// Files keep the option `java_package`.
    FileSameJavaPackage = "FILE_SAME_JAVA_PACKAGE": Package File;
    /// Files keep the option `objc_class_prefix`.
    FileSameObjcClassPrefix = "FILE_SAME_OBJC_CLASS_PREFIX": Package File;
    /// Files keep the option `optimize_for`.
    FileSameOptimizeFor = "FILE_SAME_OPTIMIZE_FOR": Package File;
    /// Files keep their package.
    FileSamePackage = "FILE_SAME_PACKAGE": Wire WireJson Package File;
    /// Files keep the option `php_class_prefix`.
    FileSamePhpClassPrefix = "FILE_SAME_PHP_CLASS_PREFIX": Package File;
    /// Files keep the option `php_metadata_namespace`.
    FileSamePhpMetadataNamespace = "FILE_SAME_PHP_METADATA_NAMESPACE": Package File;
    /// Files keep the option `php_namespace`.
    FileSamePhpNamespace = "FILE_SAME_PHP_NAMESPACE": Package File;
    /// Files keep the option `py_generic_services`.
    FileSamePyGenericServices = "FILE_SAME_PY_GENERIC_SERVICES": Package File;
    /// Files keep the option `ruby_package`.
    FileSameRubyPackage = "FILE_SAME_RUBY_PACKAGE": Package File;
    /// Files keep the option `swift_prefix`.
    FileSameSwiftPrefix = "FILE_SAME_SWIFT_PREFIX": Package File;
    /// Files stay in proto2, in proto3 or in editions.
    FileSameSyntax = "FILE_SAME_SYNTAX": Package File;
    /// No message is deleted from its file.
    MessageNoDelete = "MESSAGE_NO_DELETE": File;
    /// Messages do not turn on the option `no_standard_descriptor_accessor`.
    MessageNoRemoveStandardDescriptorAccessor = "MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR": Package File;
    /// Messages that promise to work in JSON go on doing so.
    MessageSameJsonFormat = "MESSAGE_SAME_JSON_FORMAT": WireJson Package File;
    /// Messages neither gain nor lose required fields.
    MessageSameRequiredFields = "MESSAGE_SAME_REQUIRED_FIELDS": Wire WireJson Package File;
    /// No oneof is deleted.
    OneofNoDelete = "ONEOF_NO_DELETE": Package File;
    /// No enum is deleted from its package.
    PackageEnumNoDelete = "PACKAGE_ENUM_NO_DELETE": Package;
    /// No extension is deleted from its package.
    PackageExtensionNoDelete = "PACKAGE_EXTENSION_NO_DELETE": Package;
    /// No message is deleted from its package.
    PackageMessageNoDelete = "PACKAGE_MESSAGE_NO_DELETE": Package;
    /// No package is deleted.
    PackageNoDelete = "PACKAGE_NO_DELETE": Package;
    /// No service is deleted from its package.
    PackageServiceNoDelete = "PACKAGE_SERVICE_NO_DELETE": Package;
    /// No number and no name that an enum reserved is given free.
    ReservedEnumNoDelete = "RESERVED_ENUM_NO_DELETE": Wire WireJson Package File;
    /// No number and no name that a message reserved is given free.
    ReservedMessageNoDelete = "RESERVED_MESSAGE_NO_DELETE": Wire WireJson Package File;
    /// No method is deleted.
    RpcNoDelete = "RPC_NO_DELETE": Package File;
    /// Clients of a method go on sending a stream, or a single request.
    RpcSameClientStreaming = "RPC_SAME_CLIENT_STREAMING": Wire WireJson Package File;
    /// Methods keep the option `idempotency_level`.
    RpcSameIdempotencyLevel = "RPC_SAME_IDEMPOTENCY_LEVEL": Wire WireJson Package File;
    /// Methods keep the type of their request.
    RpcSameRequestType = "RPC_SAME_REQUEST_TYPE": Wire WireJson Package File;
    /// Methods keep the type of their response.
    RpcSameResponseType = "RPC_SAME_RESPONSE_TYPE": Wire WireJson Package File;
    /// Servers of a method go on sending a stream, or a single response.
    RpcSameServerStreaming = "RPC_SAME_SERVER_STREAMING": Wire WireJson Package File;
    /// No service is deleted from its file.
    ServiceNoDelete = "SERVICE_NO_DELETE": File;
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_the_order_of_their_names_so_that_findings_are() {
        // Of two rules of which one's name begins with the other's, the shorter comes first, as in text.
        assert!(Rule::ALL.is_sorted_by_key(|rule| rule.as_str()));
    }

    #[test]
    fn levels_survive_their_text() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("wire".parse::<Level>(), Err(UnknownLevel));
    }

    #[test]
    fn each_rule_says_its_purpose_in_a_sentence() {
        for rule in Rule::ALL {
            assert!(
                rule.purpose().ends_with('.') && !rule.purpose().contains("  "),
                "{rule}"
            );
        }
    }
    /// The table of `docs/spec/breaking-changes.md`.
    fn table() -> String {
        let mut table = "| rule | `WIRE` | `WIRE_JSON` | `PACKAGE` | `FILE` | what it asks |\n|---|---|---|---|---|---|\n".to_owned();
        for rule in Rule::ALL {
            let mark = |level| if rule.is_on_at(level) { "x" } else { "" };
            let marks = Level::ALL.map(mark).join(" | ");
            table.push_str(&format!("| `{rule}` | {marks} | {} |\n", rule.purpose()));
        }
        table
    }

    #[test]
    fn the_page_for_users_has_every_rule_with_its_levels() {
        let page = include_str!("../../../../docs/spec/breaking-changes.md");
        let expected = table();
        assert!(
            page.contains(&expected),
            "the page's table should be:\n{expected}"
        );
    }
}
