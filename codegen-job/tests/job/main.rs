//! The program `heddle-codegen` against real Git servers over HTTPS, with real plugins and hostile ones.

// Clippy takes for test code what is marked so, and lets only that unwrap.
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cancellation;
#[cfg(test)]
mod confinement;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod laptop;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod secrets;
