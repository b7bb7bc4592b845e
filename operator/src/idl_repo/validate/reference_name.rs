//! Names of branches and tags, by the rules of `git check-ref-format` (<https://git-scm.com/docs/git-check-ref-format>).

/// Why a name cannot be that of a branch or tag.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("failed to read {name:?} as a name in Git: {rule}")]
pub(super) struct InvalidName {
    name: String,
    rule: &'static str,
}

/// Passes the names that Git allows below `refs/heads/` and `refs/tags/`.
pub(super) fn check(name: &str) -> Result<(), InvalidName> {
    match broken_rule(name) {
        Some(rule) => Err(InvalidName {
            name: name.to_owned(),
            rule,
        }),
        None => Ok(()),
    }
}

fn broken_rule(name: &str) -> Option<&'static str> {
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let rules = [
        (name.is_empty(), "it is empty"),
        (
            name.contains(forbidden),
            "it has a space, a control character, or one of ~ ^ : ? * [ \\",
        ),
        (name.contains(".."), "it has two dots in a row"),
        (
            name.contains("@{") || name == "@",
            "it is or has what Git reads as an expression (@ or @{)",
        ),
        (name.starts_with('-'), "it begins with a dash"),
        (name.ends_with('.'), "it ends with a dot"),
        (
            name.split('/').any(str::is_empty),
            "it begins or ends with a slash, or has two in a row",
        ),
        (
            name.split('/').any(|part| part.starts_with('.')),
            "a part of it begins with a dot",
        ),
        (
            name.split('/').any(|part| part.ends_with(".lock")),
            "a part of it ends with .lock",
        ),
        (
            name.starts_with("refs/"),
            "it is meant to be without refs/heads/ or refs/tags/",
        ),
        (
            name == "HEAD",
            "HEAD is none; leave the field out for the default branch",
        ),
    ];
    rules
        .into_iter()
        .find(|(broken, _)| *broken)
        .map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_allows_pass() {
        for name in [
            "main",
            "release/1.x",
            "v1.2.3",
            "feature/größe",
            "a@b",
            "1",
            "dash-",
            "refs-like",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_git_refuses_do_not() {
        for name in [
            "",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "[a",
            "a\\b",
            "a\u{7f}",
            "@",
            "a@{1}",
            "-a",
            "a.",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "refs/heads/main",
            "HEAD",
            "a\nb",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
