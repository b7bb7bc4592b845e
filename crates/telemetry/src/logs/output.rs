//! Where lines go.

use crate::settings::LogStream;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// Where lines go: a standard stream of the process, or a writer of the caller's.
pub struct LogOutput(Sink);

enum Sink {
    Stderr,
    Stdout,
    Writer(Mutex<Box<dyn Write + Send>>),
}

impl LogOutput {
    /// A standard stream of this process.
    pub fn stream(stream: LogStream) -> Self {
        Self(match stream {
            LogStream::Stderr => Sink::Stderr,
            LogStream::Stdout => Sink::Stdout,
        })
    }

    /// A writer, which is given each line in one call and is never taken for a terminal.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self(Sink::Writer(Mutex::new(Box::new(writer))))
    }

    pub(super) fn is_terminal(&self) -> bool {
        match self.0 {
            Sink::Stderr => io::stderr().is_terminal(),
            Sink::Stdout => io::stdout().is_terminal(),
            Sink::Writer(_) => false,
        }
    }

    /// Writes one line whole. A line that cannot be written is lost: whoever closed the log does
    /// not want it, and it must not stop the work that is being logged.
    pub(super) fn write_line(&self, line: &str) {
        let written = match &self.0 {
            Sink::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Sink::Stdout => write_and_flush(&mut io::stdout().lock(), line),
            Sink::Writer(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                write_and_flush(&mut *writer, line)
            }
        };
        drop(written);
    }
}

fn write_and_flush(writer: &mut (impl Write + ?Sized), line: &str) -> io::Result<()> {
    writer.write_all(line.as_bytes())?;
    writer.flush()
}
