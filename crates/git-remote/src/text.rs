//! Making text that came from a server fit for logs and status.

/// Characters of a server's text that are kept; a status message has to stay readable.
const SERVER_TEXT_CHARACTERS: usize = 400;

/// One line without control characters, at most [`SERVER_TEXT_CHARACTERS`] long, with `secrets` masked in case the
/// server echoes what it was sent.
pub(crate) fn sanitize(text: &str, secrets: &[String]) -> String {
    let visible: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    let masked = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(line, |line, secret| line.replace(secret.as_str(), "<redacted>"));
    truncate(masked)
}

fn truncate(text: String) -> String {
    match text.char_indices().nth(SERVER_TEXT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_becomes_one_bounded_line_without_secrets() {
        assert_eq!(
            sanitize("a\r\n\x1b[31mb  s3cret", &["s3cret".to_owned()]),
            "a [31mb <redacted>"
        );
        assert_eq!(
            sanitize(&"x".repeat(5000), &[]).chars().count(),
            SERVER_TEXT_CHARACTERS + 1
        );
    }
}
