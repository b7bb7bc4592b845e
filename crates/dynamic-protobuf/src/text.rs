//! The text format both ways: for people who read and write messages, in files, terminals and tests.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use heddle_dynamic_protobuf::{Message, Schema, text};
//! # let mut compiler = protox::Compiler::with_file_resolver(protox::file::GoogleFileResolver::new());
//! # let set = compiler.open_file("google/protobuf/type.proto")?.include_imports(true).encode_file_descriptor_set();
//! let schema = Schema::from_descriptor_set(&set)?;
//! let mut message = Message::new(schema.message("google.protobuf.EnumValue").ok_or("no such message")?);
//! text::parse("name: 'RED' # the first\n number: 0x0A", &mut message, &text::ParseOptions::default())?;
//! let printed = text::to_text(message.as_ref(), &text::PrintOptions::default())?;
//! assert_eq!(printed, "name: \"RED\"\nnumber: 10\n");
//! # Ok(())
//! # }
//! ```
//!
//! Source: <https://protobuf.dev/reference/protobuf/textformat-spec/>.

mod diff;
mod error;
mod names;
mod parse;
mod print;

pub use diff::{Change, diff};
pub use error::{ParseError, ParseErrorKind, PrintError};
pub use parse::{ParseOptions, UnknownNames, parse};
pub use print::{AnyForm, Layout, PrintOptions, UnknownFields, print, to_text};

/// How deep messages may nest whatever [`Limits::depth`](crate::Limits::depth) says: nesting takes stack.
const MAX_DEPTH: u32 = crate::Limits::MAX_DEPTH;

#[cfg(test)]
mod tests;
