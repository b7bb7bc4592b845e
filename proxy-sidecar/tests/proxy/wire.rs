//! A peer that speaks HTTP/2 frame by frame (RFC 9113), and says what the test has it say.

use crate::stopwatch::unless_stuck;
use crate::support::{Peer, Proxy};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const DATA: u8 = 0;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Also the end of headers.
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113, 7.
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// What may be sent of a stream before there are updates, at the least (RFC 9113, 6.9.2), and in one frame.
const WINDOW: usize = 65_535;
const FRAME_LIMIT: usize = 16_384;

/// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441, 3).
const ENABLE_CONNECT_PROTOCOL: [u8; 6] = [0, 8, 0, 0, 0, 1];

/// `:status: 200` by the static table (RFC 7541, A).
const STATUS_200: [u8; 1] = [0x88];

/// `:scheme: http` and `:path: /` by the same table.
const HTTP_ROOT: [u8; 2] = [0x86, 0x84];

/// The first stream of a client.
const FIRST_STREAM: u32 = 1;

/// A header field as it is, name and value (RFC 7541, 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// One connection to or from the proxy.
pub(crate) struct Wire<S>(pub(crate) Peer<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Takes a connection, and says that it takes WebSocket.
    pub(crate) async fn accept(stream: S) -> Self {
        let mut peer = Peer::new(stream);
        assert_eq!(peer.bytes(PREFACE.len()).await, PREFACE);
        peer.send(frame(SETTINGS, 0, 0, &ENABLE_CONNECT_PROTOCOL)).await;
        peer.send(frame(SETTINGS, ACK, 0, &[])).await;
        Self(peer)
    }

    /// Begins a connection.
    pub(crate) async fn connect(stream: S) -> Self {
        let mut peer = Peer::new(stream);
        peer.send(PREFACE).await;
        peer.send(frame(SETTINGS, 0, 0, &[])).await;
        let mut wire = Self(peer);
        wire.frame_of(SETTINGS).await;
        wire.0.send(frame(SETTINGS, ACK, 0, &[])).await;
        wire
    }

    /// Asks for a session, the only one of this connection, and gives its stream.
    pub(crate) async fn ask(&mut self) -> u32 {
        let fields = [
            field(":method", "CONNECT"),
            field(":protocol", "websocket"),
            HTTP_ROOT.to_vec(),
            field(":authority", "chat.example.com"),
            field("sec-websocket-version", "13"),
        ];
        let request = frame(HEADERS, END_HEADERS, FIRST_STREAM, &fields.concat());
        self.0.send(request).await;
        FIRST_STREAM
    }

    /// Waits for a request or an answer, and gives its stream.
    pub(crate) async fn headers(&mut self) -> u32 {
        self.frame_of(HEADERS).await
    }

    /// Reads to the end of the next frame of this kind, and gives its stream.
    async fn frame_of(&mut self, kind: u8) -> u32 {
        loop {
            let head = self.0.bytes(9).await;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            self.0.bytes(usize::try_from(length).unwrap()).await;
            if head[3] == kind {
                return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            }
        }
    }

    pub(crate) async fn switch(&mut self, stream: u32) {
        self.0
            .send(frame(HEADERS, END_HEADERS, stream, &STATUS_200))
            .await;
    }

    /// Says that it has not looked at the stream, and will not.
    pub(crate) async fn refuse(&mut self, stream: u32) {
        self.0
            .send(frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()))
            .await;
    }

    /// Sends `bytes` over and over, until no more of them are taken.
    pub(crate) async fn flood(&mut self, stream: u32, proxy: &Proxy, bytes: &[u8]) {
        let mut window = WINDOW;
        let mut next = bytes.iter().copied().cycle();
        loop {
            while window > 0 {
                let piece: Vec<u8> = next.by_ref().take(window.min(FRAME_LIMIT)).collect();
                window -= piece.len();
                self.0.send(frame(DATA, 0, stream, &piece)).await;
            }
            let Some(update) = unless_stuck(proxy, self.update(stream)).await else {
                return;
            };
            window += update;
        }
    }

    /// Waits until more may be sent of a stream. How much. May be dropped before it has read a frame's first byte.
    async fn update(&mut self, stream: u32) -> usize {
        loop {
            assert!(self.0.arrived().await, "the connection has ended");
            let head = self.0.bytes(9).await;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let payload = self.0.bytes(usize::try_from(length).unwrap()).await;
            if head[3] == WINDOW_UPDATE && head[5..9] == stream.to_be_bytes() {
                let more: [u8; 4] = payload[..4].try_into().unwrap();
                return usize::try_from(u32::from_be_bytes(more)).unwrap();
            }
        }
    }

    /// Breaks a stream off.
    pub(crate) async fn cancel(&mut self, stream: u32) {
        self.0
            .send(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()))
            .await;
    }

    /// Says that it has looked at no stream, and ends the connection.
    pub(crate) async fn go_away(mut self) {
        self.0.send(frame(GOAWAY, 0, 0, &[0; 8])).await;
        self.0.stream.shutdown().await.unwrap();
        self.0.rest().await;
    }
}
