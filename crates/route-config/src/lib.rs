//! The contract between the operator and the WebSocket sidecars: what a route means once it is known to be right, which
//! route takes a request, and the messages of the configuration stream.
//!
//! Pure: no sockets, no runtime. The operator refuses with it what can't work, and the sidecar works by it, so that both
//! mean the same. A sidecar that runs alone reads the same manifests.

mod origin;
mod parse;
mod path;
pub mod protocol;
mod route;
mod table;

pub use origin::OriginPattern;
pub use parse::{InvalidRoute, Problem};
pub use path::{InvalidPath, RequestPath};
pub use route::{
    Backend, BackendTls, HeaderMatch, HostPattern, Keepalive, Lifetime, Limits, MessageRate, PathMatch,
    RequestMatch, Route, RouteId, Timeouts, TlsSecrets, Transcoding,
};
pub use table::{Conflict, HasHeader, RouteTable};
