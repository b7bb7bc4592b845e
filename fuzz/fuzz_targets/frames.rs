//! Any bytes as a stream of frames: the scanner finds what the slow reference finds, wherever the stream is cut.
#![no_main]

use heddle_fuzz::relay::frames;
use heddle_ws_session::frame::{MAX_HEAD_BYTES, Opcode, Scanner};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((piece, stream)) = input.split_first() else {
        return;
    };
    let expected = frames(stream);
    let mut expected = expected.iter();
    let mut scanner = Scanner::default();
    let mut held: Vec<u8> = Vec::new();
    for piece in stream.chunks(usize::from(*piece) + 1) {
        held.extend_from_slice(piece);
        while !held.is_empty() {
            if scanner.is_at_boundary() {
                let Some(scan) = scanner.head(&held) else {
                    assert!(held.len() < MAX_HEAD_BYTES, "an incomplete head is short");
                    break;
                };
                let frame = expected.next().expect("no frame from nowhere");
                assert_eq!(Some(usize::from(scan.header.bytes)), frame.header_bytes);
                assert_eq!(scan.header.payload_bytes, frame.payload_bytes);
                assert_eq!(scan.header.opcode == Opcode::Close, frame.is_close());
                if frame.is_close() {
                    assert_eq!(scan.code, frame.code().filter(|_| frame.payload_bytes >= 2));
                }
                if let Some(pong) = scan.pong {
                    assert_eq!(frame.payload(), pong);
                }
                scanner.enter(&scan.header);
                held.drain(..usize::from(scan.header.bytes));
            }
            let taken = scanner.take_payload(held.len());
            held.drain(..taken);
        }
    }
    assert!(expected.len() <= 1, "only the last frame may lack its head");
});
