//! Sessions between raw peers that check every byte, on a clock that the tests move.

mod closing;
mod keepalive;
mod limits;
pub(crate) mod pair;
mod relaying;
mod tcp;
