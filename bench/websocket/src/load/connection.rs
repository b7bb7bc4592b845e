//! A client's end of a session.

use super::message::Message;
use crate::frame::Header;
use crate::handshake::{self, Answer};
use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

/// `connect` of a socket that does not wait for it.
const IN_PROGRESS: i32 = nix::errno::Errno::EINPROGRESS as i32;

pub(super) struct Connection {
    stream: TcpStream,
    /// The request, and then what of the answer has come.
    handshake: Vec<u8>,
    is_requested: bool,
    is_open: bool,
    /// Bytes of the frame that the kernel has not taken yet, from its end.
    unsent: usize,
    /// Bytes of the echo that have not come yet.
    awaited: usize,
    /// No byte of the echo has come yet.
    is_header_awaited: bool,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(
        registry: &Registry,
        token: Token,
        source: Ipv4Addr,
        port: u16,
        path: &str,
    ) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("failed to make a socket")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if source != Ipv4Addr::LOCALHOST {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match socket.connect(&target.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => {
                return Err(error).context("failed to connect");
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            handshake: handshake::request(&format!("127.0.0.1:{port}"), path).into_bytes(),
            is_requested: false,
            is_open: false,
            unsent: 0,
            awaited: 0,
            is_header_awaited: false,
        })
    }

    /// Goes on with the handshake; true when the session is open with that.
    pub(super) fn shake_hands(&mut self, buffer: &mut [u8]) -> Result<bool> {
        if self.is_open {
            return Ok(false);
        }
        if !self.is_requested {
            self.request()?;
        }
        let Some(read) = self.read(buffer).context("failed to open a session")? else {
            return Ok(false);
        };
        ensure!(read > 0, "a connection was closed instead of an answer");
        self.handshake.extend_from_slice(&buffer[..read]);
        match handshake::answered(&self.handshake) {
            Answer::Partial => {}
            Answer::Open(length) => {
                ensure!(length == self.handshake.len(), "something has come unasked");
                self.is_open = true;
                self.handshake = Vec::new();
            }
            Answer::Refused => bail!(
                "a session was refused: {}",
                String::from_utf8_lossy(&self.handshake)
            ),
        }
        Ok(self.is_open)
    }

    /// A request fits into what the kernel keeps for a new connection.
    fn request(&mut self) -> Result<()> {
        match self.stream.write(&self.handshake) {
            Ok(written) => {
                ensure!(written == self.handshake.len(), "a request was cut off");
                (self.is_requested, self.handshake) = (true, Vec::new());
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(()),
            Err(error) => Err(error).context("failed to connect"),
        }
    }

    /// Sends a frame whose echo is then awaited; the last has to have come back.
    pub(super) fn send(&mut self, message: &Message) -> Result<()> {
        (self.unsent, self.awaited, self.is_header_awaited) = (message.frame.len(), message.echo, true);
        self.flush(&message.frame)
    }

    /// Whether an echo is awaited.
    pub(super) fn is_busy(&self) -> bool {
        self.awaited > 0
    }

    /// Goes on with sending and receiving; true when the echo has come whole with that.
    pub(super) fn go_on(&mut self, message: &Message, buffer: &mut [u8]) -> Result<bool> {
        self.flush(&message.frame)?;
        if self.awaited == 0 {
            return Ok(false);
        }
        while let Some(read) = self.read(buffer).context("failed to receive")? {
            ensure!(read > 0, "a session was ended");
            ensure!(read <= self.awaited, "something has come unasked");
            if std::mem::take(&mut self.is_header_awaited) && read > 1 {
                let header = Header::read(&buffer[..read]);
                let is_echo =
                    header.is_none_or(|header| header.first == message.first && header.mask.is_none());
                ensure!(is_echo, "another frame than the echo has come: {header:?}");
            }
            self.awaited -= read;
            if self.awaited == 0 || read < buffer.len() {
                break;
            }
        }
        Ok(self.awaited == 0)
    }

    fn flush(&mut self, frame: &[u8]) -> Result<()> {
        while self.unsent > 0 {
            match self.stream.write(&frame[frame.len() - self.unsent..]) {
                Ok(written) => self.unsent -= written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("failed to send"),
            }
        }
        Ok(())
    }

    /// Sends a small frame that nothing is awaited for.
    pub(super) fn send_last(&mut self, frame: &[u8]) -> Result<()> {
        self.stream.write_all(frame).context("failed to send")
    }

    /// Whether the other side has ended the connection, in whatever way.
    pub(super) fn is_ended(&mut self, buffer: &mut [u8]) -> bool {
        loop {
            match self.read(buffer) {
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => return true,
                Ok(Some(_)) => {}
            }
        }
    }

    /// None when nothing is there yet.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(None),
            read => read.map(Some),
        }
    }
}
