//! What API servers ask and get (`admission.k8s.io/v1`), as far as it is needed here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

/// An AdmissionReview with a request.
#[derive(Debug, Deserialize)]
pub(super) struct Review {
    pub(super) request: ReviewRequest,
}

/// What is to be reviewed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReviewRequest {
    pub(super) uid: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) object: Value,
    #[serde(default)]
    pub(super) old_object: Value,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is let through as it is.
    Allow,
    /// It is changed by a JSON patch (RFC 6902).
    Patch(Vec<Value>),
    /// It is refused, and this is why.
    Refuse(String),
}

impl Verdict {
    /// For metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::Patch(_) => "patched",
            Self::Refuse(_) => "refused",
        }
    }

    /// As an AdmissionReview with a response.
    pub(super) fn to_json(&self, uid: &str) -> String {
        let response = match self {
            Self::Allow => json!({ "uid": uid, "allowed": true }),
            Self::Patch(operations) => {
                let patch = Value::Array(operations.clone()).to_string();
                json!({ "uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch) })
            }
            Self::Refuse(message) => {
                let status = json!({ "message": message, "reason": "Invalid", "code": 422 });
                json!({ "uid": uid, "allowed": false, "status": status })
            }
        };
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
            .to_string()
    }
}
