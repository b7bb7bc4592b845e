//! Frames the slow way: the reference that the scanner is held to.

/// One frame, or as much of it as there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// All of its bytes that are there.
    pub bytes: &'a [u8],
    /// Where the payload begins; nothing while the header is not all there.
    pub header_bytes: Option<usize>,
    /// How long the payload is meant to be.
    pub payload_bytes: u64,
}

/// Splits a stream into frames, of which the last may be incomplete (RFC 6455 5.2).
pub fn frames(mut stream: &[u8]) -> Vec<Frame<'_>> {
    let mut all = Vec::new();
    while !stream.is_empty() {
        let frame = first(stream);
        stream = &stream[frame.bytes.len()..];
        all.push(frame);
    }
    all
}

fn first(stream: &[u8]) -> Frame<'_> {
    let incomplete = Frame {
        bytes: stream,
        header_bytes: None,
        payload_bytes: 0,
    };
    let Some(second) = stream.get(1) else {
        return incomplete;
    };
    let length_bytes = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let header_bytes = 2 + length_bytes + mask_bytes;
    if stream.len() < header_bytes {
        return incomplete;
    }
    let payload_bytes = match length_bytes {
        0 => u64::from(second & 0x7F),
        _ => stream[2..2 + length_bytes]
            .iter()
            .fold(0, |length, byte| (length << 8) | u64::from(*byte)),
    };
    let rest = (stream.len() - header_bytes) as u64;
    let end = header_bytes + payload_bytes.min(rest) as usize;
    Frame {
        bytes: &stream[..end],
        header_bytes: Some(header_bytes),
        payload_bytes,
    }
}

impl Frame<'_> {
    /// Whether it is a Close frame with all of its header.
    pub fn is_close(&self) -> bool {
        self.header_bytes.is_some() && self.bytes[0] & 0x0F == 8
    }

    /// The payload that is there, without its mask.
    pub fn payload(&self) -> Vec<u8> {
        let Some(start) = self.header_bytes else {
            return Vec::new();
        };
        let is_masked = self.bytes[1] & 0x80 != 0;
        let mask = if is_masked {
            &self.bytes[start - 4..start]
        } else {
            &[0; 4]
        };
        let payload = self.bytes[start..].iter().enumerate();
        payload.map(|(index, byte)| byte ^ mask[index % 4]).collect()
    }

    /// The code of a Close frame.
    pub fn code(&self) -> Option<u16> {
        self.payload().first_chunk().map(|code| u16::from_be_bytes(*code))
    }

    /// Whether `arrived` is this frame: all of it, or its beginning where that may be.
    pub fn is_begun_by(&self, arrived: &Frame<'_>, may_be_cut: bool) -> bool {
        self.bytes == arrived.bytes || (may_be_cut && self.bytes.starts_with(arrived.bytes))
    }

    /// Whether its message goes on behind it, if that was so before it.
    pub fn has_more(&self, before: bool) -> bool {
        match self.bytes.first() {
            Some(first) if first & 0x08 == 0 => first & 0x80 == 0,
            _ => before,
        }
    }

    /// Whether it looks like a message for all sessions, or its beginning.
    pub fn is_for_all(&self) -> bool {
        let is_text = self.bytes.first() == Some(&0x81);
        let is_masked = self.bytes.get(1).is_some_and(|second| second & 0x80 != 0);
        let payload = self.payload();
        let text = &b"for all"[..payload.len().min(7)];
        is_text && !is_masked && payload.starts_with(text)
    }

    /// Whether it looks like one that the proxy sends: a Ping of eight bytes or a Close frame, masked for backends.
    pub fn is_of_the_proxy(&self, to_client: bool) -> bool {
        let Some(second) = self.bytes.get(1) else {
            return matches!(self.bytes, [0x88 | 0x89]);
        };
        let is_masked = second & 0x80 != 0;
        is_masked != to_client
            && match self.bytes[0] {
                0x88 => true,
                0x89 => second & 0x7F == 8,
                _ => false,
            }
    }
}
