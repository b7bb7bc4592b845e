//! heddle-proxy: the WebSocket data plane of WsRoute.

pub mod session;
pub mod transport;
