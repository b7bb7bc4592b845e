//! The controller of WsRoute, its webhook, and its configuration stream against a real API server, with a client that speaks
//! the stream as sidecars do, and with the real sidecar.

mod broadcast;
mod certificates;
mod endpoint;
mod fan_out;
mod injection;
mod proxy;
mod sidecar;
mod stream;
mod world;
