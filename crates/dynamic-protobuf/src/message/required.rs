//! Required fields of proto2: decoding does not insist on them, since whoever only passes a message on need not.

use super::{Message, MessageRef, Value};
use std::fmt;

/// A required field that is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRequired {
    path: String,
}

impl MissingRequired {
    /// Where it is missing, as in `items[2].name`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for MissingRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the required field {} is not set", self.path)
    }
}

impl std::error::Error for MissingRequired {}

impl Message {
    /// Checks that every required field is set, at every level.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_required(&self) -> Result<(), MissingRequired> {
        check(self.as_ref()).map_err(|mut path| {
            path.reverse();
            MissingRequired {
                path: path.concat().trim_start_matches('.').to_owned(),
            }
        })
    }
}

/// The path to the first missing field, innermost segment first.
fn check(message: MessageRef<'_>) -> Result<(), Vec<String>> {
    let descriptor = message.descriptor();
    if descriptor.table().has_required
        && let Some(missing) = descriptor
            .fields()
            .find(|field| field.is_required() && !message.has(*field))
    {
        return Err(vec![format!(".{}", missing.name())]);
    }
    for (field, value) in message.fields() {
        check_value(value).map_err(|mut path| {
            path.push(format!(".{}", field.name()));
            path
        })?;
    }
    Ok(())
}

fn check_value(value: Value<'_>) -> Result<(), Vec<String>> {
    match value {
        Value::Message(message) => check(message),
        Value::List(list) => list.iter().enumerate().try_for_each(|(index, value)| {
            check_value(value).map_err(|mut path| {
                path.push(format!("[{index}]"));
                path
            })
        }),
        Value::Map(map) => map.iter().try_for_each(|(key, value)| {
            check_value(value).map_err(|mut path| {
                path.push(format!("[{key:?}]"));
                path
            })
        }),
        _ => Ok(()),
    }
}
