//! One that chats through a sidecar.

use anyhow::{Context, Result, ensure};
use heddle_e2e_cluster::PortForward;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::handshake::client::Response;
use tungstenite::protocol::CloseFrame;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// How long a guest waits for a message.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One that chats.
#[derive(Debug)]
pub struct Guest {
    socket: WebSocket<TcpStream>,
    response: Response,
    _forward: PortForward,
}

impl Guest {
    /// Comes into `room`.
    pub(super) fn enter(forward: PortForward, room: &str) -> Result<Self> {
        let address = format!("127.0.0.1:{}", forward.port());
        let stream = TcpStream::connect(&address).context("failed to connect")?;
        stream
            .set_read_timeout(Some(READ_TIMEOUT))
            .context("failed to bound reads")?;
        let uri = format!("ws://{address}/chat/{room}")
            .parse()
            .context("failed to make an address")?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("chat.v1");
        let (socket, response) = tungstenite::client(request, stream).context("failed to shake hands")?;
        Ok(Self {
            socket,
            response,
            _forward: forward,
        })
    }

    /// A field of the answer to the handshake.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// Says something, and waits until the room has said it.
    ///
    /// # Errors
    /// When the session ends before.
    pub fn say(&mut self, text: &str) -> Result<()> {
        let message = json!({ "text": text }).to_string();
        self.socket
            .send(Message::text(message))
            .context("failed to send")?;
        self.hear(|heard| heard["text"] == text).map(drop)
    }

    /// Waits for a message in JSON that is wanted, and passes over others.
    ///
    /// # Errors
    /// When the session ends before.
    pub fn hear(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let message = self.socket.read().context("failed to read")?;
            let Ok(heard) = message.to_text() else { continue };
            ensure!(!message.is_close(), "the session ended: {message:?}");
            let heard: Value = serde_json::from_str(heard).unwrap_or_default();
            if is_wanted(&heard) {
                return Ok(heard);
            }
        }
    }

    /// Reads until the other side closes, and says how it did.
    ///
    /// # Errors
    /// When the connection breaks instead.
    pub fn await_close(&mut self) -> Result<Option<CloseFrame>> {
        loop {
            match self.socket.read().context("failed to read")? {
                Message::Close(frame) => return Ok(frame),
                _ => continue,
            }
        }
    }

    /// Closes the session, and waits for the answer.
    ///
    /// # Errors
    /// When the connection breaks instead.
    pub fn leave(mut self) -> Result<()> {
        self.socket.close(None).context("failed to close")?;
        loop {
            match self.socket.read() {
                Ok(_) => continue,
                Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(error).context("failed to close"),
            }
        }
    }
}
