//! Everything that one sidecar should do.

use crate::{InvalidRoute, Route};
use heddle_crds::WsRoute;
use heddle_crds::publication::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Everything that one sidecar should do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// The digest of all the rest but for `traceparent`.
    pub version: String,
    /// The change that made it, as W3C writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The routes that select the pod and that no older one conflicts with.
    pub routes: Vec<SentRoute>,
    /// The descriptor sets that transcoding routes go by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<DescriptorsReference>,
    /// The authorities, in PEM, that the operator's certificate may be signed by from now on.
    #[serde(default)]
    pub trust_bundle: String,
}

/// A WsRoute, and whether it is to be followed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRoute {
    /// The object without status, and of the metadata only name, namespace, uid, generation and creationTimestamp. It is
    /// read route by route, so that one that a sidecar does not understand leaves the others alone.
    pub manifest: Value,
    /// Whether the route is suspended: who has an older generation goes on with that.
    #[serde(default)]
    pub held: Held,
}

/// Whether a sidecar keeps what it has of a route.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Held {
    /// It takes what is sent.
    #[default]
    No,
    /// It takes what is sent only if it has nothing of the route.
    Yes,
}

/// The descriptor set that an IdlRepo has published.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescriptorsReference {
    /// The IdlRepo, in the pod's namespace.
    pub idl_repo: String,
    /// The digest of the uncompressed set.
    pub digest: String,
}

impl Configuration {
    /// With the version that follows from the rest.
    pub fn new(
        routes: Vec<SentRoute>,
        descriptors: Vec<DescriptorsReference>,
        trust_bundle: String,
        traceparent: Option<String>,
    ) -> Self {
        let named = json!({ "routes": routes, "descriptors": descriptors, "trustBundle": trust_bundle });
        Self {
            version: digest(named.to_string().as_bytes()),
            traceparent,
            routes,
            descriptors,
            trust_bundle,
        }
    }
}

impl SentRoute {
    /// What a sidecar needs of an object.
    pub fn new(object: &WsRoute, held: Held) -> Self {
        let metadata = &object.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let mut sent = WsRoute::new(name, object.spec.clone());
        sent.metadata.namespace = metadata.namespace.clone();
        sent.metadata.uid = metadata.uid.clone();
        sent.metadata.generation = metadata.generation;
        sent.metadata.creation_timestamp = metadata.creation_timestamp.clone();
        Self {
            // Plain structs with string keys have no way to fail.
            manifest: serde_json::to_value(sent).unwrap_or_default(),
            held,
        }
    }

    /// The name of the object.
    pub fn name(&self) -> &str {
        self.manifest["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its uid.
    pub fn uid(&self) -> Option<&str> {
        self.manifest["metadata"]["uid"].as_str()
    }

    /// Its generation.
    pub fn generation(&self) -> i64 {
        self.manifest["metadata"]["generation"]
            .as_i64()
            .unwrap_or_default()
    }

    /// Reads the object.
    ///
    /// # Errors
    /// It does not have the shape of a WsRoute that this program knows.
    pub fn object(&self) -> Result<WsRoute, serde_json::Error> {
        serde_json::from_value(self.manifest.clone())
    }

    /// Reads the object, and what it says.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn route(&self) -> Result<Route, String> {
        let object = self.object().map_err(|error| error.to_string())?;
        Route::parse(&object).map_err(|error: InvalidRoute| error.to_string())
    }
}
