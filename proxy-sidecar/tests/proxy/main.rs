//! The proxy's program between raw clients and raw backends: what goes in, and what comes out, byte by byte.

mod certificates;
mod drain;
mod forwarding;
mod handshake;
mod http2;
mod limits;
mod observe;
mod refusals;
mod reload;
mod retries;
mod support;
mod tls;
