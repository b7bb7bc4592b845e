//! Shares objects among the replicas: who is there, who of them looks after what, and until when this one may act.
//!
//! Each replica holds a Lease of its own and renews it. Who has not renewed for the Lease's duration, by the clock of who
//! looks, is gone. Each object is looked after by the one that [`rendezvous`] gives it to, as soon as nobody else holds
//! the claim on it; a claim names a member by its identity, which no other process ever has.

mod fence;
mod member_lease;
mod membership;
pub(crate) mod rendezvous;

pub(crate) use fence::Fence;
pub(crate) use membership::{Membership, View, new_identity};
