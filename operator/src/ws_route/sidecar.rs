//! What a sidecar is called in a pod, how a pod says that it wants none, and where it finds whom to trust.

use std::collections::BTreeMap;

/// The name of the container.
pub(crate) const NAME: &str = "heddle-proxy";

/// The annotation of pods that want none.
const ANNOTATION: &str = "heddle.dev/sidecar";
const DISABLED: &str = "disabled";

/// The ConfigMap of a namespace with the authorities that sidecars are to trust, and its key.
pub(crate) const TRUST_CONFIG_MAP: &str = "heddle-trust";
pub(crate) const TRUST_KEY: &str = "ca.crt";

/// Whether a pod with these annotations wants no sidecar.
pub(crate) fn opts_out(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(ANNOTATION).is_some_and(|value| value == DISABLED)
}
