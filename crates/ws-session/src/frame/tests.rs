//! The scanner against a slow reference, cut everywhere.

use super::*;
use proptest::prelude::*;

/// A frame as a sender means it.
#[derive(Clone, Debug)]
struct Sent {
    first: u8,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
    /// How many bytes the length takes up, if more than it has to.
    wide: bool,
}

impl Sent {
    fn encode(&self) -> Vec<u8> {
        let length = self.payload.len();
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match length {
            _ if self.wide || length > 0xFFFF => {
                bytes.push(127 | masked);
                bytes.extend((length as u64).to_be_bytes());
            }
            126.. => {
                bytes.push(126 | masked);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => bytes.push(length as u8 | masked),
        }
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(
            self.payload
                .iter()
                .enumerate()
                .map(|(index, byte)| byte ^ self.mask.map_or(0, |mask| mask[index % 4])),
        );
        bytes
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let length = prop_oneof![
        0..20_usize,
        120..130_usize,
        Just(0xFFFF_usize),
        Just(0x1_0000_usize)
    ];
    let payload = length.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length));
    (any::<u8>(), any::<Option<[u8; 4]>>(), payload, any::<bool>()).prop_map(
        |(first, mask, payload, wide)| Sent {
            first,
            mask,
            payload,
            wide,
        },
    )
}

/// What a stream in these pieces is read as: heads, and how much payload followed each.
fn scan(pieces: &[&[u8]]) -> Vec<(Scan, usize)> {
    let mut scanner = Scanner::default();
    let mut frames: Vec<(Scan, usize)> = Vec::new();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            if scanner.is_at_boundary() {
                let Some(scan) = scanner.head(&held) else {
                    assert!(held.len() < MAX_HEAD_BYTES, "an incomplete head is short");
                    break;
                };
                scanner.enter(&scan.header);
                held.drain(..usize::from(scan.header.bytes));
                frames.push((scan, 0));
            }
            let taken = scanner.take_payload(held.len());
            held.drain(..taken);
            if let Some((_, payload)) = frames.last_mut() {
                *payload += taken;
            }
            if held.is_empty() {
                break;
            }
        }
    }
    assert!(
        held.is_empty() && scanner.is_at_boundary(),
        "the stream ends between frames"
    );
    frames
}

fn assert_read(frames: &[(Scan, usize)], sent: &[Sent]) {
    assert_eq!(frames.len(), sent.len());
    for ((scan, payload), sent) in frames.iter().zip(sent) {
        assert_eq!(*payload, sent.payload.len());
        assert_eq!(scan.header.payload_bytes, sent.payload.len() as u64);
        assert_eq!(scan.header.fin, sent.first & 0x80 != 0);
        assert_eq!(scan.header.mask, sent.mask);
        let is_close = sent.first & 0x0F == 0x8;
        let code = sent.payload.first_chunk().filter(|_| is_close);
        assert_eq!(scan.code, code.map(|code| u16::from_be_bytes(*code)));
        let is_pong = sent.first & 0x0F == 0xA;
        assert_eq!(
            scan.pong,
            sent.payload.as_slice().try_into().ok().filter(|_| is_pong)
        );
    }
}

proptest! {
    #[test]
    fn frames_are_found_wherever_the_stream_is_cut(sent in prop::collection::vec(sent(), 1..6), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let stream: Vec<u8> = sent.iter().flat_map(Sent::encode).collect();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        assert_read(&scan(&pieces), &sent);
    }
}

#[test]
fn frames_are_found_in_single_bytes() {
    let mask = Some([1, 2, 3, 4]);
    let sent = [
        Sent {
            first: 0x81,
            mask,
            payload: vec![7; 3],
            wide: false,
        },
        Sent {
            first: 0x88,
            mask,
            payload: vec![3, 0xE8, b'x'],
            wide: true,
        },
        Sent {
            first: 0x8A,
            mask: None,
            payload: vec![9; 8],
            wide: false,
        },
        Sent {
            first: 0x88,
            mask: None,
            payload: vec![],
            wide: false,
        },
        Sent {
            first: 0x88,
            mask: None,
            payload: vec![1],
            wide: false,
        },
    ];
    let stream: Vec<u8> = sent.iter().flat_map(Sent::encode).collect();
    let pieces: Vec<&[u8]> = stream.chunks(1).collect();
    assert_read(&scan(&pieces), &sent);
}

#[test]
fn a_length_of_all_64_bits_has_no_end() {
    let mut scanner = Scanner::default();
    let bytes = [0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    let scan = scanner.head(&bytes).expect("the header is complete");
    scanner.enter(&scan.header);
    assert_eq!(scanner.take_payload(usize::MAX - 1), usize::MAX - 1);
    assert!(!scanner.is_at_boundary());
}

#[test]
fn frames_of_the_proxy_are_read_as_what_they_are() {
    for mask in [None, Some([9, 8, 7, 6])] {
        let scanner = Scanner::default();
        let scan = scanner.head(&close(Some(1001), "bye", mask)).expect("complete");
        assert_eq!(
            (scan.header.opcode, scan.code, scan.header.mask),
            (Opcode::Close, Some(1001), mask)
        );
        let scan = scanner.head(&ping(*b"12345678", mask)).expect("complete");
        assert_eq!((scan.header.opcode, scan.header.payload_bytes), (Opcode::Ping, 8));
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let frame = close(Some(1007), &"ä".repeat(100), None);
    assert_eq!(frame.len(), 2 + 2 + 122);
    assert!(std::str::from_utf8(&frame[4..]).is_ok());
}
