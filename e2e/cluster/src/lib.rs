//! A real Kubernetes for tests and demonstrations, brought up and taken down by one call.
//!
//! [`Cluster::up`] uses, in this order, the cluster that `HEDDLE_E2E_KUBECONFIG` or `KUBECONFIG` names, a cluster of
//! `kind`, or a single node made of ordinary processes in a network namespace of its own. [`images`] builds the
//! product's Dockerfiles and loads them; [`tools`] alone provides an API server for tests that need no node.

pub mod archives;
mod cache;
mod cluster;
mod command;
mod control_groups;
mod debian;
mod forward;
mod host;
pub mod images;
mod kind;
mod kubectl;
mod layout;
mod mounts;
mod node;
mod processes;
mod progress;
mod teardown;
pub mod tools;
mod values;
mod wait;

pub use cache::cached;
pub use cluster::{Cluster, Origin};
pub use debian::{
    ensure_browser_packages, ensure_build_packages, ensure_fuzz_packages, ensure_git_packages,
    ensure_npm_packages, ensure_python_packages,
};
pub use forward::PortForward;
pub use layout::{cache_root, checkout};
pub use progress::{Progress, Step, human};
pub use values::Values;
