//! heddle-proxy: the WebSocket data plane of WsRoute.
