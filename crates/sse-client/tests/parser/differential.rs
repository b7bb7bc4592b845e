//! Streams made at random, cut at random: the parser says what the reference says.

use crate::chunks::{parse, with_comments};
use crate::reference::{interpret, said};
use proptest::collection::vec;
use proptest::prelude::*;

/// What streams are made of, so that most of them mean something.
const PIECES: [&[u8]; 30] = [
    b"data",
    b"data:",
    b"data: ",
    b"event",
    b"event:",
    b"event: ",
    b"id",
    b"id:",
    b"id: ",
    b"retry:",
    b"retry: ",
    b":",
    b" ",
    b"\n",
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"12",
    b"x",
    b"abcdefghijklmnopqrstuvwxyz0123456789",
    b"\0",
    b"\xEF\xBB\xBF",
    b"\xE2\x82\xAC",
    b"\xF0\x9F\x98\x80",
    b"\xE2\x82",
    b"\xF0\x9F",
    b"\xFF",
    b"\x80",
];

fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(proptest::sample::select(PIECES.to_vec()), 0..80).prop_map(|pieces| pieces.concat())
}

fn cut<'a>(mut stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for length in lengths {
        let (chunk, rest) = stream.split_at((*length).min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_stream_in_any_chunks_says_what_the_reference_says(stream in stream(), lengths in vec(0_usize..20, 0..40)) {
        let (found, result) = parse(with_comments(), &cut(&stream, &lengths));
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(found, interpret(&stream));
    }

    #[test]
    fn pushing_before_everything_is_read_changes_nothing(stream in stream(), lengths in vec((0_usize..20, 0_usize..3, any::<bool>()), 0..40)) {
        let mut parser = with_comments();
        let mut found = Vec::new();
        let chunks = cut(&stream, &lengths.iter().map(|(length, ..)| *length).collect::<Vec<_>>());
        for (index, chunk) in chunks.iter().enumerate() {
            parser.push(chunk.to_vec());
            let (_, reads, settles) = lengths.get(index).copied().unwrap_or((0, usize::MAX, false));
            let reads = std::iter::from_fn(|| parser.next_item().expect("no limit is passed")).take(reads);
            found.extend(reads.map(said));
            if settles {
                parser.settle();
            }
        }
        prop_assert_eq!(found, interpret(&stream));
    }
}
