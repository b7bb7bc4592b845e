//! Code generation from protobuf IDL: a commit of IDL in, a commit of generated code out.
//!
//! Each step is a module: [`request`] → [`source`] → [`select`] → [`compile`] → [`gate`] → [`plugin`] → [`observe`] →
//! [`output`] → [`deliver`] → [`publish`]; [`run`] puts them in order, and [`failure`] gives their errors a reason.
//! [`messages`] stands beside them: what people do with messages of the IDL.

pub mod compile;
pub mod deliver;
pub mod descriptor_set;
pub mod diff;
pub mod failure;
pub mod gate;
pub mod manifest;
pub mod message;
pub mod messages;
pub mod observe;
pub mod output;
pub mod plugin;
pub mod publish;
pub mod redact;
pub mod repo_path;
pub mod request;
pub mod run;
pub mod select;
pub mod source;
pub mod stop;
