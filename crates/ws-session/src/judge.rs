//! What becomes of each frame of one direction, by its head.

use crate::frame::{Opcode, Scan, Scanner, code};
use crate::pace::Pace;
use crate::peer::{Input, Output, Peer, Side};
use crate::relay::Shared;
use crate::{EndReason, OnExceed};
use tokio::time::Instant;

/// Reads the heads of the frames of one direction.
#[derive(Debug)]
pub(crate) struct Judge {
    scanner: Scanner,
    /// What the current frame is.
    frame: Frame,
    /// The bytes of payload of the current message, over all of its frames that have begun.
    message_bytes: u64,
    /// Whether the current message has frames to come.
    is_inside_message: bool,
    /// How many messages ended in the bytes that are being judged.
    messages: u64,
    /// How many messages the sender may send. A box, as few routes say so.
    pace: Option<Box<Pace>>,
}

/// What the current frame is, or the last one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Frame {
    /// One that nothing depends on.
    Other,
    /// Part of a message, but not the last.
    Part,
    /// The last part of a message.
    LastPart,
    /// A Close frame.
    Close(Option<u16>),
}

/// What became of some bytes.
pub(crate) struct Judged {
    /// So many of them may go on, and were moved to the beginning.
    pub(crate) passed: usize,
    /// So many have been judged.
    pub(crate) judged: usize,
    /// So many messages ended in them.
    pub(crate) messages: u64,
    /// Why not all.
    pub(crate) stop: Option<Stop>,
}

/// Why the rest was not judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// It begins with an incomplete head.
    NeedsMore,
    /// It has to wait for the rate limit.
    WaitUntil(Instant),
    /// Something else has to be done first, at this boundary.
    Boundary,
}

/// What becomes of a frame.
enum Verdict {
    Pass,
    Drop,
    Stop(Stop),
}

impl Judge {
    pub(crate) fn new(pace: Option<Pace>) -> Self {
        Self {
            scanner: Scanner::default(),
            frame: Frame::Other,
            message_bytes: 0,
            is_inside_message: false,
            messages: 0,
            pace: pace.map(Box::new),
        }
    }

    /// Whether one frame has ended and the next has not begun.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.scanner.is_at_boundary()
    }

    /// Whether one message has ended and the next has not begun.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.is_at_boundary() && !self.is_inside_message
    }

    /// Judges `bytes`, which follow those that were judged before.
    pub(crate) fn judge<S, K>(
        &mut self,
        bytes: &mut [u8],
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Judged {
        let mut passed = 0;
        let mut judged = 0;
        let mut stop = None;
        while judged < bytes.len() {
            if source.input != Input::Open {
                // What follows a Close frame means nothing (RFC 6455 5.5.1).
                judged = bytes.len();
                break;
            }
            let goes_on = sink.output == Output::Open;
            let taken = if self.scanner.is_at_boundary() {
                if sink.has_frame_due(!self.is_inside_message) {
                    stop = Some(Stop::Boundary);
                    break;
                }
                let Some(scan) = self.scanner.head(&bytes[judged..]) else {
                    stop = Some(Stop::NeedsMore);
                    break;
                };
                let header_bytes = usize::from(scan.header.bytes);
                match self.verdict(&scan, source, sink, shared) {
                    Verdict::Pass => self.scanner.enter(&scan.header),
                    Verdict::Drop => {
                        judged += header_bytes + scan.header.payload_bytes as usize;
                        continue;
                    }
                    Verdict::Stop(reason) => {
                        stop = Some(reason);
                        break;
                    }
                }
                header_bytes
            } else {
                if matches!(self.frame, Frame::Part | Frame::LastPart) {
                    shared.last_data = shared.now;
                }
                self.scanner.take_payload(bytes.len() - judged)
            };
            if goes_on {
                if passed != judged {
                    bytes.copy_within(judged..judged + taken, passed);
                }
                passed += taken;
            }
            judged += taken;
            if self.scanner.is_at_boundary() {
                self.end_frame(source, sink, shared);
            }
        }
        Judged {
            passed,
            judged,
            messages: std::mem::take(&mut self.messages),
            stop,
        }
    }

    /// What becomes of the frame with this head. A frame that passes becomes the current one.
    #[inline]
    fn verdict<S, K>(
        &mut self,
        scan: &Scan,
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Verdict {
        match scan.header.opcode {
            Opcode::Data | Opcode::Continuation => return self.data_verdict(scan, source, sink, shared),
            Opcode::Pong if scan.pong == Some(shared.ping_payload) => return Verdict::Drop,
            Opcode::Ping => sink.was_pinged = true,
            Opcode::Close => {
                if is_illegal(scan.code, source.side) && sink.output == Output::Open {
                    shared.refuse(EndReason::InvalidMessage, source, sink, code::PROTOCOL_ERROR);
                    return Verdict::Stop(Stop::Boundary);
                }
                self.frame = Frame::Close(scan.code);
                return Verdict::Pass;
            }
            Opcode::Pong | Opcode::ReservedControl => {}
        }
        self.frame = Frame::Other;
        Verdict::Pass
    }

    #[inline]
    fn data_verdict<S, K>(
        &mut self,
        scan: &Scan,
        source: &mut Peer<S>,
        sink: &mut Peer<K>,
        shared: &mut Shared,
    ) -> Verdict {
        let header = &scan.header;
        let is_first = header.opcode == Opcode::Data;
        let before = if is_first { 0 } else { self.message_bytes };
        let message_bytes = before.saturating_add(header.payload_bytes);
        // After a Close frame of the proxy's there is nothing left to limit.
        if sink.output == Output::Open {
            if shared
                .max_message_bytes()
                .is_some_and(|limit| message_bytes > limit)
            {
                shared.refuse(EndReason::MessageTooBig, source, sink, code::TOO_BIG);
                return Verdict::Stop(Stop::Boundary);
            }
            if is_first && let Some(stop) = self.pace(source, sink, shared) {
                return Verdict::Stop(stop);
            }
        }
        shared.last_data = shared.now;
        self.message_bytes = message_bytes;
        self.is_inside_message = !header.fin;
        self.frame = match header.fin {
            true => Frame::LastPart,
            false => Frame::Part,
        };
        Verdict::Pass
    }

    /// Why another message may not go on now.
    fn pace<S, K>(&mut self, source: &mut Peer<S>, sink: &mut Peer<K>, shared: &mut Shared) -> Option<Stop> {
        let pace = self.pace.as_mut().filter(|_| shared.is_open())?;
        let until = pace.take(shared.now).err()?;
        if shared.on_exceed() == OnExceed::Wait {
            return Some(Stop::WaitUntil(until));
        }
        shared.refuse(EndReason::MessageRate, source, sink, code::POLICY);
        Some(Stop::Boundary)
    }

    /// Notes that the current frame is over.
    #[inline]
    fn end_frame<S, K>(&mut self, source: &mut Peer<S>, sink: &mut Peer<K>, shared: &mut Shared) {
        match self.frame {
            Frame::LastPart => self.messages += 1,
            Frame::Close(code) => {
                shared.saw_close(source, code);
                if sink.output == Output::Open {
                    sink.passed_close(code);
                }
            }
            Frame::Part | Frame::Other => {}
        }
    }
}

/// Whether a Close frame of `side` cannot go on as it is. Backends judge what clients send themselves, with 1002; clients
/// are spared what a backend must not send.
fn is_illegal(code: Option<u16>, side: Side) -> bool {
    side == Side::Backend && code.is_some_and(code::is_never_on_the_wire)
}
