//! Where events come from.

use super::delivery::Backoff;
use crate::reference::{SecretKeyReference, SecretReference};
use crate::schema::duration_schema;
use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source of server-sent events (WHATWG HTML, "Server-sent events").
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!(has(self.body) && has(self.bodyFrom))").message("source: one of body and bodyFrom"),
    validation = Rule::new("!(has(self.body) || has(self.bodyFrom)) || (has(self.method) && self.method != 'GET')").message("source.method: a request with a body is a POST, PUT or PATCH"),
    validation = Rule::new("!has(self.tls) || self.url.startsWith('https://')").message("source.tls: only for https:// URLs")
)]
pub struct Source {
    /// The stream's address: `https://` or `http://`. Credentials belong into a Secret, see `headersFrom`.
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+([/?][^#@]*([?][^#]*)?)?$')").message("source.url: an https:// or http:// URL with a host, without credentials and fragment"))]
    pub url: String,
    /// The method of the request. Servers that stream answers to queries want POST and a body.
    #[serde(default)]
    pub method: Method,
    /// Header fields of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<Header>,
    /// Header fields whose values are in Secrets, such as `Authorization`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers_from: Vec<HeaderFromSecret>,
    /// The body of the request, sent anew with each connection. Name its type in `headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
    /// A Secret with the body of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_from: Option<SecretKeyReference>,
    /// How the server proves who it is, and Heddle to it. By the authorities of the operator's image, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How long the server may take to answer a request: from 100 milliseconds to 10 minutes.
    #[serde(default = "default_connect_timeout")]
    #[schemars(schema_with = "duration_schema", default = "default_connect_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('10m')").message("source.connectTimeout: between 100ms and 10m"))]
    pub connect_timeout: Duration,
    /// A server that sends nothing for so long, not even a comment, is taken for dead, and connected to anew: from 1
    /// second to 24 hours. Never, if absent; a server that sends comments now and then makes a short time safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration_schema")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("source.readTimeout: between 1s and 24h"))]
    pub read_timeout: Option<Duration>,
    /// Where to begin the first time: after the event with this id. With what comes next, if absent. When there is a
    /// checkpoint, the stream goes on from there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\x00\r\n]*$"))]
    pub last_event_id: Option<String>,
    /// How long to wait before connecting anew. The server's own `retry` and `Retry-After` come before `initial`.
    #[serde(default)]
    pub reconnect: Backoff,
    /// The most bytes of one event. A larger one breaks the connection, and the condition says so.
    #[serde(default = "default_max_event_bytes")]
    #[schemars(range(min = 1024, max = 16_777_216), default = "default_max_event_bytes")]
    pub max_event_bytes: u32,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks for the stream.
    #[default]
    Get,
    /// Asks with a body.
    Post,
    /// Asks with a body.
    Put,
    /// Asks with a body.
    Patch,
}

impl Method {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// A header field of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Its name.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$")
    )]
    pub name: String,
    /// Its value. Everybody who may read this object sees it.
    #[schemars(length(max = 4096), regex(pattern = r"^[^\x00-\x08\x0a-\x1f\x7f]*$"))]
    pub value: String,
}

/// A header field of a request whose value is in a Secret.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderFromSecret {
    /// Its name.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$")
    )]
    pub name: String,
    /// What comes before the value, such as `Bearer ` with its space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^[^\x00-\x08\x0a-\x1f\x7f]*$"))]
    pub prefix: Option<String>,
    /// Where the value is. White space around it is left out.
    pub secret_key_ref: SecretKeyReference,
}

/// How a server proves who it is, and Heddle to it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// The name that the certificate must be for. The host, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// A Secret with the authorities that are trusted, in `ca.crt`. Those of the operator's image, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretReference>,
    /// A Secret with the certificate that is shown to the server, in `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretReference>,
}

fn default_connect_timeout() -> Duration {
    std::time::Duration::from_secs(30).into()
}

fn default_max_event_bytes() -> u32 {
    1 << 20
}
