//! A bare writer of protobuf's wire format, so that no subject has a hand in the bytes all are measured on.

/// A message in the making.
#[derive(Default)]
pub(super) struct Wire(Vec<u8>);

impl Wire {
    pub(super) fn build(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut wire = Self::default();
        write(&mut wire);
        wire.0
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.raw_varint(u64::from(number) << 3 | wire_type);
    }

    pub(super) fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.raw_varint(value);
    }

    pub(super) fn fixed64(&mut self, number: u32, value: u64) {
        self.tag(number, 1);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, number: u32, value: u32) {
        self.tag(number, 5);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn double(&mut self, number: u32, value: f64) {
        self.fixed64(number, value.to_bits());
    }

    pub(super) fn float(&mut self, number: u32, value: f32) {
        self.fixed32(number, value.to_bits());
    }

    pub(super) fn bytes(&mut self, number: u32, value: impl AsRef<[u8]>) {
        self.tag(number, 2);
        self.raw_varint(value.as_ref().len() as u64);
        self.0.extend(value.as_ref());
    }

    pub(super) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.bytes(number, Self::build(write));
    }

    pub(super) fn packed_varints(&mut self, number: u32, values: impl IntoIterator<Item = u64>) {
        let packed = |wire: &mut Self| values.into_iter().for_each(|value| wire.raw_varint(value));
        self.message(number, packed);
    }

    pub(super) fn packed_fixed64(&mut self, number: u32, values: impl IntoIterator<Item = u64>) {
        let packed: Vec<u8> = values.into_iter().flat_map(u64::to_le_bytes).collect();
        self.bytes(number, packed);
    }
}

/// The encoding of `sint64`.
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}
