//! Every operation against what prost-reflect makes of the same bytes, on generated schemas and messages.
//!
//! `HEDDLE_DIFFERENTIAL_CASES=60000` makes them run a million cases together; see `fuzz/README.md`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod case;
mod choices;
mod chunks;
mod compare;
mod decode;
mod describe;
mod edits;
mod json;
mod messages;
mod places;
mod regressions;
mod schemas;
