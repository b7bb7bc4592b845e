//! The control frames that the proxy sends itself.

/// The most bytes of a reason: a control frame has at most 125 bytes of payload, and a code takes two.
pub const MAX_REASON_BYTES: usize = 123;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// A Close frame with `code` and as much of `reason` as fits, masked with `mask` when it goes to a server.
pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    control(CLOSE, &[&code.to_be_bytes(), &reason.as_bytes()[..end]], mask)
}

/// A Ping frame with a payload of eight bytes, masked with `mask` when it goes to a server.
pub fn ping(payload: [u8; 8], mask: Option<[u8; 4]>) -> Vec<u8> {
    control(PING, &[&payload], mask)
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
