//! The message that all clients send, again and again.

use crate::frame::{BINARY, TEXT, masked, push_header};
use anyhow::{Context, Result};
use std::path::Path;

/// A frame, and what has to come back.
pub(super) struct Message {
    pub(super) frame: Vec<u8>,
    /// The first byte of the echo: the same kind of message.
    pub(super) first: u8,
    /// Bytes of the echo, its header included.
    pub(super) echo: usize,
}

impl Message {
    /// So many bytes.
    pub(super) fn bytes(count: usize) -> Self {
        let payload: Vec<u8> = (0..count).map(|index| b'a' + (index % 26) as u8).collect();
        Self::new(BINARY, &payload)
    }

    /// The text in a file, without the end of its last line.
    pub(super) fn text(file: &Path) -> Result<Self> {
        let payload = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        Ok(Self::new(TEXT, payload.trim_ascii_end()))
    }

    fn new(first: u8, payload: &[u8]) -> Self {
        let mut echo = Vec::new();
        push_header(&mut echo, first, payload.len());
        Self {
            frame: masked(first, payload),
            first,
            echo: echo.len() + payload.len(),
        }
    }
}
