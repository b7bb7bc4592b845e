//! Any bytes as a message: decoding, lazy views and encoding agree, within the limits.
#![no_main]

use heddle_dynamic_protobuf::Message;
use heddle_dynamic_protobuf::view::View;
use heddle_fuzz::{LIMITS, root, round_trip, view_agrees, within_limits};
use libfuzzer_sys::fuzz_target;
use std::hint::black_box;

fuzz_target!(|input: &[u8]| {
    let Some((descriptor, bytes)) = root(input) else {
        return;
    };
    let mut message = Message::with_limits(descriptor, LIMITS);
    let decoded = within_limits(bytes.len(), || message.decode(bytes));
    let view = View::with_limits(descriptor, bytes, &LIMITS);
    match decoded {
        Ok(()) => {
            // Views have no limit on the elements of all lists together, so that what decodes is within theirs.
            let view = view.expect("the size is within the limits");
            view_agrees(&view, message.as_ref()).expect("what decodes is well-formed");
            round_trip(descriptor, &message);
            black_box(message.check_required().is_ok());
        }
        Err(error) => {
            assert!(
                error.offset() <= bytes.len(),
                "{error} is past the end of the input"
            );
            assert!(
                message.as_ref().fields().next().is_none(),
                "a message that is refused is empty"
            );
            for field in descriptor.fields() {
                black_box(view.as_ref().ok().and_then(|view| view.get(field).ok().flatten()));
            }
        }
    }
});
