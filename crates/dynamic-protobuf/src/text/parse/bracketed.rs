//! Names in brackets: extensions, and the types of what an `Any` holds.

use super::super::error::{ParseError, ParseErrorKind};
use super::super::names::{self, AnyFields};
use super::{Open, Parser, Step};
use crate::limits::Limits;
use crate::message::Message;
use crate::schema::{FieldDescriptor, MessageDescriptor};

/// A name in brackets.
pub(super) enum Bracketed {
    /// The full name of an extension, or of a MessageSet's item.
    Extension(String),
    /// A type's full name with a slash and more before it.
    TypeUrl(String),
}

impl Parser<'_> {
    /// Reads a name in brackets, which may have blanks between its parts.
    pub(super) fn bracketed(&mut self) -> Step<Bracketed> {
        let start = self.cursor.token_at();
        let invalid = || ParseError::new(ParseErrorKind::InvalidBracketedName, start);
        self.cursor.take(b'[');
        let mut name = String::new();
        while !self.cursor.take(b']') {
            let part = self.cursor.while_here(is_url_byte);
            let part = str::from_utf8(part).map_err(|_| invalid())?;
            let joins = |byte: Option<u8>| byte.is_some_and(names::continues_identifier);
            let runs_on = joins(name.bytes().last()) && joins(part.bytes().next());
            if part.is_empty() || runs_on {
                return Err(invalid());
            }
            name.push_str(part);
        }
        match name.rsplit_once('/') {
            None if names::is_dotted(&name) => Ok(Bracketed::Extension(name)),
            Some((prefix, full_name)) if is_url_prefix(prefix) && names::is_dotted(full_name) => {
                Ok(Bracketed::TypeUrl(name))
            }
            _ => Err(invalid()),
        }
    }

    /// Reads the content of an `Any` whose type's URL stood at `start`.
    pub(super) fn expanded_any(&mut self, open: Open<'_>, type_url: &str, start: usize) -> Step {
        let fail = |kind| Err(ParseError::new(kind, start));
        let Some(any) = AnyFields::of(open.descriptor) else {
            return fail(ParseErrorKind::MisplacedTypeUrl);
        };
        let Some(content) = names::type_of(open.descriptor.schema(), type_url) else {
            return fail(ParseErrorKind::UnknownType);
        };
        self.take_slot(open, any.type_url, start)?;
        self.take_slot(open, any.value, start)?;
        let at = self.out.open_len(any.type_url.number());
        self.out.put(type_url.as_bytes());
        self.out.close_len(at);
        self.cursor.take(b':');
        self.any_content(any.value, content)
            .map_err(|error| error.in_field(&format!("[{}]", content.full_name())))
    }

    /// Reads the message in an `Any`. What it holds are bytes to everybody else, so they are written as an encoder would.
    fn any_content(&mut self, field: FieldDescriptor<'_>, content: MessageDescriptor<'_>) -> Step {
        let at = self.out.open_len(field.number());
        self.delimited(content)?;
        let limits = Limits {
            depth: self.depth,
            ..self.options.limits
        };
        let mut message = Message::with_limits(content, limits);
        message
            .decode(self.out.since(at.content()))
            .map_err(|error| ParseError::of_message(&error, self.cursor.at()))?;
        self.out.truncate(at.content());
        message.encode_deterministic_into(self.out.bytes_mut());
        self.out.close_len(at);
        Ok(())
    }
}

/// What URLs consist of, and names with dots as well.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&()*+,;=%/".contains(&byte)
}

/// Whether it can stand before a type's full name: not empty, no slash in front, and each percent sign followed by two digits.
fn is_url_prefix(prefix: &str) -> bool {
    let mut parts = prefix.split('%');
    let escapes = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let first = parts.next().unwrap_or_default();
    !prefix.is_empty() && !first.starts_with('/') && parts.all(escapes)
}
