//! A descriptor set by names: what the rules look their elements up in.

use super::element::{Enum, Field, File, Message, Service, path_to, synthetic_oneofs};
use super::features::Features;
use super::names::{complete, joined};
use crate::descriptor::{DescriptorProto, EnumDescriptorProto, Label};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// All elements of a set; of two with one name, the first.
pub(super) struct Index<'a> {
    pub(super) files: BTreeMap<&'a str, &'a File<'a>>,
    pub(super) messages: BTreeMap<String, Message<'a>>,
    pub(super) enums: BTreeMap<String, Enum<'a>>,
    pub(super) services: BTreeMap<String, Service<'a>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(files: &'a [File<'a>]) -> Self {
        let mut index = Self {
            files: BTreeMap::new(),
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
            services: BTreeMap::new(),
        };
        for file in files {
            index.add_file(file);
        }
        index
    }

    fn add_file(&mut self, file: &'a File<'a>) {
        self.files.entry(&file.proto.name).or_insert(file);
        let mut scopes = vec![Scope::of(file)];
        while let Some(scope) = scopes.pop() {
            for (index, proto) in scope.enums.iter().enumerate() {
                self.add_enum(&scope, proto, index);
            }
            for (index, proto) in scope.messages.iter().enumerate() {
                let message = scope.message(proto, index);
                scopes.push(scope.inside(&message));
                self.messages.entry(message.full_name.clone()).or_insert(message);
            }
        }
        for (index, proto) in file.proto.service.iter().enumerate() {
            let service = Service {
                proto,
                file,
                full_name: joined(&complete(&file.proto.package), &proto.name),
                path: path_to(&[], 6, index),
            };
            self.services.entry(service.full_name.clone()).or_insert(service);
        }
    }

    fn add_enum(&mut self, scope: &Scope<'a>, proto: &'a EnumDescriptorProto, index: usize) {
        let full_name = joined(&scope.full_name, &proto.name);
        let options = &proto.options;
        let element = Enum {
            proto,
            file: scope.file,
            full_name: full_name.clone(),
            nested_name: joined(&scope.nested_name, &proto.name),
            path: path_to(&scope.path, scope.enum_list, index),
            features: scope.features.with(&options.features, &options.encoded, 7),
        };
        self.enums.entry(full_name).or_insert(element);
    }

    /// The message that a descriptor refers to by `name`.
    pub(super) fn message(&self, name: &str) -> Option<&Message<'a>> {
        self.messages.get(complete(name).as_ref())
    }

    /// The enum that a descriptor refers to by `name`.
    pub(super) fn enumeration(&self, name: &str) -> Option<&Enum<'a>> {
        self.enums.get(complete(name).as_ref())
    }

    /// All extensions, file by file.
    pub(super) fn extensions(&self) -> impl Iterator<Item = Field<'_>> {
        let outside = self.files.values().flat_map(|file| Field::extensions_of(file));
        outside.chain(self.messages.values().flat_map(Message::extensions))
    }
}

/// What declares types: a file or a message.
struct Scope<'a> {
    file: &'a File<'a>,
    full_name: String,
    nested_name: String,
    path: Vec<i32>,
    features: Features,
    /// The index of the field that has a type, for types of one repeated field.
    repeated: HashMap<Cow<'a, str>, usize>,
    messages: &'a [DescriptorProto],
    message_list: i32,
    enums: &'a [EnumDescriptorProto],
    enum_list: i32,
}

impl<'a> Scope<'a> {
    fn of(file: &'a File<'a>) -> Self {
        Self {
            file,
            full_name: complete(&file.proto.package).into_owned(),
            nested_name: String::new(),
            path: Vec::new(),
            features: file.features,
            repeated: HashMap::new(),
            messages: &file.proto.message_type,
            message_list: 4,
            enums: &file.proto.enum_type,
            enum_list: 5,
        }
    }

    fn inside(&self, message: &Message<'a>) -> Self {
        Self {
            file: self.file,
            full_name: message.full_name.clone(),
            nested_name: message.nested_name.clone(),
            path: message.path.clone(),
            features: message.features,
            repeated: repeated_types(message.proto),
            messages: &message.proto.nested_type,
            message_list: 3,
            enums: &message.proto.enum_type,
            enum_list: 4,
        }
    }

    fn message(&self, proto: &'a DescriptorProto, index: usize) -> Message<'a> {
        let full_name = joined(&self.full_name, &proto.name);
        let options = &proto.options;
        let map_type_path = options.map_entry.then(|| self.map_type_path(&full_name));
        Message {
            proto,
            file: self.file,
            nested_name: joined(&self.nested_name, &proto.name),
            path: path_to(&self.path, self.message_list, index),
            features: self.features.with(&options.features, &options.encoded, 12),
            map_type_path: map_type_path.flatten(),
            synthetic_oneofs: synthetic_oneofs(proto),
            full_name,
        }
    }

    fn map_type_path(&self, entry: &str) -> Option<Vec<i32>> {
        let mut path = path_to(&self.path, 2, *self.repeated.get(entry)?);
        path.push(6);
        Some(path)
    }
}

fn repeated_types(message: &DescriptorProto) -> HashMap<Cow<'_, str>, usize> {
    let mut types = HashMap::new();
    for (index, field) in message.field.iter().enumerate() {
        if let Some(name) = &field.type_name
            && field.label == Label::Repeated
        {
            types.entry(complete(name)).or_insert(index);
        }
    }
    types
}
