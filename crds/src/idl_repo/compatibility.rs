//! The gate that keeps breaking changes of the IDL from being delivered unnoticed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What counts as a breaking change, and what becomes of one.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compatibility {
    /// Whose work a change must not break, from the mildest to the strictest: `Wire` (readers of binary messages),
    /// `WireJson` (those of JSON too), `Package` (users of generated code, by package), `File` (the same, by file).
    #[serde(default)]
    pub level: Level,
    /// What becomes of a commit that breaks it: `Refuse` delivers nothing of it, `Warn` delivers it and says so.
    #[serde(default)]
    pub policy: Policy,
}

/// Whose work a change must not break. Each level has the rules of buf's category of that name.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Level {
    /// Those who read and write messages in the binary format.
    Wire,
    /// Those who read and write messages in the binary format or in JSON.
    WireJson,
    /// Those whose code uses code generated from a package.
    Package,
    /// Those whose code uses code generated from a file.
    #[default]
    File,
}

/// What becomes of a commit with breaking changes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Policy {
    /// Nothing is generated from it until somebody lets it through.
    #[default]
    Refuse,
    /// It is delivered as any other, and the condition says what broke.
    Warn,
}

impl Level {
    /// Every level, from the mildest.
    pub const ALL: [Self; 4] = [Self::Wire, Self::WireJson, Self::Package, Self::File];

    /// As it stands in a specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wire => "Wire",
            Self::WireJson => "WireJson",
            Self::Package => "Package",
            Self::File => "File",
        }
    }
}

/// Whether the descriptor set is published in the cluster.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Publish {
    /// Publishes the descriptors of what was delivered as the ConfigMap `<name>-descriptors`, for proxies and other
    /// programs in the cluster. What was published is deleted when this becomes false.
    #[serde(default = "yes")]
    #[schemars(default = "yes")]
    pub enabled: bool,
}

impl Default for Publish {
    fn default() -> Self {
        Self { enabled: true }
    }
}

fn yes() -> bool {
    true
}
