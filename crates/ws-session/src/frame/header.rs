//! The header of a frame (RFC 6455 5.2).

/// The fewest bytes of a header.
const MIN_HEADER_BYTES: usize = 2;
/// The value of the 7-bit length that says that two bytes of length follow.
pub(super) const LENGTH_IN_TWO_BYTES: u8 = 126;
/// The value of the 7-bit length that says that eight bytes of length follow.
pub(super) const LENGTH_IN_EIGHT_BYTES: u8 = 127;
const MASK_BYTES: usize = 4;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// The next part of a message.
    Continuation,
    /// The first part of a message: text, binary, or one of a type that RFC 6455 reserves.
    Data,
    /// The end of the connection.
    Close,
    /// Asks for a Pong.
    Ping,
    /// Answers a Ping, or says that the peer lives.
    Pong,
    /// A control frame of a type that RFC 6455 reserves.
    ReservedControl,
}

impl Opcode {
    fn new(nibble: u8) -> Self {
        match nibble {
            0x0 => Self::Continuation,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            0xB.. => Self::ReservedControl,
            _ => Self::Data,
        }
    }

    /// Whether the frame carries part of a message.
    pub fn is_data(self) -> bool {
        matches!(self, Self::Continuation | Self::Data)
    }
}

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// With what its payload is masked.
    pub mask: Option<[u8; MASK_BYTES]>,
    /// How many bytes the header has: from 2 to 14.
    pub bytes: u8,
    /// How many bytes of payload follow. RFC 6455 wants them below 2^63; a longer frame is passed on like any other until
    /// whoever receives it refuses it, as it can have no end.
    pub payload_bytes: u64,
}

impl Header {
    /// Reads a header from the first of `bytes`; nothing while it is not all there.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else {
            return None;
        };
        let (payload_bytes, length_end) = match second & 0x7F {
            LENGTH_IN_TWO_BYTES => {
                let length = bytes.get(MIN_HEADER_BYTES..MIN_HEADER_BYTES + 2)?;
                (
                    u64::from(u16::from_be_bytes(length.try_into().ok()?)),
                    MIN_HEADER_BYTES + 2,
                )
            }
            LENGTH_IN_EIGHT_BYTES => {
                let length = bytes.get(MIN_HEADER_BYTES..MIN_HEADER_BYTES + 8)?;
                (u64::from_be_bytes(length.try_into().ok()?), MIN_HEADER_BYTES + 8)
            }
            length => (u64::from(length), MIN_HEADER_BYTES),
        };
        let is_masked = second & 0x80 != 0;
        let (mask, end) = match is_masked {
            true => {
                let mask = bytes.get(length_end..length_end + MASK_BYTES)?;
                (Some(mask.try_into().ok()?), length_end + MASK_BYTES)
            }
            false => (None, length_end),
        };
        Some(Self {
            opcode: Opcode::new(first & 0x0F),
            fin: first & 0x80 != 0,
            mask,
            bytes: end as u8,
            payload_bytes,
        })
    }

    /// The first bytes of the payload without the mask: of `frame`, which begins with this header, as many of `N` as are
    /// there; zeros behind.
    pub fn unmasked<const N: usize>(&self, frame: &[u8]) -> [u8; N] {
        let payload = frame.get(usize::from(self.bytes)..).unwrap_or_default();
        let mut start = [0; N];
        for (index, (to, from)) in start.iter_mut().zip(payload).enumerate() {
            *to = from ^ self.mask.map_or(0, |mask| mask[index % MASK_BYTES]);
        }
        start
    }
}
