//! The template of a commit message: parsed before a run starts, so that a misspelt variable is found early.

use std::fmt;
use std::str::FromStr;

/// Something that a commit message can mention.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variable {
    /// The IdlRepo's name.
    Name,
    /// The IdlRepo's namespace.
    Namespace,
    /// The address of the source repository.
    Repository,
    /// What is followed in it: a branch, a tag, a range of versions, a commit, or `HEAD`.
    Reference,
    /// The source commit, by its full id.
    Commit,
    /// The first twelve digits of it.
    ShortCommit,
    /// The first line of the source commit's message.
    Subject,
    /// How many files were written and pruned, in words.
    Files,
}

impl Variable {
    /// Every variable, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::Name,
        Self::Namespace,
        Self::Repository,
        Self::Reference,
        Self::Commit,
        Self::ShortCommit,
        Self::Subject,
        Self::Files,
    ];

    /// As it stands between `${` and `}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Namespace => "namespace",
            Self::Repository => "repository",
            Self::Reference => "reference",
            Self::Commit => "commit",
            Self::ShortCommit => "shortCommit",
            Self::Subject => "subject",
            Self::Files => "files",
        }
    }
}

/// Why a template cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such variable.
    #[error(
        "failed to read the template: there is no variable ${{{name}}}; there are {}",
        Variables
    )]
    FindVariable {
        /// The name that was given.
        name: String,
    },
    /// A variable has no end.
    #[error(
        "failed to read the template: \"${{\" without \"}}\" after {before:?}; write \"$${{\" for the two characters"
    )]
    CloseVariable {
        /// The text before it.
        before: String,
    },
    /// Nothing but blanks.
    #[error("failed to read the template: it is blank, and Git refuses commits without a message")]
    Blank,
}

/// A template for commit messages: text with `${variable}` in it. `$${` stands for `${` itself; any other `$` for itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// Whether `text` is a template, and if not, why.
///
/// # Errors
/// Those of [`Template::from_str`].
pub fn validate_template(text: &str) -> Result<(), TemplateError> {
    text.parse::<Template>().map(drop)
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(TemplateError::Blank);
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, after) = (&rest[..start], &rest[start + 2..]);
            if let Some(before) = before.strip_suffix('$') {
                plain.push_str(before);
                plain.push_str("${");
                rest = after;
                continue;
            }
            plain.push_str(before);
            let end = after.find('}').ok_or_else(|| TemplateError::CloseVariable {
                before: last_words(&plain),
            })?;
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Variable(variable(&after[..end])?));
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }
}

impl Template {
    /// The template with `value` of each variable in its place. Values are not looked at for variables again.
    pub fn render(&self, value: impl Fn(Variable) -> String) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(variable) => value(*variable),
            })
            .collect()
    }
}

/// The most bytes of a name or of surrounding text that a message repeats.
const QUOTE_BYTES: usize = 40;

fn variable(name: &str) -> Result<Variable, TemplateError> {
    let found = Variable::ALL.iter().find(|variable| variable.as_str() == name);
    found.copied().ok_or_else(|| {
        let mut name = name.to_owned();
        crate::condition::truncate(&mut name, QUOTE_BYTES);
        TemplateError::FindVariable { name }
    })
}

fn last_words(text: &str) -> String {
    text[text.ceil_char_boundary(text.len().saturating_sub(QUOTE_BYTES))..].to_owned()
}

/// Prints the list of variables.
struct Variables;

impl fmt::Display for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, variable) in Variable::ALL.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}${{{}}}", variable.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_nothing_else_is() {
        let check = |template: &str, expected: &str| {
            let rendered = template
                .parse::<Template>()
                .unwrap()
                .render(|variable| format!("<{}>", variable.as_str()));
            assert_eq!(rendered, expected, "{template}");
        };
        check("plain", "plain");
        check("${name}", "<name>");
        check("a ${commit} b ${files}\n\n$5", "a <commit> b <files>\n\n$5");
        check("costs $${name} and $$5", "costs ${name} and $$5");
        check("é${subject}é", "é<subject>é");
        for variable in Variable::ALL {
            check(
                &format!("${{{}}}", variable.as_str()),
                &format!("<{}>", variable.as_str()),
            );
        }
    }

    #[test]
    fn a_value_that_looks_like_a_variable_is_not_replaced_again() {
        let rendered = "${subject}"
            .parse::<Template>()
            .unwrap()
            .render(|_| "${name}".into());
        assert_eq!(rendered, "${name}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |template: &str, expected: &str| {
            let message = validate_template(template).unwrap_err().to_string();
            assert!(message.contains(expected), "{template:?}: {message}");
        };
        check(
            "${nmae}",
            "there is no variable ${nmae}; there are ${name}, ${namespace}",
        );
        check("${Name}", "no variable ${Name}");
        check("${}", "no variable ${}");
        check("to ${name", "\"${\" without \"}\" after \"to \"");
        check(" \n", "blank");
        check(&format!("${{{}}}", "é".repeat(4000)), "(cut)");
    }
}
