//! Writes a status, once, and only if it says something new.
//!
//! Not by server-side apply: the API refuses that for an object whose stored form breaks the schema, and such an object
//! needs a status more than any. A merge patch that names the version it was made for is as safe, since all of the
//! status that others may have written was read before.

use heddle_crds::metadata::FIELD_MANAGER;
use kube::api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteStatusError {
    /// The object has changed or gone since it was read; what was decided for it may be wrong.
    #[error("failed to write the status: the object has changed or gone since it was read")]
    Outdated,
    #[error("failed to write the status")]
    Patch(#[source] kube::Error),
    #[error("failed to write the status as JSON")]
    Serialize(#[from] serde_json::Error),
}

/// What the API server has after a write.
#[derive(Clone, Debug)]
pub(crate) struct Written<S> {
    pub(crate) resource_version: Option<String>,
    pub(crate) status: S,
}

/// Writes `after` unless it is what is there. Only to the very version of the object that was read, so that a decision
/// made for a past state is never recorded for the present one. That the object is gone is no success either: what it owned
/// went with it, which would be told of as a failure.
///
/// `before` has to be the newest that is known: one from a cache that has not caught up with the last write would have that
/// write stand where `after` takes it back. Who goes by a cache puts in what this returns.
pub(crate) async fn write_if_changed<K, S>(
    client: &Client,
    object: &ObjectMeta,
    before: Option<&S>,
    after: &S,
) -> Result<Option<Written<S>>, WriteStatusError>
where
    K: Resource<DynamicType = ()>,
    S: Clone + PartialEq + Serialize,
{
    if before == Some(after) {
        return Ok(None);
    }
    let before = before.map_or(Ok(json!({})), serde_json::to_value)?;
    let patch = json!({
        "metadata": { "resourceVersion": object.resource_version },
        "status": merge_patch(&before, &serde_json::to_value(after)?),
    });
    let (name, namespace) = (
        object.name.as_deref().unwrap_or_default(),
        object.namespace.as_deref(),
    );
    // The answer holds the whole object, which need not be readable to have a status.
    let kind = ApiResource::erase::<K>(&());
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace.unwrap_or_default(), &kind);
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    match api.patch_status(name, &parameters, &Patch::Merge(&patch)).await {
        Ok(written) => Ok(Some(Written {
            resource_version: written.metadata.resource_version,
            status: after.clone(),
        })),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Err(WriteStatusError::Outdated),
        Err(source) => Err(WriteStatusError::Patch(source)),
    }
}

/// What turns `before` into `after` by RFC 7386: what is no longer there is null, lists are replaced as a whole.
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return after.clone();
    };
    let removed = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let changed = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value))
        .map(|(key, value)| {
            let patch = before
                .get(key)
                .map_or_else(|| value.clone(), |old| merge_patch(old, value));
            (key.clone(), patch)
        });
    Value::Object(removed.chain(changed).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_takes_away_what_is_gone_and_leaves_what_stays() {
        for (before, after, expected) in [
            (json!({}), json!({ "a": 1 }), json!({ "a": 1 })),
            (json!({ "a": 1, "b": 2 }), json!({ "a": 1 }), json!({ "b": null })),
            (json!({ "a": [1, 2] }), json!({ "a": [2] }), json!({ "a": [2] })),
            (
                json!({ "run": { "job": "j1", "finishedAt": "t", "attempt": 1 } }),
                json!({ "run": { "job": "j2", "attempt": 1 } }),
                json!({ "run": { "job": "j2", "finishedAt": null } }),
            ),
            (json!({ "a": 1 }), json!({ "a": 1 }), json!({})),
        ] {
            assert_eq!(merge_patch(&before, &after), expected);
        }
    }
}
