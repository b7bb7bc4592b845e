//! Where lines go.

use super::RegisteredDispatch;
use super::queue::{LineQueue, LogWriter};
use crate::settings::LogStream;
use prometheus_client::metrics::counter::Counter;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Where lines go: a standard stream of the process, or a writer of the caller's.
pub struct LogOutput {
    sink: Arc<Sink>,
    /// Where lines wait for the thread that writes them. Whoever logs writes, if absent.
    queue: Option<LineQueue>,
}

pub(super) enum Sink {
    Stderr,
    Stdout,
    Writer(Mutex<Box<dyn Write + Send>>),
}

impl LogOutput {
    /// A standard stream of this process.
    pub fn stream(stream: LogStream) -> Self {
        Self::new(match stream {
            LogStream::Stderr => Sink::Stderr,
            LogStream::Stdout => Sink::Stdout,
        })
    }

    /// A writer, which is given whole lines in each call and is never taken for a terminal.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self::new(Sink::Writer(Mutex::new(Box::new(writer))))
    }

    fn new(sink: Sink) -> Self {
        Self {
            sink: Arc::new(sink),
            queue: None,
        }
    }

    /// Has a thread of its own write the lines.
    pub(crate) fn queued(&mut self, dropped: Counter, dispatch: RegisteredDispatch) -> io::Result<LogWriter> {
        let (writer, queue) = LogWriter::start(Arc::clone(&self.sink), dropped, dispatch)?;
        self.queue = Some(queue);
        Ok(writer)
    }

    pub(super) fn is_terminal(&self) -> bool {
        match *self.sink {
            Sink::Stderr => io::stderr().is_terminal(),
            Sink::Stdout => io::stdout().is_terminal(),
            Sink::Writer(_) => false,
        }
    }

    pub(super) fn write_line(&self, line: &str) {
        let is_taken = self.queue.as_ref().is_some_and(|queue| queue.push(line));
        if !is_taken {
            self.sink.write(line.as_bytes());
        }
    }
}

impl Sink {
    /// Writes lines whole. What cannot be written is lost: whoever closed the log does not want it, and it must not stop
    /// the work that is being logged.
    pub(super) fn write(&self, lines: &[u8]) {
        let written = match self {
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::Stdout => write_and_flush(&mut io::stdout().lock(), lines),
            Self::Writer(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                write_and_flush(&mut *writer, lines)
            }
        };
        drop(written);
    }
}

fn write_and_flush(writer: &mut (impl Write + ?Sized), lines: &[u8]) -> io::Result<()> {
    writer.write_all(lines)?;
    writer.flush()
}
