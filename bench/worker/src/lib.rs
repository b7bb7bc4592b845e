//! One subject of the protobuf benchmark, as a process: it reads commands from standard input and answers each with
//! one line, so that the rounds of many subjects in many languages can alternate.
//!
//! | command | answer |
//! | --- | --- |
//! | `run <operation> <message> <times>` | processor time of all the times together, in nanoseconds |
//! | `show <operation> <message> <file>` | `ok`, with what one time results in written to the file |
//!
//! A subject that cannot do the operation answers `none`; one that fails, `error <why>`.

mod corpus;
mod serve;

pub use corpus::{Case, Corpus, Step};
pub use serve::{Engine, Operation, Output, Perform, serve};
