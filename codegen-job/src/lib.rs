//! Code generation from protobuf IDL: clone, compile, generate, deliver as a commit.

pub mod compile;
pub mod plugin;
pub mod repo_path;
pub mod select;
pub mod source;
pub mod stop;
