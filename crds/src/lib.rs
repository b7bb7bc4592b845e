//! Heddle's Kubernetes kinds in the API group `heddle.dev`, version `v1alpha1`: what people write, what they
//! read back, and the contract between the operator and the Job that it starts.
//!
//! This crate is pure: no sockets, no runtime, no client. The YAML below `manifests/` is generated from it by
//! `cargo xtask codegen`.

pub mod codegen;
pub mod condition;
pub mod idl_repo;
pub mod metadata;
pub mod publication;
pub mod reason;
pub mod reference;
mod schema;
pub mod sse_subscription;
pub mod transcoding;
pub mod ws_route;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Durations as Go writes them, such as `1m30s`.
pub use kube::core::duration;

pub use condition::{Condition, ConditionStatus};
pub use idl_repo::{IdlRepo, IdlRepoSpec, IdlRepoStatus};
pub use sse_subscription::{SseSubscription, SseSubscriptionSpec, SseSubscriptionStatus};
pub use ws_route::{WsRoute, WsRouteSpec, WsRouteStatus};

/// The API group of every kind of Heddle.
pub const GROUP: &str = "heddle.dev";

/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";

/// Every definition this crate has, in alphabetical order of the kinds.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![IdlRepo::crd(), SseSubscription::crd(), WsRoute::crd()];
    definitions.iter_mut().for_each(schema::join_lines);
    definitions
}
