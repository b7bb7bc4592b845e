//! What a sidecar is called in a pod, and how a pod says that it wants none.

use std::collections::BTreeMap;

/// The name of the container.
pub(crate) const NAME: &str = "heddle-proxy";

/// The annotation of pods that want none.
const ANNOTATION: &str = "heddle.dev/sidecar";
const DISABLED: &str = "disabled";

/// Whether a pod with these annotations wants no sidecar.
pub(crate) fn opts_out(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(ANNOTATION).is_some_and(|value| value == DISABLED)
}
