//! What one Git operation may cost.

use std::time::Duration;

/// Limits on one operation (one call of this crate). Exceeding a time is [`crate::GitErrorKind::Timeout`], the others
/// are [`crate::GitErrorKind::LimitExceeded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For finding the host's address, and again for making one TCP connection.
    pub connect_timeout: Duration,
    /// Without a byte from (or accepted by) the server.
    pub idle_timeout: Duration,
    /// For the whole operation.
    pub total_timeout: Duration,
    /// References that a server may advertise.
    pub references: usize,
    /// Bytes received from the server, TLS and SSH overhead included.
    pub received_bytes: u64,
    /// Objects in a received pack.
    pub objects: usize,
}

impl Default for Limits {
    /// Generous for a repository of IDL or generated code, and small enough to keep a shared operator safe.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(300),
            references: 100_000,
            received_bytes: 512 * 1024 * 1024,
            objects: 500_000,
        }
    }
}
