//! Values that look random and are the same each time.

/// Weyl's sequence through the finaliser of SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least `low`, below `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.between(0, 100) < percent
    }

    /// A number with six digits after the point, as measuring gives it.
    pub(super) fn decimal(&mut self, limit: u64) -> f64 {
        self.between(0, limit * 1_000_000) as f64 / 1e6
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    pub(super) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.between(0, choices.len() as u64) as usize]
    }

    /// Words of a text; a few are not ASCII, and fewer have to be escaped in JSON.
    pub(super) fn words(&mut self, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.one_of(&WORDS)).collect();
        words.join(" ")
    }

    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}

const WORDS: [&str; 32] = [
    "parcel",
    "waits",
    "at",
    "the",
    "north",
    "gate",
    "until",
    "Monday",
    "please",
    "ring",
    "twice",
    "and",
    "leave",
    "with",
    "neighbour",
    "fragile",
    "glass",
    "inside",
    "keep",
    "upright",
    "café",
    "Zürich",
    "delivery",
    "window",
    "between",
    "nine",
    "eleven",
    "signature",
    "\"urgent\"",
    "required",
    "return",
    "label",
];
