//! Frames of RFC 6455, section 5.2, as far as load and echo need them.

/// A whole message of text.
pub(crate) const TEXT: u8 = 0x81;
/// A whole message of bytes.
pub(crate) const BINARY: u8 = 0x82;
/// The end of a session.
pub(crate) const CLOSE: u8 = 0x88;

/// Set in the second byte where a mask follows the length.
const MASKED: u8 = 0x80;
/// The mask of every frame that the load sends: clients must mask, and need not surprise anybody here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Flags and opcode.
    pub(crate) first: u8,
    pub(crate) mask: Option<[u8; 4]>,
    /// Bytes of the header itself.
    pub(crate) length: usize,
    /// Bytes of the payload.
    pub(crate) payload: usize,
}

impl Header {
    /// The header that `bytes` begin with; none when more of it has to come.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (mut length, payload) = match second & !MASKED {
            126 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
            127 => (
                10,
                usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?,
            ),
            short => (2, short.into()),
        };
        let mask = match second & MASKED {
            0 => None,
            _ => Some(*bytes.get(length..)?.first_chunk()?),
        };
        length += mask.map_or(0, |mask| mask.len());
        Some(Self {
            first,
            mask,
            length,
            payload,
        })
    }
}

/// Adds an unmasked header, as servers send it.
pub(crate) fn push_header(output: &mut Vec<u8>, first: u8, payload: usize) {
    push(output, first, payload, 0);
}

/// A whole frame as clients send it.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    push(&mut frame, first, payload.len(), MASKED);
    frame.extend_from_slice(&MASK);
    let start = frame.len();
    frame.extend_from_slice(payload);
    unmask(&mut frame[start..], MASK);
    frame
}

fn push(output: &mut Vec<u8>, first: u8, payload: usize, masked: u8) {
    output.push(first);
    match (u8::try_from(payload), u16::try_from(payload)) {
        (Ok(short @ 0..126), _) => output.push(short | masked),
        (_, Ok(medium)) => {
            output.push(126 | masked);
            output.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            output.push(127 | masked);
            output.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

/// Takes a mask off, or puts it on.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_in_every_form_of_length() {
        for length in [0, 1, 7, 125, 126, 16_384, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut frame = masked(BINARY, &payload);
            let header = Header::read(&frame).unwrap();
            assert_eq!((header.first, header.payload), (BINARY, payload.len()));
            assert_eq!(header.length + header.payload, frame.len());
            unmask(&mut frame[header.length..], header.mask.unwrap());
            assert_eq!(frame[header.length..], payload);
        }
    }

    #[test]
    fn a_header_that_is_cut_off_is_none() {
        let frame = masked(BINARY, &[0; 70_000]);
        for end in 0..14 {
            assert_eq!(Header::read(&frame[..end]), None, "{end}");
        }
    }
}
