//! Code generation from protobuf IDL: a commit of IDL in, a commit of generated code out.
//!
//! Each step is a module: [`request`] → [`source`] → [`select`] → [`compile`] → [`plugin`] → [`observe`] →
//! [`output`] → [`deliver`]; [`run`] puts them in order, and [`failure`] gives their errors a reason.

pub mod compile;
pub mod deliver;
pub mod diff;
pub mod failure;
pub mod manifest;
pub mod message;
pub mod observe;
pub mod output;
pub mod plugin;
pub mod redact;
pub mod repo_path;
pub mod request;
pub mod run;
pub mod select;
pub mod source;
pub mod stop;
