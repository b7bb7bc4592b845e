//! What the fuzz targets share: a schema with one of everything, and a bound on memory.

use heddle_dynamic_protobuf::Schema;
use std::sync::LazyLock;

/// Encoded descriptor set of `everything2.proto`, `everything3.proto` and what they import.
pub const EVERYTHING: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/everything.binpb"));

/// The same, compiled.
pub static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::from_descriptor_set(EVERYTHING).expect("the fixtures are a valid schema"));

/// Runs `work` and fails when it holds more memory at one time than `base + factor * input` bytes.
///
/// # Panics
/// When it does: that is a finding.
pub fn within_memory<T>(input: usize, factor: u64, base: u64, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(work()));
    let allowed = base + factor * input as u64;
    assert!(
        used.bytes_max <= allowed,
        "{} bytes of input took {} bytes of memory; {allowed} are allowed",
        input,
        used.bytes_max
    );
    result.expect("the work was done")
}
