//! HTTP servers that no client can stop by what it does not do.
//!
//! A connection has a deadline for each thing that its client owes: the TLS handshake, the first request, the rest of a
//! header, a request at all. There are so many connections at a time, and so many of one peer. [`serve`](serve()) is the
//! server, [`Limits`] are its limits; [`serve_probes`] answers `/livez`, `/readyz` and `/metrics` with it.

mod activity;
mod gate;
mod probes;
mod serve;

pub use probes::{Probes, serve_probes};
pub use serve::{Limits, Protocol, serve};
