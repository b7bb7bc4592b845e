//! The source of all choices of a case: bytes, so that whatever shrinks bytes shrinks schemas and messages.

/// Reads choices from bytes. When they are used up every choice is the first, which is the simplest and ends recursion.
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `count`, which has to be more than zero.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let wide = count > 256;
        let high = if wide { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % count
    }

    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        u32::from(self.byte()) * 100 >= (100 - percent) * 256
    }

    /// A number in which small ones, large ones and those at the edges of types are likely.
    pub(crate) fn number(&mut self) -> u64 {
        const EDGES: [u64; 12] = [
            0,
            1,
            u64::MAX,
            127,
            128,
            i32::MAX as u64,
            i32::MIN as i64 as u64,
            u32::MAX as u64,
            1 << 32,
            i64::MAX as u64,
            i64::MIN as u64,
            16_384,
        ];
        match self.below(4) {
            0 => u64::from(self.byte()),
            1 => self.one_of(&EDGES),
            2 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    /// A string of characters of one to four bytes, mostly short and sometimes longer than what fits a length of one byte.
    pub(crate) fn text(&mut self) -> String {
        const CHARS: [char; 12] = [
            'a', 'b', 'é', '€', '😀', '"', '\\', '\n', '\0', ' ', '\u{2028}', '/',
        ];
        let length = if self.percent(3) {
            100 + self.below(100)
        } else {
            self.below(6)
        };
        (0..length).map(|_| self.one_of(&CHARS)).collect()
    }

    pub(crate) fn blob(&mut self) -> Vec<u8> {
        let length = if self.percent(3) {
            100 + self.below(100)
        } else {
            self.below(6)
        };
        (0..length).map(|_| self.byte()).collect()
    }
}
