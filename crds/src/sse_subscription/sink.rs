//! Where events go.

use super::source::{Header, Tls};
use crate::reference::{SecretKeyReference, SecretReference};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place that events go to.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.http), has(self.idlRepo), has(self.wsRoute), has(self.log)].filter(x, x).size() == 1").message("sinks[]: exactly one of http, idlRepo, wsRoute and log"))]
pub struct Sink {
    /// A name for this entry, used in messages.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("sinks[].name: lower-case letters, digits and '-'"))]
    pub name: String,
    /// An HTTP endpoint that takes CloudEvents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSink>,
    /// An IdlRepo that is to look at its source now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idl_repo: Option<IdlRepoSink>,
    /// A WsRoute whose sessions get each event as a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ws_route: Option<WsRouteSink>,
    /// The operator's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSink>,
}

/// An HTTP endpoint that takes CloudEvents 1.0. Any status from 200 to 299 acknowledges; 410 Gone ends the subscription;
/// other statuses from 400 to 499 but 401, 403, 404, 408, 425 and 429 refuse an event for good; everything else is tried
/// again. Redirects are not followed.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.tls) || self.url.startsWith('https://')").message("http.tls: only for https:// URLs"))]
pub struct HttpSink {
    /// Its address: `https://` or `http://`. Credentials belong into a Secret, see `authentication`.
    #[schemars(length(min = 8, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@]+([/?][^#@]*([?][^#]*)?)?$')").message("http.url: an https:// or http:// URL with a host, without credentials and fragment"))]
    pub url: String,
    /// How events are put into requests.
    #[serde(default)]
    pub mode: ContentMode,
    /// How Heddle proves who it is. Not at all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Box<SinkAuthentication>>,
    /// More header fields of each request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<Header>,
    /// How the endpoint proves who it is, and Heddle to it. By the authorities of the operator's image, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// How events are put into requests (HTTP Protocol Binding for CloudEvents).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ContentMode {
    /// The data is the body, and attributes are header fields `ce-…`. One request for each event.
    #[default]
    Binary,
    /// The body is the whole event, as `application/cloudevents+json`. One request for each event.
    Structured,
    /// The body is a JSON array of events, as `application/cloudevents-batch+json`. One request for each batch.
    Batched,
}

/// How Heddle proves to a sink who it is.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.bearer), has(self.basic), has(self.hmac)].filter(x, x).size() == 1").message("authentication: exactly one of bearer, basic and hmac"))]
pub struct SinkAuthentication {
    /// By a token in `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuthentication>,
    /// By a name and a password in `Authorization: Basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuthentication>,
    /// By a signature of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacSignature>,
}

/// A token.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BearerAuthentication {
    /// Where it is. White space around it is left out.
    pub secret_key_ref: SecretKeyReference,
}

/// A name and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuthentication {
    /// A Secret of type `kubernetes.io/basic-auth`, with `username` and `password`.
    pub secret_ref: SecretReference,
}

/// A signature of each request's body: HMAC with SHA-256 in hexadecimal digits after `sha256=`, in a header field.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacSignature {
    /// Where the key is.
    pub secret_key_ref: SecretKeyReference,
    /// The header field.
    #[serde(default = "default_signature_header")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$"),
        default = "default_signature_header"
    )]
    pub header: String,
}

/// An IdlRepo that is to look at its source now: Heddle sets its annotation `heddle.dev/requestedAt`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdlRepoSink {
    /// Its name, in this namespace.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
}

/// A WsRoute whose sessions get each event as a text message, between the messages of their backends. It acknowledges when
/// every sidecar that serves the route in a ready pod has queued the event for all of its sessions. A client that does not
/// read misses events; one that connects later does not get earlier ones. An event that would make a message of more than
/// 256 KiB, or more than the route's `limits.maxMessageBytes`, is refused.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WsRouteSink {
    /// Its name, in this namespace.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// What a message is.
    #[serde(default)]
    pub format: MessageFormat,
}

/// What a message is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum MessageFormat {
    /// The data of the event as it is. Where clients of a transcoding route get protobuf, it is turned as messages of a
    /// backend are.
    #[default]
    Data,
    /// The whole event, in the JSON Event Format of CloudEvents.
    CloudEvent,
}

/// A line in the operator's log for each event: its id, type and size, never its data.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSink {}

fn default_signature_header() -> String {
    "X-Heddle-Signature-256".into()
}
