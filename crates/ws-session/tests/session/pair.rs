//! Two raw peers and the session between them.

use heddle_ws_session::frame::{Header, Opcode};
use heddle_ws_session::{Endpoint, SessionContext, SessionControl, SessionEnd, SessionRules, Traffic, run};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const TEXT_BEGINS: u8 = 0x01;
pub(crate) const CONTINUES: u8 = 0x00;
pub(crate) const CONTINUATION_ENDS: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// How much a connection holds that nobody reads.
const CONNECTION_BYTES: usize = 8 * 1024;
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A frame as a receiver sees it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) is_masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a Close frame.
    pub(crate) fn code(&self) -> u16 {
        assert_eq!(self.first, CLOSE, "not a Close frame: {self:?}");
        u16::from_be_bytes(*self.payload.first_chunk().expect("a code"))
    }
}

/// One end, without any WebSocket library.
pub(crate) struct Raw<T = DuplexStream> {
    pub(crate) stream: T,
    masks: bool,
    read: Vec<u8>,
}

/// The bytes of a frame.
pub(crate) fn encode(first: u8, payload: &[u8], masks: bool) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut bytes = vec![first];
    let bit = if masks { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => bytes.push(length as u8 | bit),
        length @ 126..=0xFFFF => {
            bytes.push(126 | bit);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127 | bit);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    if masks {
        bytes.extend(mask);
    }
    let masked = |(index, byte): (usize, &u8)| if masks { byte ^ mask[index % 4] } else { *byte };
    bytes.extend(payload.iter().enumerate().map(masked));
    bytes
}

impl<T: AsyncRead + AsyncWrite + Unpin> Raw<T> {
    pub(crate) fn new(stream: T, masks: bool) -> Self {
        Self {
            stream,
            masks,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        let bytes = encode(first, payload, self.masks);
        self.stream.write_all(&bytes).await.expect("the session reads");
    }

    pub(crate) async fn send_close(&mut self, code: u16) {
        self.send(CLOSE, &code.to_be_bytes()).await;
    }

    /// The next frame; nothing at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(header) = Header::parse(&self.read) {
                let start = usize::from(header.bytes);
                let end = start + header.payload_bytes as usize;
                if self.read.len() >= end {
                    let mask = header.mask.unwrap_or_default();
                    let payload = self.read[start..end].iter().enumerate();
                    let frame = Frame {
                        first: self.read[0],
                        is_masked: header.mask.is_some(),
                        payload: payload.map(|(index, byte)| byte ^ mask[index % 4]).collect(),
                    };
                    assert_ne!(
                        (frame.is_masked, header.opcode == Opcode::Data),
                        (self.masks, true),
                        "data arrives as it was sent"
                    );
                    self.read.drain(..end);
                    return Some(frame);
                }
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or_default() == 0 {
                assert!(self.read.is_empty(), "the connection ended inside a frame");
                return None;
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        self.next().await.expect("a frame rather than the end")
    }

    pub(crate) async fn expect(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame().await;
        assert_eq!((frame.first, frame.payload.as_slice()), (first, payload));
        assert_eq!(frame.is_masked, !self.masks, "clients mask, backends do not");
    }

    pub(crate) async fn expect_close(&mut self, code: u16) {
        let frame = self.frame().await;
        assert_eq!(
            frame.code(),
            code,
            "{:?}",
            String::from_utf8_lossy(&frame.payload)
        );
        assert_eq!(frame.is_masked, !self.masks, "clients mask, backends do not");
    }

    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// What is left until the end of the connection, which may be inside a frame.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.read);
        self.stream
            .read_to_end(&mut rest)
            .await
            .expect("the connection ends");
        rest
    }

    /// Answers a Close frame with the same code and closes the connection.
    pub(crate) async fn answer_close(&mut self, code: u16) {
        self.expect_close(code).await;
        self.send_close(code).await;
    }
}

/// A session and both of its ends.
pub(crate) struct Pair {
    pub(crate) client: Raw,
    pub(crate) backend: Raw,
    pub(crate) control: SessionControl,
    pub(crate) traffic: Arc<Traffic>,
    session: JoinSet<SessionEnd>,
}

pub(crate) fn rules() -> SessionRules {
    SessionRules {
        close: CLOSE_TIMEOUT,
        ..SessionRules::default()
    }
}

impl Pair {
    pub(crate) fn new(rules: SessionRules) -> Self {
        Self::with_leftovers(rules, b"", b"")
    }

    pub(crate) fn with_leftovers(rules: SessionRules, client: &[u8], backend: &[u8]) -> Self {
        Self::of(rules, client, backend, |client, backend, context, session| {
            session.spawn(run(client, backend, context));
        })
    }

    /// A session that `start` begins.
    pub(crate) fn of(
        rules: SessionRules,
        client: &[u8],
        backend: &[u8],
        start: impl FnOnce(
            Endpoint<DuplexStream>,
            Endpoint<DuplexStream>,
            SessionContext,
            &mut JoinSet<SessionEnd>,
        ),
    ) -> Self {
        let (client_side, client_end) = tokio::io::duplex(CONNECTION_BYTES);
        let (backend_side, backend_end) = tokio::io::duplex(CONNECTION_BYTES);
        let context = context(rules);
        let mut session = JoinSet::new();
        let endpoint = |transport, leftover: &[u8]| Endpoint {
            transport,
            leftover: leftover.to_vec().into(),
        };
        start(
            endpoint(client_end, client),
            endpoint(backend_end, backend),
            context.clone(),
            &mut session,
        );
        Self {
            client: Raw::new(client_side, true),
            backend: Raw::new(backend_side, false),
            control: context.control,
            traffic: context.traffic,
            session,
        }
    }

    /// How the session ends.
    pub(crate) async fn end(mut self) -> SessionEnd {
        let end = self.session.join_next().await.expect("there is one session");
        end.expect("it does not panic")
    }

    /// How the session ends when both ends are gone.
    pub(crate) async fn end_without_peers(self) -> SessionEnd {
        let Self { mut session, .. } = self;
        drop((self.client, self.backend));
        let end = session.join_next().await.expect("there is one session");
        end.expect("it does not panic")
    }
}

pub(crate) fn context(rules: SessionRules) -> SessionContext {
    SessionContext {
        rules: Arc::new(rules),
        control: SessionControl::new(),
        traffic: Arc::default(),
    }
}
