//! Where in a stream of frames one is.

use super::{Header, Opcode};

/// The most bytes of payload that are looked at before a frame goes on.
const MAX_PEEKED_BYTES: usize = 8;
/// The most bytes that a frame is held back for: the longest header, and what is looked at behind it.
pub const MAX_HEAD_BYTES: usize = 14 + MAX_PEEKED_BYTES;
/// The bytes of a Close frame's code.
const CODE_BYTES: u64 = 2;

/// Follows a stream of frames through pieces that are cut anywhere.
///
/// A head, which is the header of a frame and the few bytes of payload that decide what becomes of it, is read only when
/// it is all there: whoever holds the stream keeps an incomplete one, at most [`MAX_HEAD_BYTES`] - 1 bytes, in front of
/// the next piece. So a frame has not begun to go on when it is judged.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    /// How much of the payload of the current frame is still to come.
    rest: u64,
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scan {
    /// The header.
    pub header: Header,
    /// The code of a Close frame that has one.
    pub code: Option<u16>,
    /// The payload, without a mask, of a Pong of eight bytes: as long as that of the proxy's own Pings.
    pub pong: Option<[u8; MAX_PEEKED_BYTES]>,
}

impl Scanner {
    /// Whether one frame has ended and the next has not begun.
    #[inline]
    pub fn is_at_boundary(&self) -> bool {
        self.rest == 0
    }

    /// Passes over payload of the current frame: as much of `available` bytes as belongs to it.
    #[inline]
    pub fn take_payload(&mut self, available: usize) -> usize {
        let taken = usize::try_from(self.rest).map_or(available, |rest| rest.min(available));
        self.rest -= taken as u64;
        taken
    }

    /// The head that `bytes` begin with, at a boundary; nothing while it is not all there.
    #[inline]
    pub fn head(&self, bytes: &[u8]) -> Option<Scan> {
        debug_assert!(self.is_at_boundary(), "heads are read at boundaries");
        let header = Header::parse(bytes)?;
        let mut scan = Scan {
            header,
            code: None,
            pong: None,
        };
        let peeked = match (header.opcode, header.payload_bytes) {
            (Opcode::Close, CODE_BYTES..) => CODE_BYTES as usize,
            (Opcode::Pong, length) if length == MAX_PEEKED_BYTES as u64 => MAX_PEEKED_BYTES,
            _ => return Some(scan),
        };
        if bytes.len() < usize::from(header.bytes) + peeked {
            return None;
        }
        match header.opcode {
            Opcode::Close => scan.code = Some(u16::from_be_bytes(header.unmasked(bytes))),
            _ => scan.pong = Some(header.unmasked(bytes)),
        }
        Some(scan)
    }

    /// Goes past a header, into the payload of its frame.
    #[inline]
    pub fn enter(&mut self, header: &Header) {
        self.rest = header.payload_bytes;
    }
}
