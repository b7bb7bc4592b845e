//! Descriptor sets as bytes: with places for people, and without them for programs.

use crate::compile::Compiled;
use prost::DecodeError;
use prost::bytes::Buf;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

/// `file` of `google.protobuf.FileDescriptorSet`.
const FILE: u32 = 1;
/// `source_code_info` of `google.protobuf.FileDescriptorProto`.
const SOURCE_CODE_INFO: u32 = 9;

impl Compiled {
    /// Every file with all imports, each after those it imports, with the places of everything in it.
    pub fn descriptor_set(&self) -> Vec<u8> {
        self.pool.encode_to_vec()
    }

    /// The same without places and comments, so that a change of those is none of the set.
    pub fn published_set(&self) -> Vec<u8> {
        let set = self.descriptor_set();
        // What the pool has just written can be read.
        without_sources(&set).unwrap_or(set)
    }
}

fn without_sources(set: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut stripped = Vec::with_capacity(set.len() / 2);
    for field in Fields(set) {
        let field = field?;
        match field.payload {
            Some(file) if field.number == FILE => {
                let file = keep(file, |number| number != SOURCE_CODE_INFO)?;
                encode_key(FILE, WireType::LengthDelimited, &mut stripped);
                encode_varint(file.len() as u64, &mut stripped);
                stripped.extend(file);
            }
            _ => stripped.extend(field.whole),
        }
    }
    Ok(stripped)
}

fn keep(message: &[u8], wanted: impl Fn(u32) -> bool) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(message.len());
    for field in Fields(message) {
        let field = field?;
        if wanted(field.number) {
            kept.extend(field.whole);
        }
    }
    Ok(kept)
}

/// The fields of a message, in their order.
struct Fields<'a>(&'a [u8]);

struct Field<'a> {
    number: u32,
    /// With its key.
    whole: &'a [u8],
    /// What is in it, if it has a length.
    payload: Option<&'a [u8]>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.read())
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Field<'a>, DecodeError> {
        let start = std::mem::take(&mut self.0);
        let mut rest = start;
        let (number, wire_type) = decode_key(&mut rest)?;
        let value = rest;
        skip_field(wire_type, number, &mut rest, DecodeContext::default())?;
        let payload = match wire_type {
            WireType::LengthDelimited => {
                let mut payload = value;
                decode_varint(&mut payload)?;
                payload.get(..payload.remaining() - rest.remaining())
            }
            _ => None,
        };
        self.0 = rest;
        Ok(Field {
            number,
            whole: &start[..start.len() - rest.len()],
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Input, compile};
    use crate::repo_path::RepoPath;
    use crate::select::{Patterns, select};
    use crate::source::SourceFiles;
    use heddle_dynamic_protobuf::descriptor::FileDescriptorSet;

    const BOOK: &str = "syntax = \"proto3\";\nimport \"google/protobuf/descriptor.proto\";\n\
                        extend google.protobuf.FieldOptions { string unit = 50000; }\n\
                        // COMMENT\nmessage Book { int32 width = 1 [(unit) = \"mm\"]; }\n";

    fn compiled(text: &str) -> Compiled {
        let sources: SourceFiles = [("book.proto".to_owned(), text.into())].into_iter().collect();
        let roots = vec![RepoPath::default()];
        let selection = select(&sources, &Patterns::parse(&[], &[]).unwrap(), &roots).unwrap();
        compile(&Input {
            sources,
            roots,
            selection,
        })
        .unwrap()
    }

    #[test]
    fn what_is_published_has_imports_and_custom_options_and_no_places() {
        let compiled = compiled(BOOK);
        let set = FileDescriptorSet::decode(&compiled.published_set()).unwrap();
        let names: Vec<_> = set.file.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["google/protobuf/descriptor.proto", "book.proto"]);
        assert!(!contains(&compiled.published_set(), b"COMMENT"));
        assert!(contains(&compiled.descriptor_set(), b"COMMENT"));
        let pool = prost_reflect::DescriptorPool::decode(compiled.published_set().as_slice()).unwrap();
        let unit = pool.get_extension_by_name("unit").unwrap();
        let width = pool.get_message_by_name("Book").unwrap().get_field(1).unwrap();
        assert_eq!(width.options().get_extension(&unit).as_str(), Some("mm"));
    }

    #[test]
    fn a_changed_comment_is_no_change_of_what_is_published() {
        let other = BOOK.replace("COMMENT", "Another comment\n// of two lines");
        assert_eq!(compiled(BOOK).published_set(), compiled(&other).published_set());
        assert_ne!(compiled(BOOK).descriptor_set(), compiled(&other).descriptor_set());
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }
}
