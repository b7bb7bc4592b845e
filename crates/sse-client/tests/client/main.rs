//! The client against servers on real sockets that say exactly what a test wants.

// `cfg(test)` tells clippy that helpers, which are no tests themselves, may unwrap.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod server;
#[cfg(test)]
mod subscription;
#[cfg(test)]
mod timeouts;
#[cfg(test)]
mod tls;
