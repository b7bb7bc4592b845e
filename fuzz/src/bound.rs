//! Bounds on memory: what is measured has to stay within what is promised.

use heddle_dynamic_protobuf::Limits;

/// Limits that inputs of a few kilobytes can meet.
pub const LIMITS: Limits = Limits {
    depth: 100,
    bytes: 1 << 20,
    elements: 4_096,
    allocation: 256 << 10,
};

/// Storage that grows is held twice while it moves, and beside what is counted there is the input and a few tables.
const SLACK: u64 = 64 << 10;

/// Runs `work`, which is to stay within [`LIMITS`], on so many bytes of input.
///
/// # Panics
/// When it holds more memory than that at one time: that is a finding.
pub fn within_limits<T>(input: usize, work: impl FnOnce() -> T) -> T {
    within_memory(input, 8, 2 * LIMITS.allocation as u64 + SLACK, work)
}

/// Runs `work`, which is to hold no more memory at one time than `base + factor * input` bytes.
///
/// # Panics
/// When it does: that is a finding.
pub fn within_memory<T>(input: usize, factor: u64, base: u64, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(work()));
    let allowed = base + factor * input as u64;
    assert!(
        used.bytes_max <= allowed,
        "{input} bytes of input took {} bytes of memory; {allowed} are allowed",
        used.bytes_max
    );
    result.expect("the work was done")
}
