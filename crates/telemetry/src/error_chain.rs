//! Prints an error with its sources on one line, each cause once.

use std::error::Error;
use std::fmt;

/// Sources beyond this depth are left out: a chain that long is a cycle or tells nobody anything.
const MAX_CHAIN_DEPTH: usize = 16;

/// Displays an error followed by its sources, separated by `: `.
///
/// A source whose text an outer error has already printed is skipped: some libraries (kube among
/// them) print their source and return it from [`Error::source`] as well.
///
/// ```
/// use heddle_telemetry::ErrorChain;
///
/// let error = std::io::Error::other("connection refused");
/// tracing::error!(error = %ErrorChain(&error), "failed to fetch the source");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl ErrorChain<'_> {
    /// The texts of the error and of those sources that say something new, outermost first.
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = vec![self.0.to_string()];
        let mut next = self.0.source();
        for _ in 0..MAX_CHAIN_DEPTH {
            let Some(error) = next else { break };
            let text = error.to_string();
            if !messages.iter().any(|printed| printed.contains(&text)) {
                messages.push(text);
            }
            next = error.source();
        }
        messages
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The common error has no source; it needs no list.
        if self.0.source().is_none() {
            return write!(formatter, "{}", self.0);
        }
        formatter.write_str(&self.messages().join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    impl fmt::Display for Layer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.text)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.source
                .as_deref()
                .map(|source| source as &(dyn Error + 'static))
        }
    }

    fn chain(texts: &[&'static str]) -> Layer {
        let source = (texts.len() > 1).then(|| Box::new(chain(&texts[1..])));
        Layer {
            text: texts[0],
            source,
        }
    }

    fn check(texts: &[&'static str], expected: &str) {
        assert_eq!(ErrorChain(&chain(texts)).to_string(), expected);
    }

    #[test]
    fn sources_follow_the_error_that_names_them() {
        check(&["failed to clone"], "failed to clone");
        check(
            &["failed to clone", "failed to connect", "refused"],
            "failed to clone: failed to connect: refused",
        );
    }

    #[test]
    fn a_source_that_was_printed_already_is_not_repeated() {
        check(
            &[
                "failed to get Secret",
                "ApiError: secrets not found (404)",
                "secrets not found (404)",
            ],
            "failed to get Secret: ApiError: secrets not found (404)",
        );
        check(&["same", "same", "other", "same"], "same: other");
        check(&["outer: inner", "inner", "innermost"], "outer: inner: innermost");
        check(&["failed", ""], "failed");
    }

    #[test]
    fn an_endless_chain_ends() {
        let texts: Vec<&'static str> = (0..40)
            .map(|index| format!("<{index}>").leak() as &'static str)
            .collect();
        assert_eq!(ErrorChain(&chain(&texts)).messages().len(), 1 + MAX_CHAIN_DEPTH);
    }
}
