//! Every operation against what prost-reflect makes of the same bytes, on generated schemas and messages.
//!
//! `HEDDLE_DIFFERENTIAL_CASES=1000000 cargo test --release --test differential` runs more cases than the tests do by themselves.

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
