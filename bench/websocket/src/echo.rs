//! An echo server in one thread.

use crate::frame::{CLOSE, Header, push_header, unmask};
use crate::handshake::{self, Request};
use anyhow::{Context, Result};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;

const LISTENER: Token = Token(usize::MAX);
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// The most bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Serves until the process is killed.
pub(crate) fn run() -> Result<()> {
    let mut listener = listen().context("failed to listen")?;
    println!("{}", listener.local_addr()?.port());
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server {
        poll,
        sessions: Vec::new(),
        free: Vec::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    let mut events = Events::with_capacity(EVENTS);
    loop {
        if let Err(error) = server.poll.poll(&mut events, None) {
            if error.kind() == ErrorKind::Interrupted {
                continue;
            }
            return Err(error.into());
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(&listener)?,
                _ => server.serve(event),
            }
        }
    }
}

fn listen() -> Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let address = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

struct Server {
    poll: Poll,
    sessions: Vec<Option<Session>>,
    /// Places of sessions that have ended.
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Server {
    /// Fails where the process may open no more files.
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("failed to accept"),
            };
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or(self.sessions.len());
            self.poll.registry().register(
                &mut stream,
                Token(place),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            if place == self.sessions.len() {
                self.sessions.push(None);
            }
            self.sessions[place] = Some(Session {
                stream,
                is_open: false,
                input: Vec::new(),
                output: Vec::new(),
            });
        }
    }

    fn serve(&mut self, event: &Event) {
        let place = event.token().0;
        let Some(Some(session)) = self.sessions.get_mut(place) else {
            return;
        };
        // A peer that breaks off is as good an end as any.
        if !session.serve(event, &mut self.buffer).unwrap_or(false) {
            self.sessions[place] = None;
            self.free.push(place);
        }
    }
}

struct Session {
    stream: TcpStream,
    /// The handshake is over.
    is_open: bool,
    /// The beginning of what has not come whole yet.
    input: Vec<u8>,
    /// What the kernel has not taken yet.
    output: Vec<u8>,
}

impl Session {
    /// False when it has ended.
    fn serve(&mut self, event: &Event, buffer: &mut [u8]) -> io::Result<bool> {
        let mut goes_on = true;
        while goes_on && event.is_readable() {
            let read = match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                read => read?,
            };
            self.input.extend_from_slice(&buffer[..read]);
            goes_on = read > 0 && self.answer();
            // Less than asked for was all there was; what comes later is another event.
            if read < buffer.len() {
                break;
            }
        }
        self.flush()?;
        Ok(goes_on || !self.output.is_empty())
    }

    /// Answers what has come whole; false when the session is over with that.
    fn answer(&mut self) -> bool {
        let mut taken = 0;
        if !self.is_open {
            match handshake::accept(&self.input) {
                Request::Partial => return true,
                Request::Refused => return false,
                Request::Whole(length, answer) => {
                    self.output.extend_from_slice(answer.as_bytes());
                    (self.is_open, taken) = (true, length);
                }
            }
        }
        let mut is_closed = false;
        while let Some(header) = Header::read(&self.input[taken..]) {
            let start = taken + header.length;
            let Some(payload) = self.input.get_mut(start..start + header.payload) else {
                break;
            };
            unmask(payload, header.mask.unwrap_or_default());
            push_header(&mut self.output, header.first, payload.len());
            self.output.extend_from_slice(payload);
            is_closed |= header.first == CLOSE;
            taken = start + header.payload;
        }
        self.input.drain(..taken);
        !is_closed
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.write(&self.output[written..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                wrote => written += wrote?,
            }
        }
        self.output.drain(..written);
        Ok(())
    }
}
