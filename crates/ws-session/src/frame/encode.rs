//! The frames that the proxy sends itself.

use super::header::{LENGTH_IN_EIGHT_BYTES, LENGTH_IN_TWO_BYTES};

/// The most bytes of a reason: a control frame has at most 125 bytes of payload, and a code takes two.
pub const MAX_REASON_BYTES: usize = 123;
/// The longest header without a mask.
const MAX_HEADER_BYTES: usize = 10;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// A Close frame with `code` and as much of `reason` as fits, masked with `mask` when it goes to a server. Without a code
/// there is no reason either.
pub fn close(code: Option<u16>, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    match code {
        Some(code) => control(CLOSE, &[&code.to_be_bytes(), fitting(reason).as_bytes()], mask),
        None => control(CLOSE, &[], mask),
    }
}

/// As much of `reason` as a Close frame has room for.
pub fn fitting(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)]
}

/// A Ping frame with a payload of eight bytes, masked with `mask` when it goes to a server.
pub fn ping(payload: [u8; 8], mask: Option<[u8; 4]>) -> Vec<u8> {
    control(PING, &[&payload], mask)
}

/// A text message in one frame for a client, and how many bytes of it are its header.
pub fn text(text: &str) -> (Vec<u8>, usize) {
    let mut frame = Vec::with_capacity(text.len() + MAX_HEADER_BYTES);
    frame.push(FIN | TEXT);
    match text.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..=0xFFFF => {
            frame.push(LENGTH_IN_TWO_BYTES);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(LENGTH_IN_EIGHT_BYTES);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let header_bytes = frame.len();
    frame.extend(text.as_bytes());
    (frame, header_bytes)
}

fn control(opcode: u8, payload: &[&[u8]], mask: Option<[u8; 4]>) -> Vec<u8> {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(6 + length);
    frame.push(FIN | opcode);
    frame.push(length as u8 | mask.map_or(0, |_| MASKED));
    frame.extend(mask.iter().flatten());
    let bytes = payload.iter().flat_map(|part| part.iter()).enumerate();
    frame.extend(bytes.map(|(index, byte)| byte ^ mask.map_or(0, |mask| mask[index % 4])));
    frame
}
