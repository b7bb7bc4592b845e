//! TCP connections, and how they notice a dead peer.

use super::Target;
use crate::Error;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// After so long without a byte the kernel asks whether the peer is still there, at no cost to us.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// Connects to the first address that answers. Each gets its share of `limit`, so that a silent one does not use up the time of
/// the others.
pub(super) async fn dial(
    addresses: &[SocketAddr],
    target: &Target,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), Error> {
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = None;
    for address in addresses {
        match tokio::time::timeout(share, connect(*address)).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(source)) => last = Some((*address, source)),
            Err(elapsed) => last = Some((*address, elapsed.into())),
        }
    }
    let (address, source) =
        last.unwrap_or_else(|| (([0, 0, 0, 0], 0).into(), io::ErrorKind::NotFound.into()));
    Err(Error::Connect {
        place: target.place.clone(),
        address,
        source,
    })
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}
