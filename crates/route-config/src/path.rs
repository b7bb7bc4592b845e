//! Paths as routes compare them, and as others may read them. A backend that reads a path differently than the route was
//! found by would serve what a stricter route should have kept from the client.

/// The path of a request or of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestPath {
    normal: Box<str>,
    folded: Option<Box<str>>,
}

/// Why a path is none that routes are found by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidPath {
    /// Absolute paths only.
    #[error("a path begins with '/'")]
    Relative,
    /// RFC 3986, 2.1.
    #[error("the path has a '%' that is not followed by two hexadecimal digits")]
    Escape,
    /// What is behind it, many do not see.
    #[error("the path has an escaped NUL")]
    Nul,
    /// Browsers and clients resolve them before they ask (RFC 3986, 5.2.4).
    #[error("the path has elements '.' or '..'")]
    Dots,
}

impl RequestPath {
    /// Reads a path without its query.
    ///
    /// # Errors
    /// [`InvalidPath`] for one that no two readers need to agree on.
    pub fn parse(path: &str) -> Result<Self, InvalidPath> {
        if !path.starts_with('/') {
            return Err(InvalidPath::Relative);
        }
        let is_plain = !path.bytes().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
            && !path.contains("//")
            && !path.contains("/.");
        if is_plain {
            return Ok(Self {
                normal: path.into(),
                folded: None,
            });
        }
        let normal = normal(path)?;
        let folded = folded(&normal)?;
        Ok(Self {
            folded: (folded != normal).then(|| folded.into()),
            normal: normal.into(),
        })
    }

    /// The form that is the same for all paths that are equal by the standard: escapes are in upper case, and gone where
    /// none is needed (RFC 3986, 6.2.2).
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// What those make of it who also take escaped slashes and backslashes for slashes, several slashes for one, and leave
    /// out what follows a semicolon. Absent where that is the normal form.
    pub fn folded(&self) -> Option<&str> {
        self.folded.as_deref()
    }
}

fn normal(path: &str) -> Result<String, InvalidPath> {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let digits = after
            .get(..2)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or(InvalidPath::Escape)?;
        match u8::from_str_radix(digits, 16).map_err(|_| InvalidPath::Escape)? {
            0 => return Err(InvalidPath::Nul),
            byte if is_unreserved(byte) => normal.push(char::from(byte)),
            byte => normal.push_str(&format!("%{byte:02X}")),
        }
        rest = &after[2..];
    }
    normal.push_str(rest);
    Ok(normal)
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn folded(normal: &str) -> Result<String, InvalidPath> {
    let slashes = normal.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
    let mut folded = String::with_capacity(slashes.len());
    let mut last = "";
    for element in slashes.split('/') {
        last = element.split(';').next().unwrap_or_default();
        match last {
            "." | ".." => return Err(InvalidPath::Dots),
            "" => {}
            _ => {
                folded.push('/');
                folded.push_str(last);
            }
        }
    }
    if last.is_empty() {
        folded.push('/');
    }
    Ok(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_normal_form_and_what_else_they_can_be_read_as() {
        let cases = [
            ("/", "/", None),
            ("/chat/room", "/chat/room", None),
            ("/chat/", "/chat/", None),
            ("/...", "/...", None),
            ("/.well-known/a", "/.well-known/a", None),
            ("/%63h%61t", "/chat", None),
            ("/a%20b%c3%a9", "/a%20b%C3%A9", None),
            ("/%252f", "/%252f", None),
            ("//chat", "//chat", Some("/chat")),
            ("/chat//", "/chat//", Some("/chat/")),
            ("/a%2fb", "/a%2Fb", Some("/a/b")),
            ("/a%5Cb", "/a%5Cb", Some("/a/b")),
            ("/a\\b", "/a\\b", Some("/a/b")),
            ("/chat;v=1/room", "/chat;v=1/room", Some("/chat/room")),
        ];
        for (path, normal, folded) in cases {
            let read = RequestPath::parse(path).unwrap();
            assert_eq!((read.normal(), read.folded()), (normal, folded), "{path}");
        }
    }

    #[test]
    fn paths_that_nobody_needs_to_agree_on_are_refused() {
        let cases = [
            ("", InvalidPath::Relative),
            ("a", InvalidPath::Relative),
            ("/%", InvalidPath::Escape),
            ("/%4", InvalidPath::Escape),
            ("/%zz", InvalidPath::Escape),
            ("/%+1", InvalidPath::Escape),
            ("/a%00", InvalidPath::Nul),
            ("/..", InvalidPath::Dots),
            ("/a/./b", InvalidPath::Dots),
            ("/a/%2e%2E/b", InvalidPath::Dots),
            ("/a/..%2fb", InvalidPath::Dots),
            ("/a\\..\\b", InvalidPath::Dots),
            ("/a/..;x=y/b", InvalidPath::Dots),
        ];
        for (path, error) in cases {
            assert_eq!(RequestPath::parse(path), Err(error), "{path}");
        }
    }
}
