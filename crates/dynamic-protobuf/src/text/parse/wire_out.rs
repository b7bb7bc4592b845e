//! The message as it is written: in the wire format, lengths filled in when what they count has ended.

use crate::wire::{self, WireType};

#[derive(Default)]
pub(super) struct WireOut {
    bytes: Vec<u8>,
}

/// Where a length goes that is not known yet; one byte is kept for it.
#[derive(Clone, Copy)]
pub(super) struct LenAt(usize);

impl LenAt {
    /// Where the content begins.
    pub(super) fn content(self) -> usize {
        self.0 + 1
    }
}

/// The numbers of MessageSet's wire format: the group of an item, and in it the extension's number and its message.
const ITEM: u32 = 1;
const ITEM_TYPE: u32 = 2;
const ITEM_MESSAGE: u32 = 3;

impl WireOut {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn since(&self, at: usize) -> &[u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// The bytes themselves, for encoders that append.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn tag(&mut self, number: u32, wire_type: WireType) {
        self.varint(wire::tag(number, wire_type).into());
    }

    pub(super) fn varint(&mut self, value: u64) {
        wire::put_varint(&mut self.bytes, value);
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn start_group(&mut self, number: u32) {
        self.tag(number, WireType::StartGroup);
    }

    pub(super) fn end_group(&mut self, number: u32) {
        self.tag(number, WireType::EndGroup);
    }

    /// Starts a field that has a length before it.
    pub(super) fn open_len(&mut self, number: u32) -> LenAt {
        self.tag(number, WireType::Len);
        self.open()
    }

    /// Starts what has a length before it.
    pub(super) fn open(&mut self) -> LenAt {
        self.bytes.push(0);
        LenAt(self.bytes.len() - 1)
    }

    /// Ends what has a length before it: a length of more than one byte moves the content up.
    pub(super) fn close_len(&mut self, at: LenAt) {
        let mut len = self.bytes.len() - at.content();
        let (mut encoded, mut width) = ([0; wire::MAX_VARINT_LEN], 1);
        for byte in &mut encoded {
            *byte = len as u8 & 0x7f;
            len >>= 7;
            if len == 0 {
                break;
            }
            *byte |= 0x80;
            width += 1;
        }
        self.bytes
            .splice(at.0..at.content(), encoded.into_iter().take(width));
    }

    pub(super) fn open_message_set_item(&mut self, number: u32) -> LenAt {
        self.start_group(ITEM);
        self.tag(ITEM_TYPE, WireType::Varint);
        self.varint(number.into());
        self.open_len(ITEM_MESSAGE)
    }

    pub(super) fn close_message_set_item(&mut self, at: LenAt) {
        self.close_len(at);
        self.end_group(ITEM);
    }
}
