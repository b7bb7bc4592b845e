//! Frames of RFC 6455 as far as a relay needs them: where they begin and end, and what their headers say. No input or
//! output, no payloads.

mod encode;
mod header;
mod scanner;

pub use encode::{MAX_REASON_BYTES, close, fitting, ping, text};
pub use header::{Header, Opcode};
pub use scanner::{MAX_HEAD_BYTES, Scan, Scanner};

/// Codes of Close frames (RFC 6455 7.4.1, IANA's registry) that the proxy sends or tells apart.
pub mod code {
    /// All has been said.
    pub const NORMAL: u16 = 1000;
    /// A server goes down, or a page is left.
    pub const GOING_AWAY: u16 = 1001;
    /// A frame is not as RFC 6455 wants it.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// What a Close frame without a code is said to have. Never on the wire.
    pub const NO_STATUS: u16 = 1005;
    /// What a connection that ends without a Close frame is said to have. Never on the wire.
    pub const ABNORMAL: u16 = 1006;
    /// A message is not of its type.
    pub const INVALID_PAYLOAD: u16 = 1007;
    /// A message goes against a policy.
    pub const POLICY: u16 = 1008;
    /// A message is too long.
    pub const TOO_BIG: u16 = 1009;
    /// A server met what it did not expect.
    pub const INTERNAL_ERROR: u16 = 1011;
    /// What a failed TLS handshake is said to have. Never on the wire.
    pub const TLS_HANDSHAKE: u16 = 1015;

    /// Whether a Close frame must never have this code.
    pub fn is_never_on_the_wire(code: u16) -> bool {
        matches!(code, NO_STATUS | ABNORMAL | TLS_HANDSHAKE)
    }
}

#[cfg(test)]
mod tests;
