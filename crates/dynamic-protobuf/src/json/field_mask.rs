//! Paths of a `FieldMask`, whose JSON form is lower camel case.

/// Whether a path can be in a list of paths, as text, in JSON, and come out again.
fn is_plain(path: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b",\"\\".contains(byte);
    !path.is_empty() && path.iter().all(plain)
}

/// Appends `path` in lower camel case; `None` when the way back would not give `path` again.
pub(super) fn to_camel(path: &[u8], mut push: impl FnMut(u8)) -> Option<()> {
    if !is_plain(path) {
        return None;
    }
    let mut raise = false;
    for byte in path {
        match byte {
            b'_' if raise => return None,
            b'_' => raise = true,
            b'A'..=b'Z' => return None,
            b'a'..=b'z' if raise => {
                push(byte.to_ascii_uppercase());
                raise = false;
            }
            _ if raise => return None,
            other => push(*other),
        }
    }
    (!raise).then_some(())
}

/// Appends `path` in snake case; `None` when it was not lower camel case.
pub(super) fn to_snake(path: &[u8], mut push: impl FnMut(u8)) -> Option<()> {
    if !is_plain(path) {
        return None;
    }
    for byte in path {
        match byte {
            b'_' => return None,
            b'A'..=b'Z' => {
                push(b'_');
                push(byte.to_ascii_lowercase());
            }
            other => push(*other),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camel(path: &str) -> Option<String> {
        let mut out = Vec::new();
        to_camel(path.as_bytes(), |byte| out.push(byte))?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn paths_that_survive_are_changed_and_others_are_refused() {
        assert_eq!(camel("foo_bar.baz").as_deref(), Some("fooBar.baz"));
        for path in [
            "fooBar",
            "foo_3_bar",
            "foo__bar",
            "foo_",
            "foo_.bar",
            "_Foo",
            "",
            "a,b",
            "a b",
            "é",
        ] {
            assert_eq!(camel(path), None, "{path}");
        }
        let mut out = Vec::new();
        to_snake(b"fooBar.bazQux", |byte| out.push(byte)).unwrap();
        assert_eq!(out, b"foo_bar.baz_qux");
        for path in ["foo_bar", "", "a b"] {
            assert_eq!(to_snake(path.as_bytes(), |_| {}), None, "{path}");
        }
    }
}
