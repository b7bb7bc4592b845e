//! Where sessions go.

use crate::reference::SecretReference;
use crate::schema::duration_schema;
use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place that sessions go to.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// A name for this entry, used in messages and metrics: lower-case letters, digits and `-`, different from the others.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("backends[].name: lower-case letters, digits and '-'"))]
    pub name: String,
    /// The host, a name such as `chat.shop.svc` or an IP address. The pod itself, if absent: the port of another container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]+\]?)$")
    )]
    pub host: Option<String>,
    /// The port that it listens on.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The share of sessions, in proportion to the sum over all backends: one with 3 gets three times as many as one with
    /// 1, one with 0 gets none. Up to 1000000.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 1_000_000), default = "default_weight")]
    pub weight: u32,
    /// How the handshake is made. `HTTP/1.1`: `Upgrade` (RFC 6455), a connection for each session. `HTTP/2`: extended CONNECT
    /// (RFC 8441), by which sessions share connections; the backend must offer it.
    #[serde(default)]
    pub protocol: Protocol,
    /// Connects over TLS; `{}` trusts the authorities of the sidecar's image. Plainly, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
}

/// How the handshake with a backend is made.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Protocol {
    /// HTTP/1.1 `Upgrade` (RFC 6455).
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// HTTP/2 extended CONNECT (RFC 8441): sessions share connections.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// How a backend proves who it is, and the sidecar to it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTls {
    /// The name that the certificate must be for. The host, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// A Secret in this namespace with the authorities that are trusted, in `ca.crt`. Those of the sidecar's image, if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretReference>,
    /// A Secret in this namespace with the certificate that is shown to the backend, in `tls.crt` and `tls.key`. None is
    /// shown, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretReference>,
}

/// When a backend that fails gets no more sessions for a while.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassiveHealth {
    /// So many handshakes in a row that could not be made, or were answered with 502, 503 or 504: from 1 to 1000.
    #[serde(default = "default_consecutive_failures")]
    #[schemars(range(min = 1, max = 1000), default = "default_consecutive_failures")]
    pub consecutive_failures: u32,
    /// For how long it is passed over, unless every other one is too: from 1 second to 1 hour.
    #[serde(default = "default_ejection_time")]
    #[schemars(schema_with = "duration_schema", default = "default_ejection_time")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')").message("passiveHealth.ejectionTime: between 1s and 1h"))]
    pub ejection_time: Duration,
}

fn default_weight() -> u32 {
    1
}

fn default_consecutive_failures() -> u32 {
    5
}

fn default_ejection_time() -> Duration {
    std::time::Duration::from_secs(30).into()
}
