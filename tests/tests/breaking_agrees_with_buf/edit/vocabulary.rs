//! What edits put into schemas.

use super::Scope;

/// Words of which each may stand for any other of its row.
pub(super) const WORDS: [&[&str]; 13] = [
    &[
        "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64",
        "sfixed32", "sfixed64", "bool", "string", "bytes", "Level", "Item", "State", "Shared",
    ],
    &[
        "Item",
        "State",
        "Shared",
        "Unused",
        "Scope",
        "Level",
        "Account",
        "Detail",
        "Alone",
        "Item.Colour",
        "int32",
    ],
    &["true", "false"],
    &["CORD", "STRING", "STRING_PIECE"],
    &["JS_STRING", "JS_NUMBER", "JS_NORMAL"],
    &["SPEED", "CODE_SIZE", "LITE_RUNTIME"],
    &["IDEMPOTENCY_UNKNOWN", "NO_SIDE_EFFECTS", "IDEMPOTENT"],
    &["EXPLICIT", "IMPLICIT", "LEGACY_REQUIRED"],
    &["OPEN", "CLOSED", "ACTIVE", "LOST"],
    &["VERIFY", "NONE", "DEFAULT"],
    &["ALLOW", "LEGACY_BEST_EFFORT"],
    &["LENGTH_PREFIXED", "DELIMITED"],
    &["PACKED", "EXPANDED"],
];

/// Statements that may be added to files, messages, enums, services and methods.
pub(super) const STATEMENTS: [(Scope, &[&str]); 5] = [
    (
        Scope::File,
        &[
            "option cc_enable_arenas = false;",
            "option php_class_prefix = \"Added\";",
            "option swift_prefix = \"Added\";",
            "option java_outer_classname = \"Added\";",
            "option java_string_check_utf8 = true;",
            "option features.json_format = LEGACY_BEST_EFFORT;",
            "option features.enum_type = CLOSED;",
            "option features.utf8_validation = NONE;",
            "option features = { json_format: LEGACY_BEST_EFFORT utf8_validation: NONE };",
            "option features.(pb.java).utf8_validation = VERIFY;",
            "option features.(pb.cpp).string_type = CORD;",
            "message Added {}",
        ],
    ),
    (
        Scope::Message,
        &[
            "option no_standard_descriptor_accessor = true;",
            "option features.json_format = LEGACY_BEST_EFFORT;",
            "required string added = 901;",
            "optional string added = 902;",
            "string added = 903;",
            "int32 added = 904 [features.field_presence = LEGACY_REQUIRED];",
            "reserved 910 to 919;",
            "reserved \"added\";",
            "extensions 950 to 960;",
            "oneof added { string one = 905; }",
        ],
    ),
    (
        Scope::Enum,
        &[
            "option features.json_format = LEGACY_BEST_EFFORT;",
            "option features.enum_type = CLOSED;",
            "option features = { json_format: LEGACY_BEST_EFFORT enum_type: CLOSED };",
            "ADDED = 90;",
            "ADDED = 1; option allow_alias = true;",
            "reserved 80 to 89;",
        ],
    ),
    (Scope::Service, &["rpc Add(Shared) returns (Shared);"]),
    (Scope::Method, &["option idempotency_level = NO_SIDE_EFFECTS;"]),
];

/// Options that may be added to fields.
pub(super) const FIELD_OPTIONS: [&str; 17] = [
    "deprecated = true",
    "json_name = \"renamed\"",
    "jstype = JS_NUMBER",
    "ctype = STRING_PIECE",
    "ctype = CORD",
    "packed = true",
    "default = 1",
    "default = -0.0",
    "default = nan",
    "default = \"x\"",
    "features.field_presence = IMPLICIT",
    "features.field_presence = LEGACY_REQUIRED",
    "features.utf8_validation = NONE",
    "features.message_encoding = DELIMITED",
    "features.(pb.cpp).string_type = VIEW",
    "features.(pb.java).utf8_validation = VERIFY",
    "features = { [pb.cpp] { string_type: VIEW } [pb.java] { utf8_validation: VERIFY } }",
];
