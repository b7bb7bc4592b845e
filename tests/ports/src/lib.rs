//! Ports for servers that tests start by their number.
//!
//! A port that was bound with number 0 and given back is soon somebody else's: systems hand out the same ones to whoever binds or
//! connects next. Those of here are handed out once in a process, and from a range that systems hand out nothing of.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below it are ports of programs that a machine may run.
const FIRST: u16 = 12_000;

/// At the end of these a cluster's NodePorts begin, and behind them what Linux hands out (`ip_local_port_range`).
const COUNT: u32 = 18_000;

/// Where processes begin, apart: a prime, so that neighbours do not meet.
const STRIDE: u32 = 7_919;

static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 that nobody listens on, another one each time.
///
/// # Errors
/// All are taken.
pub fn free_port() -> io::Result<u16> {
    let begin = std::process::id() % COUNT * STRIDE;
    for _ in 0..COUNT {
        let next = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let offset = begin.wrapping_add(next) % COUNT;
        let port = FIRST + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ports_are_handed_out_once_and_never_while_somebody_listens() {
        let listeners: Vec<_> = (0..50)
            .map(|_| TcpListener::bind(("127.0.0.1", free_port().unwrap())).unwrap())
            .collect();
        let taken = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port());
        let taken: HashSet<_> = taken.collect();
        assert_eq!(taken.len(), listeners.len());
        // Once around, nobody gets them again.
        HANDED_OUT.fetch_sub(50, Ordering::Relaxed);
        for _ in 0..50 {
            assert!(!taken.contains(&free_port().unwrap()));
        }
    }
}
