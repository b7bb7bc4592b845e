//! The standard's algorithm, step by step on the whole stream at once: slow, and easy to hold against the text of
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.

use heddle_sse_client::Parsed;

/// What a stream says, in words of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Event {
        kind: String,
        data: String,
        id: String,
    },
    Comment(String),
    LastEventId(String),
    /// In milliseconds.
    Retry(u128),
}

/// What the whole stream says.
#[must_use]
pub(crate) fn interpret(stream: &[u8]) -> Vec<Said> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    // What stands behind the last line end is an unfinished line.
    lines.pop();
    let mut state = State::default();
    for line in lines {
        state.line(line);
    }
    state.said
}

#[derive(Default)]
struct State {
    data: String,
    kind: String,
    id: String,
    last_event_id: String,
    said: Vec<Said>,
}

impl State {
    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(':') {
            Some(("", comment)) => self.said.push(Said::Comment(comment.to_owned())),
            Some((name, value)) => self.field(name, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            "event" => self.kind = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if !value.is_empty() && value.chars().all(|character| character.is_ascii_digit()) => {
                let milliseconds = value.parse().unwrap_or(u64::MAX);
                self.said.push(Said::Retry(milliseconds.into()));
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let has_moved = self.last_event_id != self.id;
        self.last_event_id.clone_from(&self.id);
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            if has_moved {
                self.said.push(Said::LastEventId(self.id.clone()));
            }
            return;
        }
        data.pop();
        self.said.push(Said::Event {
            kind: if kind.is_empty() {
                "message".to_owned()
            } else {
                kind
            },
            data,
            id: self.id.clone(),
        });
    }
}

/// The same of what the parser says.
#[must_use]
pub(crate) fn said(parsed: Parsed) -> Said {
    match parsed {
        Parsed::Event(event) => Said::Event {
            kind: event.event_type().to_string(),
            data: event.data().to_string(),
            id: event.last_event_id().to_string(),
        },
        Parsed::Comment(comment) => Said::Comment(comment.to_string()),
        Parsed::LastEventId(id) => Said::LastEventId(id.to_string()),
        Parsed::Retry(retry) => Said::Retry(retry.as_millis()),
        other => unreachable!("{other:?} is nothing that this reference knows"),
    }
}
