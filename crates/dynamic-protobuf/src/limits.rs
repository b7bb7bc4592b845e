//! The limits that untrusted input meets, in one value for decode, transcode and edit alike.

/// What a message may cost at most.
///
/// ```
/// use heddle_dynamic_protobuf::Limits;
/// let strict = Limits { depth: 16, bytes: 1 << 20, ..Limits::default() };
/// assert!(strict.elements > 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep messages, groups, JSON arrays and objects may nest; more than [`Limits::MAX_DEPTH`] is the same as that.
    pub depth: u32,
    /// The largest input and the largest output, in bytes.
    pub bytes: usize,
    /// How many list elements and map entries a message may have in all, at every level together.
    pub elements: usize,
    /// How much memory decoding may hold for one message, in bytes, beside the input itself.
    pub allocation: usize,
}

impl Limits {
    /// What every implementation of protobuf allows by default: nesting of 100.
    pub const DEFAULT_DEPTH: u32 = 100;
    /// 64 MiB.
    pub const DEFAULT_BYTES: usize = 64 << 20;
    /// 16 Mi elements.
    pub const DEFAULT_ELEMENTS: usize = 16 << 20;
    /// 512 MiB.
    pub const DEFAULT_ALLOCATION: usize = 512 << 20;

    /// How deep anything may nest whatever [`Limits::depth`] says: nesting takes stack, and this much fits the 2 MiB of a thread.
    pub const MAX_DEPTH: u32 = 250;

    /// No limits but those of the format itself and of the stack: for input one has made oneself.
    pub const TRUSTED: Self = Self {
        depth: Self::MAX_DEPTH,
        bytes: crate::wire::MAX_MESSAGE_BYTES,
        elements: usize::MAX,
        allocation: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: Self::DEFAULT_DEPTH,
            bytes: Self::DEFAULT_BYTES,
            elements: Self::DEFAULT_ELEMENTS,
            allocation: Self::DEFAULT_ALLOCATION,
        }
    }
}
