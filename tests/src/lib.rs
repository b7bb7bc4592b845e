//! What tests of the operator need around it: a real Kubernetes API with the real Job controller, real Git servers, the
//! operator as a process, and something that does for pods what a kubelet does. For the protobuf engine: the tools that
//! others check implementations with. For the proxy: Autobahn's suite.

pub mod api_server;
pub mod autobahn;
pub mod cable;
pub mod eventually;
pub mod http;
pub mod kubelet;
pub mod namespace;
pub mod operator;
pub mod protobuf_tools;
pub mod public_idl;
pub mod publication;
pub mod world;
