//! What the black-box tests share: a cluster with Heddle in it as helm installs it, and a Git server beside it.
//!
//! `cargo xtask test` brings both up and says in the environment where they are. The tests do what users do, with kubectl,
//! helm and git, and know nothing of the inside but the kinds.

mod chat;
mod environment;
mod kubectl;
mod operator;
mod scenario;
mod subscription;

pub use chat::{Chat, Guest};
pub use environment::Environment;
pub use kubectl::Kubectl;
pub use operator::{Absence, Operator};
pub use scenario::{CANARY, Scenario, trace_lines};
