//! One JSON object a line.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are no lines of the stream.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// A line has no end.
    #[error("failed to read a line: it has more than {0} bytes")]
    Exceed(usize),
    /// A line is not what it should be.
    #[error("failed to read a line")]
    Parse(#[source] serde_json::Error),
}

/// Cuts what arrives in lines, whatever pieces it arrives in.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    buffer: Vec<u8>,
    /// Where the first line begins; what is before has been read.
    start: usize,
    /// Up to where there is no end of a line.
    searched: usize,
}

impl Lines {
    /// Of at most `limit` bytes each.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
        }
    }

    /// Adds what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line, once it is complete. Empty lines are passed over.
    ///
    /// # Errors
    /// [`LinesError`]; what follows makes no sense then.
    pub fn next_line<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinesError> {
        loop {
            let Some(offset) = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            else {
                self.searched = self.buffer.len();
                return match self.searched - self.start > self.limit {
                    true => Err(LinesError::Exceed(self.limit)),
                    false => Ok(None),
                };
            };
            let end = self.searched + offset;
            let line = &self.buffer[self.start..end];
            (self.start, self.searched) = (end + 1, end + 1);
            if line.len() > self.limit {
                return Err(LinesError::Exceed(self.limit));
            }
            if !line.trim_ascii().is_empty() {
                return serde_json::from_slice(line).map(Some).map_err(LinesError::Parse);
            }
        }
    }
}

/// A message as a line, its end included.
pub fn line(message: &impl Serialize) -> Vec<u8> {
    // The messages of this crate have string keys and no way to fail.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}
