//! The streams that are parsed.

use anyhow::{Context, Result};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::OnceLock;

/// About how long each stream is.
const STREAM_BYTES: usize = 2 << 20;
/// What a busy connection is read into.
const CHUNK_BYTES: usize = 16 << 10;

/// The chunks of a case's stream.
pub(crate) fn named(name: &str) -> Result<&'static [Bytes]> {
    static CASES: OnceLock<HashMap<&'static str, Vec<Bytes>>> = OnceLock::new();
    let cases = CASES.get_or_init(all);
    let case = cases
        .get(name)
        .with_context(|| format!("there is no case {name:?}"))?;
    Ok(case)
}

fn all() -> HashMap<&'static str, Vec<Bytes>> {
    HashMap::from([
        ("small", cut(&stream(&ascii(64)), CHUNK_BYTES)),
        ("medium", cut(&stream(&ascii(200)), CHUNK_BYTES)),
        ("unicode", cut(&stream(&unicode(200)), CHUNK_BYTES)),
        ("large", cut(&stream(&ascii(32 << 10)), 32 << 10)),
        ("large-cut", cut(&stream(&ascii(32 << 10)), CHUNK_BYTES - 1)),
    ])
}

/// Events of this many bytes with an id and one line of data.
fn ascii(bytes: usize) -> impl Fn(usize) -> String {
    move |number| {
        let head = format!("id: {number:06}\ndata: ");
        let filler = "{\"level\":\"info\",\"text\":\"a thread through its own eye\"}, ";
        let data: String = filler.chars().cycle().take(bytes - head.len() - 2).collect();
        format!("{head}{data}\n\n")
    }
}

/// The same with data that is mostly not ASCII.
fn unicode(bytes: usize) -> impl Fn(usize) -> String {
    move |number| {
        let head = format!("id: {number:06}\ndata: ");
        let data: String = "ὁ λόγος ἦν 豆腐 ".chars().cycle().take(bytes / 3).collect();
        format!("{head}{data}\n\n")
    }
}

fn stream(event: &dyn Fn(usize) -> String) -> Vec<u8> {
    let mut stream = String::new();
    let mut number = 0;
    while stream.len() < STREAM_BYTES {
        stream.push_str(&event(number));
        number += 1;
    }
    stream.into_bytes()
}

fn cut(stream: &[u8], bytes: usize) -> Vec<Bytes> {
    stream.chunks(bytes).map(Bytes::copy_from_slice).collect()
}
