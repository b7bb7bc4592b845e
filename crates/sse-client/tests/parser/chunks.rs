//! Streams in chunks.

use crate::reference::{Said, said};
use heddle_sse_client::{ParseError, Parser};

/// What `parser` makes of these chunks.
pub(crate) fn parse(mut parser: Parser, chunks: &[&[u8]]) -> (Vec<Said>, Result<(), ParseError>) {
    let mut all = Vec::new();
    for chunk in chunks {
        parser.push(chunk.to_vec());
        loop {
            match parser.next_item() {
                Ok(Some(item)) => all.push(said(item)),
                Ok(None) => break,
                Err(error) => return (all, Err(error)),
            }
        }
    }
    (all, Ok(()))
}

pub(crate) fn with_comments() -> Parser {
    Parser::default().with_comments(true)
}

/// The stream whole, cut in two at each place, and byte by byte.
pub(crate) fn every_cut(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut cuts: Vec<Vec<&[u8]>> = (1..stream.len())
        .map(|middle| {
            let (start, end) = stream.split_at(middle);
            vec![start, end]
        })
        .collect();
    cuts.push(vec![stream]);
    cuts.push(stream.chunks(1).collect());
    cuts.push(stream.chunks(2).collect());
    cuts
}
