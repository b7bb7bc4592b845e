//! The elements of a schema with what a rule needs beside their own descriptor: names, features, and where they stand.

use super::features::Features;
use super::names::{joined, undotted};
use super::source::{Position, Source};
use crate::descriptor::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, Location,
    ServiceDescriptorProto,
};

/// A file.
pub(super) struct File<'a> {
    pub(super) proto: &'a FileDescriptorProto,
    pub(super) source: Source<'a>,
    pub(super) features: Features,
}

impl<'a> File<'a> {
    /// A file of the version that places are told in.
    pub(super) fn new(proto: &'a FileDescriptorProto) -> Self {
        Self::with(proto, &proto.source_code_info)
    }

    /// A file of the version before: nothing is looked for in its source.
    pub(super) fn old(proto: &'a FileDescriptorProto) -> Self {
        Self::with(proto, &[])
    }

    fn with(proto: &'a FileDescriptorProto, locations: &'a [Location]) -> Self {
        let options = &proto.options;
        Self {
            proto,
            source: Source::new(locations),
            features: Features::of(proto.edition).with(&options.features, &options.encoded, 50),
        }
    }
}

/// A message, at any depth.
pub(super) struct Message<'a> {
    pub(super) proto: &'a DescriptorProto,
    pub(super) file: &'a File<'a>,
    /// Its name below the package.
    pub(super) nested_name: String,
    pub(super) full_name: String,
    /// Where its descriptor is in the file's.
    pub(super) path: Vec<i32>,
    pub(super) features: Features,
    /// For the entry type of a map: where the type of the map's field is, which is where people see it.
    pub(super) map_type_path: Option<Vec<i32>>,
    /// For each oneof, whether the compiler made it for one `optional` field of proto3.
    pub(super) synthetic_oneofs: Vec<bool>,
}

impl<'a> Message<'a> {
    pub(super) fn position(&self) -> Option<Position> {
        let own = self.file.source.position(&self.path);
        own.or_else(|| self.map_position())
    }

    fn map_position(&self) -> Option<Position> {
        self.file.source.position(self.map_type_path.as_deref()?)
    }

    pub(super) fn is_synthetic(&self, oneof: usize) -> bool {
        self.synthetic_oneofs.get(oneof).copied().unwrap_or_default()
    }

    /// The path of the field, enum or message at `index` of the list in field `list`.
    pub(super) fn path_to(&self, list: i32, index: usize) -> Vec<i32> {
        path_to(&self.path, list, index)
    }

    pub(super) fn fields(&'a self) -> impl Iterator<Item = Field<'a>> {
        let fields = self.proto.field.iter().enumerate();
        fields.map(|(index, proto)| Field {
            proto,
            file: self.file,
            path: self.path_to(2, index),
            scope: &self.full_name,
            features: own_features(self.features, proto),
            message: Some(self),
        })
    }

    pub(super) fn extensions(&'a self) -> impl Iterator<Item = Field<'a>> {
        let extensions = self.proto.extension.iter().enumerate();
        extensions.map(|(index, proto)| Field {
            proto,
            file: self.file,
            path: self.path_to(6, index),
            scope: &self.full_name,
            features: own_features(self.features, proto),
            message: None,
        })
    }
}

/// For each oneof of a message, whether its only member is an `optional` field of proto3.
pub(super) fn synthetic_oneofs(message: &DescriptorProto) -> Vec<bool> {
    let mut members = vec![(0_usize, false); message.oneof_decl.len()];
    for field in &message.field {
        let index = field.oneof_index.and_then(|index| usize::try_from(index).ok());
        if let Some((count, is_optional)) = index.and_then(|index| members.get_mut(index)) {
            *count += 1;
            *is_optional = field.proto3_optional;
        }
    }
    members.into_iter().map(|member| member == (1, true)).collect()
}

/// A path that goes on to element `index` of the list in field `list`.
pub(super) fn path_to(path: &[i32], list: i32, index: usize) -> Vec<i32> {
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    [path, &[list, index]].concat()
}

/// An enum, at any depth.
pub(super) struct Enum<'a> {
    pub(super) proto: &'a EnumDescriptorProto,
    pub(super) file: &'a File<'a>,
    /// Its name below the package.
    pub(super) nested_name: String,
    pub(super) full_name: String,
    /// Where its descriptor is in the file's.
    pub(super) path: Vec<i32>,
    pub(super) features: Features,
}

impl Enum<'_> {
    pub(super) fn position(&self) -> Option<Position> {
        self.file.source.position(&self.path)
    }
}

/// A service.
pub(super) struct Service<'a> {
    pub(super) proto: &'a ServiceDescriptorProto,
    pub(super) file: &'a File<'a>,
    pub(super) full_name: String,
    /// Where its descriptor is in the file's.
    pub(super) path: Vec<i32>,
}

/// A field of a message, or an extension.
pub(super) struct Field<'a> {
    pub(super) proto: &'a FieldDescriptorProto,
    pub(super) file: &'a File<'a>,
    /// Where its descriptor is in the file's.
    pub(super) path: Vec<i32>,
    /// The package or message whose names it is among.
    scope: &'a str,
    pub(super) features: Features,
    /// The message it is a field of; extensions are of a message that may be anywhere.
    pub(super) message: Option<&'a Message<'a>>,
}

impl<'a> Field<'a> {
    /// The extensions that a file declares outside of messages.
    pub(super) fn extensions_of(file: &'a File<'a>) -> impl Iterator<Item = Self> {
        let extensions = file.proto.extension.iter().enumerate();
        extensions.map(move |(index, proto)| Self {
            proto,
            file,
            path: path_to(&[], 7, index),
            scope: &file.proto.package,
            features: own_features(file.features, proto),
            message: None,
        })
    }

    pub(super) fn is_extension(&self) -> bool {
        self.message.is_none()
    }

    pub(super) fn full_name(&self) -> String {
        joined(self.scope, &self.proto.name)
    }

    /// Its name below the package.
    pub(super) fn nested_name(&self) -> String {
        let package = &self.file.proto.package;
        let scope = self.scope.strip_prefix(package.as_str()).unwrap_or(self.scope);
        joined(undotted(scope), &self.proto.name)
    }

    /// Its name in JSON: as the compiler wrote it down, or as it would have.
    pub(super) fn json_name(&self) -> String {
        let written = self.proto.json_name.clone();
        written.unwrap_or_else(|| lower_camel_case(&self.proto.name))
    }

    /// The field as a sentence begins with it.
    pub(super) fn description(&self) -> String {
        let (name, number) = (self.full_name(), self.proto.number);
        match &self.proto.extendee {
            Some(extendee) if self.is_extension() => {
                format!("extension `{name}` (number {number} of `{}`)", undotted(extendee))
            }
            _ => format!("field `{name}` (number {number})"),
        }
    }

    pub(super) fn is_in_map_entry(&self) -> bool {
        self.message
            .is_some_and(|message| message.proto.options.map_entry)
    }

    /// Whether the oneof it is in was written by a person, with its name.
    pub(super) fn oneof(&self) -> Option<&'a str> {
        let index = usize::try_from(self.proto.oneof_index?).ok()?;
        let message = self.message?;
        let oneof = message.proto.oneof_decl.get(index)?;
        (!message.is_synthetic(index)).then_some(oneof.name.as_str())
    }

    pub(super) fn position(&self) -> Option<Position> {
        let own = self.file.source.position(&self.path);
        own.or_else(|| self.message?.map_position())
    }

    /// The position of the field's name, or of the field.
    pub(super) fn name_position(&self) -> Option<Position> {
        self.inner_position(&[1]).or_else(|| self.position())
    }

    /// The position of the field's type; of a scalar's, when `is_named` is not set.
    pub(super) fn type_position(&self, is_named: bool) -> Option<Position> {
        let own = self.inner_position(&[if is_named { 6 } else { 5 }]);
        own.or_else(|| self.message?.map_position())
    }

    /// The position of a part of the field that its descriptor has at `inside`.
    pub(super) fn inner_position(&self, inside: &[i32]) -> Option<Position> {
        self.file
            .source
            .position(&[self.path.as_slice(), inside].concat())
    }

    /// The position of a feature that the field states.
    pub(super) fn feature_position(&self, inside: &[i32]) -> Option<Position> {
        let features = [self.path.as_slice(), &[8, 21]].concat();
        self.file.source.option_position(&features, inside)
    }
}

/// The name that a field has in JSON unless the schema gives it another.
fn lower_camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_after_underscore = false;
    for letter in name.chars() {
        match letter {
            '_' => is_after_underscore = true,
            letter if is_after_underscore => {
                camel.push(letter.to_ascii_uppercase());
                is_after_underscore = false;
            }
            letter => camel.push(letter),
        }
    }
    camel
}

fn own_features(inherited: Features, proto: &FieldDescriptorProto) -> Features {
    inherited.with(&proto.options.features, &proto.options.encoded, 21)
}
