//! The controller of SseSubscription and its watchers against a real API server, with real sources and sinks.

mod bad_input;
mod delivery;
mod memory;
mod replicas;
mod sink;
mod source;
mod transcoding;
mod world;
