//! Sessions between raw peers that check every byte, on a clock that the tests move.

// `cfg(test)` tells clippy that helpers, which are no tests themselves, may panic.

#[cfg(test)]
mod broadcasting;
mod closing;
#[cfg(test)]
mod keepalive;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod relaying;
#[cfg(test)]
mod tcp;
