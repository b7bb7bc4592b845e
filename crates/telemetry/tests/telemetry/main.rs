//! Telemetry as its users see it: lines that are written, and spans that arrive at a receiver.

mod captured;
mod logs;
