//! Telemetry as its users see it: lines that are written, and spans that arrive at a receiver.

// `cfg(test)` tells clippy that helpers, which are no tests themselves, may unwrap.

#[cfg(test)]
mod any_text;
#[cfg(test)]
mod captured;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod export;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod queued;
#[cfg(test)]
mod receiver;
