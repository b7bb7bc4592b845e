//! Uncompresses sets that somebody else has compressed.

use std::io::{self, Read};

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub enum UncompressError {
    /// It is no zstd frame, or could not be read.
    #[error("failed to uncompress the descriptor set")]
    Read(#[source] io::Error),
    /// It is larger than it may be.
    #[error(
        "failed to uncompress the descriptor set: it has more than {limit} bytes, which is the most that is taken"
    )]
    Exceed {
        /// Bytes that it may have.
        limit: usize,
    },
}

/// Uncompresses one zstd frame of at most `limit` bytes, and takes no more memory than that, whatever the frame says of
/// itself.
///
/// # Errors
/// When it is none, or has more.
pub fn uncompress(compressed: impl Read, limit: usize) -> Result<Vec<u8>, UncompressError> {
    let decoder = zstd::Decoder::new(compressed).map_err(UncompressError::Read)?;
    let mut set = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut set);
    match read.map_err(UncompressError::Read)? > limit {
        true => Err(UncompressError::Exceed { limit }),
        false => Ok(set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_fits_is_read_and_a_bomb_and_what_is_none_are_refused() {
        const LIMIT: usize = 1 << 20;
        let compress = |bytes| zstd::bulk::compress(&vec![7; bytes], 1).unwrap();
        assert_eq!(uncompress(&*compress(LIMIT), LIMIT).unwrap(), vec![7; LIMIT]);
        let bomb = compress(LIMIT + 1);
        assert!(bomb.len() < 1000, "{}", bomb.len());
        let refused = uncompress(&*bomb, LIMIT);
        assert!(matches!(refused, Err(UncompressError::Exceed { limit: LIMIT })));
        assert!(matches!(
            uncompress(&b"nothing"[..], LIMIT),
            Err(UncompressError::Read(_))
        ));
    }
}
