//! Each parser, given the same chunks and asked for events one by one.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_lite::{AsyncBufRead, AsyncRead, Stream, StreamExt, future, stream};
use heddle_sse_client::{Limits, Parsed, Parser};
use sse_stream::SseByteStream;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What was found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) events: usize,
    pub(crate) data_bytes: usize,
}

/// Parses all chunks of a stream.
pub(crate) type Parse = fn(&'static [Bytes]) -> Result<Count>;

pub(crate) fn named(name: &str) -> Option<Parse> {
    Some(match name {
        "ours" => ours,
        "sse-stream" => sse_stream,
        "eventsource-stream" => eventsource_stream,
        "async-sse" => async_sse,
        "floor" => floor,
        _ => return None,
    })
}

impl Count {
    fn add(&mut self, data: &str) {
        self.events += 1;
        self.data_bytes += data.len();
    }
}

fn ours(chunks: &'static [Bytes]) -> Result<Count> {
    let mut parser = Parser::new(Limits::default());
    let mut count = Count::default();
    for chunk in chunks {
        parser.push(chunk.clone());
        while let Some(item) = parser.next_item()? {
            if let Parsed::Event(event) = item {
                count.add(event.data());
            }
        }
    }
    Ok(count)
}

fn items(chunks: &'static [Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(chunks.iter().cloned().map(Ok))
}

fn sse_stream(chunks: &'static [Bytes]) -> Result<Count> {
    let mut events = SseByteStream::new(items(chunks));
    future::block_on(async {
        let mut count = Count::default();
        while let Some(event) = events.next().await {
            if let Some(data) = event?.data {
                count.add(&data);
            }
        }
        Ok(count)
    })
}

fn eventsource_stream(chunks: &'static [Bytes]) -> Result<Count> {
    let mut events = items(chunks).eventsource();
    future::block_on(async {
        let mut count = Count::default();
        while let Some(event) = events.next().await {
            count.add(&event?.data);
        }
        Ok(count)
    })
}

fn async_sse(chunks: &'static [Bytes]) -> Result<Count> {
    let mut events = async_sse::decode(Reader { chunks, position: 0 });
    future::block_on(async {
        let mut count = Count::default();
        while let Some(event) = events.next().await {
            let Ok(event) = event else {
                bail!("async-sse fails")
            };
            if let async_sse::Event::Message(message) = event {
                count.add(std::str::from_utf8(message.data())?);
            }
        }
        Ok(count)
    })
}

/// No parser: UTF-8 checked and line feeds found, by the standard library and memchr.
fn floor(chunks: &'static [Bytes]) -> Result<Count> {
    let mut count = Count::default();
    for chunk in chunks {
        // A cut may split a character; what is checked is about the same.
        let text = std::str::from_utf8(chunk).unwrap_or_default();
        count.events += memchr::memchr_iter(b'\n', text.as_bytes()).count();
        count.data_bytes += text.len();
    }
    (count.events > 0).then_some(count).context("there are lines")
}

/// The chunks as a buffered reader that gives one at a time.
struct Reader {
    chunks: &'static [Bytes],
    position: usize,
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let reader = self.get_mut();
        let chunk = reader.chunks.first().map_or(&[] as &[u8], |chunk| chunk);
        Poll::Ready(Ok(chunk.get(reader.position..).unwrap_or_default()))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.position += bytes;
        if self
            .chunks
            .first()
            .is_some_and(|chunk| self.position >= chunk.len())
        {
            self.chunks = self.chunks.get(1..).unwrap_or_default();
            self.position = 0;
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = match self.as_mut().poll_fill_buf(context) {
            Poll::Ready(Ok(chunk)) => {
                let bytes = chunk.len().min(buffer.len());
                buffer[..bytes].copy_from_slice(&chunk[..bytes]);
                bytes
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        self.consume(bytes);
        Poll::Ready(Ok(bytes))
    }
}
