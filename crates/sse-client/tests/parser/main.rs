//! The parser against the standard: its rules one by one, wherever chunks end, and a slow reference.

// `cfg(test)` tells clippy that helpers, which are no tests themselves, may unwrap.

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod chunks;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod rules;
