//! Waiting for a condition, with a deadline and the last words of whoever did not fulfil it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(100);
/// How much of a log's end a failed wait shows.
const TAIL_LINES: usize = 15;
const TAIL_COLUMNS: usize = 240;
const TAIL_BYTES: u64 = 16 * 1024;

/// What one look at a condition found.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// The condition holds.
    Done(T),
    /// Not yet; the text says what is missing.
    NotYet(String),
}

/// Looks until the condition holds; an error from `look` ends the wait at once.
///
/// # Errors
/// The error of `look`, or after `limit` one that says what was missing at the last look.
pub(crate) fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Look<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look()? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(missing) if Instant::now() >= deadline => {
                return Err(anyhow!(
                    "gave up waiting for {what} after {} s: {missing}",
                    limit.as_secs()
                ));
            }
            Look::NotYet(_) => pause(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that polls; every caller has a deadline"
)]
fn pause() {
    std::thread::sleep(INTERVAL);
}

/// The last lines of a log, indented; empty when there is no such file.
pub(crate) fn tail(log: &Path) -> String {
    let Ok(text) = read_end(log) else {
        return String::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    shown.iter().map(|line| format!("\n    {}", cut(line))).collect()
}

/// Some components log their whole configuration in one line.
fn cut(line: &str) -> String {
    line.chars().take(TAIL_COLUMNS).collect()
}

fn read_end(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_runs_out_says_what_was_missing() {
        let error = until("the node", Duration::ZERO, || {
            Ok(Look::<()>::NotYet("not registered".into()))
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "gave up waiting for the node after 0 s: not registered"
        );
    }

    #[test]
    fn a_tail_has_only_the_last_lines() {
        let path = std::env::temp_dir().join(format!("heddle-tail-{}", std::process::id()));
        std::fs::write(&path, (0..40).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        let shown = tail(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(shown.lines().filter(|line| !line.is_empty()).count(), TAIL_LINES);
        assert!(shown.ends_with("line 39"));
    }
}
