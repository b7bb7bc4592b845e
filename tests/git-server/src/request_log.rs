//! One line per request, without anything that came in an `Authorization` header.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Requests remembered for tests.
const REMEMBERED: usize = 10_000;

/// What is known about a request that has been answered.
#[derive(Clone, Debug, Serialize)]
pub struct RequestLine {
    /// When it was answered, RFC 3339.
    pub timestamp: String,
    /// Always `INFO`.
    pub level: &'static str,
    /// Always `request`.
    pub message: &'static str,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The HTTP status.
    pub status: u16,
    /// The account, when it logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The `traceparent` header as it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Until the head of the response was ready.
    pub duration_ms: u64,
}

/// Where lines go: always to memory, and to standard output when asked for.
#[derive(Default)]
pub(crate) struct RequestLog {
    print: bool,
    remembered: Mutex<VecDeque<RequestLine>>,
}

impl RequestLog {
    pub(crate) fn new(print: bool) -> Self {
        Self {
            print,
            remembered: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, line: RequestLine) {
        if self.print {
            print_json(&line);
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.truncate(REMEMBERED - 1);
        remembered.push_front(line);
    }

    pub(crate) fn lines(&self) -> Vec<RequestLine> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .rev()
            .cloned()
            .collect()
    }
}

/// Prints one line of JSON on standard output.
pub(crate) fn print_json(line: &impl Serialize) {
    let printed = serde_json::to_string(line)
        .map_err(std::io::Error::from)
        .and_then(|text| {
            let mut output = std::io::stdout().lock();
            writeln!(output, "{text}").and_then(|()| output.flush())
        });
    if let Err(error) = printed {
        eprintln!("failed to write a log line: {error}");
    }
}
