//! Peers that do what an input says, on connections that are given and take as much as it says.

use super::wire::{Frame, frames};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first bytes of frames that are sent often: texts, parts, control frames.
const FIRSTS: [u8; 8] = [0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A];

/// An input, read as operations.
pub(super) struct Script<'a> {
    input: &'a [u8],
}

pub(super) enum Operation {
    Client(Action),
    Backend(Action),
    Drain(Duration),
    /// A message for all sessions with so many bytes of text.
    Broadcast(usize),
    Wait(Duration),
}

/// What a peer or its connection does.
pub(super) enum Action {
    Send(Vec<u8>),
    /// From now on, one read gets so much at most.
    GiveAtOnce(usize),
    /// There is room for so much more.
    Take(usize),
    End,
    Reset,
    /// Only what is written fails.
    Refuse,
}

impl<'a> Script<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input }
    }

    pub(super) fn byte(&mut self) -> u8 {
        let (first, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        *first
    }

    pub(super) fn next(&mut self) -> Option<Operation> {
        if self.input.is_empty() {
            return None;
        }
        let choice = self.byte();
        let is_client = choice & 0x80 == 0;
        let action = match choice & 0x0F {
            0..=3 => Action::Send(self.frame(is_client)),
            4 => Action::Send(self.raw()),
            5 => Action::GiveAtOnce(usize::from(self.byte()) + 1),
            6..=8 => Action::Take(usize::from(self.byte()) * 16),
            9 => Action::End,
            10 => Action::Reset,
            11 => Action::Refuse,
            12 => {
                return Some(Operation::Drain(Duration::from_millis(
                    u64::from(self.byte()) * 40,
                )));
            }
            14 => return Some(Operation::Broadcast(usize::from(self.byte()))),
            _ => {
                return Some(Operation::Wait(Duration::from_millis(
                    u64::from(self.byte()) * 40,
                )));
            }
        };
        Some(match is_client {
            true => Operation::Client(action),
            false => Operation::Backend(action),
        })
    }

    fn frame(&mut self, is_masked: bool) -> Vec<u8> {
        let kind = self.byte();
        let length = usize::from(self.byte()) * if kind & 0x80 == 0 { 1 } else { 64 };
        let bit = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![FIRSTS[usize::from(kind) % FIRSTS.len()]];
        match length {
            0..126 => bytes.push(length as u8 | bit),
            _ => {
                bytes.push(126 | bit);
                bytes.extend((length as u16).to_be_bytes());
            }
        }
        if is_masked {
            bytes.extend([kind, 1, 2, 3]);
        }
        let fill = self.byte();
        bytes.resize(bytes.len() + length, fill);
        bytes
    }

    fn raw(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte() % 32).min(self.input.len());
        let (bytes, rest) = self.input.split_at(length);
        self.input = rest;
        bytes.to_vec()
    }
}

/// One peer: clones share it.
#[derive(Clone, Default)]
pub(super) struct Peer {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// All that it sent.
    sent: Vec<u8>,
    /// What of it the proxy has not read.
    waiting: VecDeque<u8>,
    at_once: Option<usize>,
    has_ended: bool,
    is_reset: bool,
    refuses: bool,
    /// What it got.
    got: Vec<u8>,
    room: usize,
    is_backend: bool,
}

/// The proxy's end of the connection.
pub(super) struct Transport {
    state: Arc<Mutex<State>>,
}

impl Peer {
    pub(super) fn backend() -> Self {
        let peer = Self::default();
        peer.lock().is_backend = true;
        peer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this")
    }

    pub(super) fn transport(&self) -> Transport {
        Transport {
            state: Arc::clone(&self.state),
        }
    }

    pub(super) fn is_client(&self) -> bool {
        !self.lock().is_backend
    }

    pub(super) fn sent(&self) -> Vec<u8> {
        self.lock().sent.clone()
    }

    pub(super) fn got(&self) -> Vec<u8> {
        self.lock().got.clone()
    }

    /// The most that the proxy can hold of what this peer sent to `other`: all that it read and did not write. Nothing
    /// once a Close frame went to either, for what follows it is thrown away.
    pub(super) fn held_for(&self, other: &Self) -> usize {
        let (state, other) = (self.lock(), other.lock());
        let throws_away = |got: &[u8]| frames(got).iter().any(Frame::is_close);
        if other.refuses || other.is_reset || throws_away(&other.got) || throws_away(&state.sent) {
            return 0;
        }
        let read = state.sent.len() - state.waiting.len();
        read.saturating_sub(other.got.len())
    }

    pub(super) fn act(&self, action: Action) {
        let mut state = self.lock();
        match action {
            Action::Send(bytes) if !state.has_ended && !state.is_reset => {
                state.sent.extend(&bytes);
                state.waiting.extend(&bytes);
            }
            Action::Send(_) => {}
            Action::GiveAtOnce(bytes) => state.at_once = Some(bytes),
            Action::Take(bytes) => state.room += bytes,
            Action::End => state.has_ended = true,
            Action::Reset => state.is_reset = true,
            Action::Refuse => state.refuses = true,
        }
    }

    /// Goes away.
    pub(super) fn leave(&self) {
        self.act(Action::End);
        self.act(Action::Take(1 << 24));
    }
}

impl heddle_ws_session::Transport for Transport {
    fn is_broken(&mut self, _: &mut Context<'_>) -> bool {
        let state = self.state.lock().expect("nothing panics while it holds this");
        state.is_reset
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        if state.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let length = state
            .waiting
            .len()
            .min(buffer.remaining())
            .min(state.at_once.unwrap_or(usize::MAX));
        if length == 0 {
            return if state.has_ended {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        let bytes: Vec<u8> = state.waiting.drain(..length).collect();
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        if state.is_reset || state.refuses {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = bytes.len().min(state.room);
        if length == 0 {
            return Poll::Pending;
        }
        state.room -= length;
        state.got.extend(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
