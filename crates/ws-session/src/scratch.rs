//! The buffer that the sessions of a thread read into, one at a time, so that those that wait hold none.

use crate::frame::MAX_HEAD_BYTES;
use std::cell::RefCell;

/// The most bytes of one read, and so of what one direction of a session holds back while its reader is slow.
pub const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_HEAD_BYTES + READ_BYTES].into());
}

/// Lends the buffer of this thread: room for an incomplete head, and for a read behind it.
pub fn lend<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}
