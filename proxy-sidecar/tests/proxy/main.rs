//! The proxy's program between raw clients and raw backends: what goes in, and what comes out, byte by byte.

// `cfg(test)` tells clippy that helpers, which are no tests themselves, may unwrap.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod load;
#[cfg(test)]
mod observe;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod resets;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod slow_clients;
#[cfg(test)]
mod stopwatch;
#[cfg(test)]
mod support;
#[cfg(test)]
mod termination;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transcode;
#[cfg(test)]
mod wire;
