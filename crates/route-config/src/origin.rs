//! Patterns of origins of pages (RFC 6454).

/// A pattern that origins are compared with: an origin, or one whose host begins with `*.` and takes one or more labels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginPattern {
    /// With `://`; in lower case. All of the origin where there is no star.
    prefix: String,
    /// What follows the star, in lower case; it begins with a dot.
    suffix: Option<String>,
}

impl OriginPattern {
    /// Reads a pattern. A port that is the scheme's own may be written or left out: browsers leave it out.
    pub fn parse(text: &str) -> Self {
        let text = without_default_port(&text.to_ascii_lowercase());
        match text.split_once("://*") {
            Some((scheme, suffix)) => Self {
                prefix: format!("{scheme}://"),
                suffix: Some(suffix.to_owned()),
            },
            None => Self {
                prefix: text,
                suffix: None,
            },
        }
    }

    /// Whether `origin`, the value of a request's `Origin`, is one that the pattern means.
    pub fn matches(&self, origin: &str) -> bool {
        let origin = without_default_port(&origin.to_ascii_lowercase());
        match &self.suffix {
            None => origin == self.prefix,
            Some(suffix) => origin
                .strip_prefix(&self.prefix)
                .and_then(|host| host.strip_suffix(suffix.as_str()))
                .is_some_and(is_labels),
        }
    }
}

/// Whether `text` can stand before a dot in a host: it must not smuggle a user, a path or another host in.
fn is_labels(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn without_default_port(origin: &str) -> String {
    const DEFAULT_PORTS: [(&str, &str); 4] = [
        ("http:", ":80"),
        ("https:", ":443"),
        ("ws:", ":80"),
        ("wss:", ":443"),
    ];
    DEFAULT_PORTS
        .iter()
        .find(|(scheme, _)| origin.starts_with(scheme))
        .and_then(|(_, port)| origin.strip_suffix(port))
        .unwrap_or(origin)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_one_or_more_labels_and_nothing_else() {
        let cases = [
            ("https://example.com", "https://example.com", true),
            ("https://example.com", "https://EXAMPLE.com:443", true),
            ("https://example.com", "http://example.com", false),
            ("https://example.com:8443", "https://example.com", false),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evil.test/.example.com", false),
            ("https://*.example.com", "https://evil.test@a.example.com", false),
            ("https://*.example.com", "https://aexample.com", false),
            ("null", "null", true),
        ];
        for (pattern, origin, expected) in cases {
            assert_eq!(
                OriginPattern::parse(pattern).matches(origin),
                expected,
                "{pattern} {origin}"
            );
        }
    }
}
