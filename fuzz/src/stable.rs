//! What is encoded has to decode to the same message.

use crate::LIMITS;
use heddle_dynamic_protobuf::{Message, MessageDescriptor};

/// The one encoding of all equal messages.
pub fn deterministic(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode_deterministic_into(&mut out);
    out
}

/// Encodes and decodes the message, and compares.
///
/// # Panics
/// When something is lost: that is a finding.
pub fn round_trip(descriptor: MessageDescriptor<'_>, message: &Message) {
    let expected = deterministic(message);
    let mut again = Message::with_limits(descriptor, LIMITS);
    for encoded in [message.encode_to_vec(), expected.clone()] {
        if let Err(error) = again.decode(&encoded) {
            panic!("{encoded:02x?} was encoded, and is refused: {error}");
        }
        assert_eq!(deterministic(&again), expected, "of {encoded:02x?}");
    }
}
