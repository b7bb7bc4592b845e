//! Header fields in the order and spelling in which they arrived: what is forwarded stays what it was.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// One header field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Bytes,
    /// Without the space around it.
    pub(crate) value: Bytes,
}

/// The fields of one head. Names are compared without regard to case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fields(Vec<Field>);

/// A field that may be there once is there more often.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Repeated;

impl Fields {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Field {
            name: name.into(),
            value: value.into(),
        });
    }

    /// The values of all fields of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| &field.value)
    }

    /// The value of the only field of that name.
    ///
    /// # Errors
    /// [`Repeated`] if there are several.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&Bytes>, Repeated> {
        let mut values = self
            .0
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| &field.value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Repeated),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether a field that is a list of tokens has this one.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name)
            .any(|each| each.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The elements of a field that is a list of tokens (RFC 9110, 5.6.1), those of repeated fields included.
    pub(crate) fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Field) -> bool) {
        self.0.retain(keep);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0
            .retain(|field| !field.name.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Appends the lines of an HTTP/1.1 head.
    pub(crate) fn write(&self, head: &mut Vec<u8>) {
        for field in &self.0 {
            write_line(head, &field.name, &field.value);
        }
    }
}

/// Appends one line of an HTTP/1.1 head.
pub(crate) fn write_line(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

impl From<&Fields> for HeaderMap {
    /// Fields whose name or value HTTP/2 cannot carry are left out; parsers of heads let none of those through.
    fn from(fields: &Fields) -> Self {
        let pair = |field: &Field| {
            let name = HeaderName::from_bytes(&field.name).ok()?;
            Some((name, HeaderValue::from_maybe_shared(field.value.clone()).ok()?))
        };
        let mut headers = Self::with_capacity(fields.0.len());
        for (name, value) in fields.0.iter().filter_map(pair) {
            headers.append(name, value);
        }
        headers
    }
}

impl From<&HeaderMap> for Fields {
    fn from(headers: &HeaderMap) -> Self {
        let mut fields = Self::with_capacity(headers.len());
        for (name, value) in headers {
            fields.push(
                Bytes::copy_from_slice(name.as_str().as_bytes()),
                Bytes::copy_from_slice(value.as_bytes()),
            );
        }
        fields
    }
}

impl heddle_route_config::HasHeader for Fields {
    fn has_header(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        self.all(name.as_str()).any(|each| each == value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(*name, *value);
        }
        fields
    }

    #[test]
    fn tokens_are_found_in_lists_and_in_repeated_fields_in_any_case() {
        let fields = fields(&[("Connection", "keep-alive , UPGRADE"), ("connection", "close")]);
        assert!(fields.has_token("connection", "upgrade"));
        assert!(fields.has_token("connection", "close"));
        assert!(!fields.has_token("connection", "keep"));
    }

    #[test]
    fn a_repeated_field_is_not_one() {
        let fields = fields(&[("Host", "a"), ("host", "b"), ("Key", "c")]);
        assert_eq!(fields.one("host"), Err(Repeated));
        assert_eq!(fields.one("key"), Ok(Some(&Bytes::from("c"))));
        assert_eq!(fields.one("origin"), Ok(None));
    }

    #[test]
    fn names_and_values_are_written_as_they_arrived() {
        let mut head = Vec::new();
        fields(&[("X-CaSe", "One"), ("b", "")]).write(&mut head);
        assert_eq!(head, b"X-CaSe: One\r\nb: \r\n");
    }
}
