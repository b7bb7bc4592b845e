//! What a run would change, as a unified diff for people.

use crate::output::{ObservedOutput, Plan};
use heddle_git_remote::Edit;
use similar::{ChangeTag, TextDiff};
use std::fmt::{self, Display, Write};

/// The most lines that are shown of one file.
const LINES_LIMIT: usize = 200;
/// The most files that are shown; of the others there is a count.
const FILES_LIMIT: usize = 100;
/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// Whether the diff may hold colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Colour {
    /// For a terminal.
    On,
    /// For anything else.
    Off,
}

#[derive(Clone, Copy)]
enum Style {
    Head,
    Added,
    Removed,
    Dim,
    Plain,
}

impl Colour {
    fn paint(self, style: Style, text: impl Display) -> String {
        let code = match style {
            Style::Head => "1",
            Style::Added => "32",
            Style::Removed => "31",
            Style::Dim => "2",
            Style::Plain => return text.to_string(),
        };
        if self == Self::On {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }
}

/// The changes of `plan`, in the order of their paths.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, plan: &Plan, observed: &ObservedOutput, colour: Colour) -> fmt::Result {
    for (path, edit) in plan.edits.iter().take(FILES_LIMIT) {
        let old = observed.contents.get(path).map(Vec::as_slice);
        let new = match edit {
            Edit::Write(bytes) => Some(bytes.as_slice()),
            Edit::Delete => None,
        };
        write_file(out, path, old, new, colour)?;
    }
    match plan.edits.len().saturating_sub(FILES_LIMIT) {
        0 => Ok(()),
        more => writeln!(
            out,
            "{}",
            colour.paint(Style::Dim, format!("… and {more} more files"))
        ),
    }
}

fn write_file(
    out: &mut impl Write,
    path: &str,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    colour: Colour,
) -> fmt::Result {
    let name = |side: &str, bytes: Option<&[u8]>| match bytes {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".into(),
    };
    writeln!(
        out,
        "{}",
        colour.paint(Style::Head, format!("--- {}", name("a", old)))
    )?;
    writeln!(
        out,
        "{}",
        colour.paint(Style::Head, format!("+++ {}", name("b", new)))
    )?;
    let (old, new) = (
        String::from_utf8_lossy(old.unwrap_or_default()),
        String::from_utf8_lossy(new.unwrap_or_default()),
    );
    let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
    let mut lines = diff
        .unified_diff()
        .context_radius(CONTEXT)
        .iter_hunks()
        .flat_map(|hunk| {
            let head = (Style::Dim, hunk.header().to_string());
            let changes = hunk.iter_changes().map(|change| match change.tag() {
                ChangeTag::Equal => (Style::Plain, format!(" {}", change.value())),
                ChangeTag::Insert => (Style::Added, format!("+{}", change.value())),
                ChangeTag::Delete => (Style::Removed, format!("-{}", change.value())),
            });
            std::iter::once(head).chain(changes).collect::<Vec<_>>()
        });
    for (style, line) in lines.by_ref().take(LINES_LIMIT) {
        writeln!(out, "{}", colour.paint(style, printable(&line)))?;
    }
    match lines.count() {
        0 => Ok(()),
        more => writeln!(
            out,
            "{}",
            colour.paint(Style::Dim, format!("… and {more} more lines"))
        ),
    }
}

/// Generated text must not drive the terminal.
fn printable(line: &str) -> String {
    line.trim_end_matches(['\r', '\n'])
        .chars()
        .filter(|character| !character.is_control() || *character == '\t')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(path: &str, old: Option<&str>, edit: Edit) -> String {
        let mut observed = ObservedOutput::default();
        if let Some(old) = old {
            observed.contents.insert(path.into(), old.into());
        }
        let plan = Plan {
            edits: [(path.to_owned(), edit)].into(),
            ..Plan::default()
        };
        let mut text = String::new();
        write(&mut text, &plan, &observed, Colour::Off).unwrap();
        text
    }

    #[test]
    fn changes_are_shown_as_a_unified_diff() {
        let write = |text: &str| Edit::Write(text.into());
        assert_eq!(
            diff("a", Some("1\n2\n"), write("1\n3\n")),
            "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n 1\n-2\n+3\n"
        );
        assert_eq!(
            diff("a", None, write("1\n")),
            "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n"
        );
        assert_eq!(
            diff("a", Some("1\n"), Edit::Delete),
            "--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n"
        );
        assert!(diff("a", None, write("\u{1b}[2J\n")).ends_with("+[2J\n"));
    }

    #[test]
    fn a_long_file_is_cut() {
        let text = "x\n".repeat(1000);
        assert!(diff("a", None, Edit::Write(text.into())).ends_with("… and 801 more lines\n"));
    }
}
