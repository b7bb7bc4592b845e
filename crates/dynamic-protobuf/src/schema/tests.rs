//! Schemas that are right, and all that can be wrong with one.

use crate::descriptor::{
    DescriptorProto, Edition, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FieldType,
    FileDescriptorProto, FileDescriptorSet, Label, NumberRange, OneofDescriptorProto,
};
use crate::{Kind, Schema, SchemaCell, SchemaErrorKind};

fn compiled(text: &str) -> Schema {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("t.proto"), text).unwrap();
    let set = protox::compile(["t.proto"], [directory.path()]).unwrap();
    Schema::from_descriptor_set(&prost_reflect::prost::Message::encode_to_vec(&set)).unwrap()
}

fn field(name: &str, number: i32, r#type: FieldType) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: name.into(),
        number,
        r#type: Some(r#type),
        ..FieldDescriptorProto::default()
    }
}

fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto {
        name: name.into(),
        field,
        ..DescriptorProto::default()
    }
}

fn file(message_type: Vec<DescriptorProto>) -> FileDescriptorProto {
    FileDescriptorProto {
        name: "t.proto".into(),
        package: "t".into(),
        message_type,
        edition: Edition::Edition2023,
        ..FileDescriptorProto::default()
    }
}

fn errors(file: FileDescriptorProto) -> Vec<String> {
    let errors = Schema::from_files(FileDescriptorSet { file: vec![file] }).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn fields_know_their_presence_packing_and_defaults_by_syntax() {
    let two = compiled(
        r#"syntax = "proto2"; package t;
        enum E { FIRST = 3; }
        message M { optional int32 a = 1 [default = -7]; repeated int32 b = 2; optional E e = 3; optional group G = 4 { optional bytes y = 1 [default = "\001x"]; } extensions 100 to 200; }
        extend M { optional string ext = 150; }"#,
    );
    let m = two.message("t.M").unwrap();
    let by_name = |name| m.field_named(name).unwrap();
    assert!(by_name("a").has_presence() && by_name("a").has_default());
    assert!(!by_name("b").is_packed() && by_name("b").is_list());
    assert!(by_name("e").enumeration().unwrap().is_closed());
    assert_eq!(by_name("g").kind(), Kind::Group);
    assert_eq!(m.field(150).unwrap().json_name(), "[t.ext]");
    assert_eq!(m.field_named("[t.ext]"), two.extension("t.ext"));
    let three = compiled(
        r#"syntax = "proto3"; package t;
        message M { int32 a = 1; repeated int32 b = 2; optional int32 c = 3; oneof o { int32 d = 4; } map<string, M> m = 5; string snake_case = 6; }"#,
    );
    let m = three.message("t.M").unwrap();
    let by_name = |name| m.field_named(name).unwrap();
    assert!(!by_name("a").has_presence() && by_name("c").has_presence() && by_name("d").has_presence());
    assert!(by_name("b").is_packed());
    assert_eq!(m.oneofs().count(), 1, "that of an optional field is none");
    assert!(by_name("c").oneof().is_none() && by_name("d").oneof().is_some());
    assert_eq!(by_name("m").map_value().unwrap().message(), Some(m));
    assert_eq!(m.field_spelled("snakeCase"), m.field_named("snake_case"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_the_place() {
    let mut extendable = message("Extendable", vec![]);
    extendable.extension_range = vec![NumberRange { start: 10, end: 20 }];
    let mut unknown_type = field("unknown_type", 4, FieldType::Message);
    unknown_type.type_name = Some(".t.Nowhere".into());
    let mut bad_default = field("bad_default", 5, FieldType::Int32);
    bad_default.default_value = Some("many".into());
    let mut lost = field("lost", 6, FieldType::Int32);
    lost.oneof_index = Some(3);
    let mut extension = field("outside", 30, FieldType::Int32);
    extension.extendee = Some(".t.Extendable".into());
    let mut typeless = field("typeless", 7, FieldType::Int32);
    typeless.r#type = None;
    let fields = vec![
        field("one", 1, FieldType::Int32),
        field("other", 1, FieldType::Int32),
        field("zero", 0, FieldType::Int32),
        field("9lives", 3, FieldType::Int32),
        field("kept", 19_500, FieldType::Int32),
        unknown_type,
        bad_default,
        lost,
        typeless,
    ];
    let mut wrong = file(vec![message("M", fields), message("M", vec![]), extendable]);
    wrong.dependency.push("missing.proto".into());
    wrong.extension.push(extension);
    wrong.enum_type.push(EnumDescriptorProto {
        name: "Empty".into(),
        ..EnumDescriptorProto::default()
    });
    let value = EnumValueDescriptorProto {
        name: "ONE".into(),
        number: 1,
        ..EnumValueDescriptorProto::default()
    };
    wrong.enum_type.push(EnumDescriptorProto {
        name: "Open".into(),
        value: vec![value],
        ..EnumDescriptorProto::default()
    });
    let found = errors(wrong);
    for expected in [
        "t.proto: it imports \"missing.proto\", which is not in the set",
        "t.proto: t.M: the name is already taken in \"t.proto\"",
        "t.proto: t.M.other: its number 1 belongs to \"t.M.one\" already",
        "t.proto: t.M.zero: its number 0 is not between",
        "t.proto: t.M.9lives: its name \"9lives\" is not an identifier",
        "t.proto: t.M.kept: its number 19500 is not between",
        "t.proto: t.M.unknown_type: its type \".t.Nowhere\" is not in the set",
        "t.proto: t.M.bad_default: its default value \"many\" is not one of its type",
        "t.proto: t.M.lost: it belongs to a oneof that does not exist",
        "t.proto: t.M.typeless: it has no type",
        "t.proto: t.outside: \"t.Extendable\" has no extension range with number 30",
        "t.proto: t.Empty: an enum needs at least one value",
        "t.proto: t.Open: the first value of an open enum must be 0",
    ] {
        assert!(
            found.iter().any(|error| error.starts_with(expected)),
            "{expected} is not in {found:#?}"
        );
    }
}

#[test]
fn a_map_entry_without_a_proper_key_is_refused() {
    let mut entry = message(
        "Entry",
        vec![
            field("key", 1, FieldType::Double),
            field("value", 2, FieldType::Int32),
        ],
    );
    entry.options.map_entry = true;
    let mut map = field("map", 1, FieldType::Message);
    map.type_name = Some("Entry".into());
    map.label = Label::Repeated;
    let mut outer = message("M", vec![map]);
    outer.nested_type.push(entry);
    let found = errors(file(vec![outer]));
    assert!(
        found
            .iter()
            .any(|error| error.starts_with("t.proto: t.M.map: its map entry type needs a key")),
        "{found:?}"
    );
}

#[test]
fn a_repeated_field_in_a_oneof_is_refused() {
    let mut many = field("many", 1, FieldType::Int32);
    many.label = Label::Repeated;
    many.oneof_index = Some(0);
    let mut outer = message("M", vec![many]);
    outer.oneof_decl.push(OneofDescriptorProto {
        name: "o".into(),
        ..OneofDescriptorProto::default()
    });
    assert_eq!(
        errors(file(vec![outer])),
        ["t.proto: t.M.many: a repeated or required field cannot be in a oneof"]
    );
}

#[test]
fn bytes_that_are_no_descriptor_set_are_an_error_with_an_offset() {
    let errors = Schema::from_descriptor_set(b"\x0a\x05\x0a\x03ab").unwrap_err();
    let kinds: Vec<_> = errors.iter().map(|error| &error.kind).collect();
    assert!(matches!(kinds[..], [SchemaErrorKind::Decode(_)]), "{errors}");
    assert!(errors.to_string().contains("at byte"), "{errors}");
}

#[test]
fn equal_copies_of_a_file_are_one_and_different_ones_are_refused() {
    let one = file(vec![message("M", vec![])]);
    let two = file(vec![message("N", vec![])]);
    assert!(
        Schema::from_files(FileDescriptorSet {
            file: vec![one.clone(), one.clone()]
        })
        .is_ok()
    );
    assert!(Schema::from_files(FileDescriptorSet { file: vec![one, two] }).is_err());
}

#[test]
fn who_has_loaded_a_schema_keeps_it_while_it_is_swapped_under_load() {
    let cell = SchemaCell::new(compiled(r#"syntax = "proto3"; message M { int32 one = 1; }"#));
    let kept = cell.load();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let schema = cell.load();
                    let fields = schema.message("M").map(|message| message.fields().len());
                    assert!(matches!(fields, Some(1 | 2)));
                }
            });
        }
        for fields in ["int32 one = 1; int32 two = 2;", "int32 one = 1;"].repeat(10) {
            cell.swap(compiled(&format!(
                r#"syntax = "proto3"; message M {{ {fields} }}"#
            )));
        }
    });
    assert_eq!(kept.message("M").unwrap().fields().len(), 1);
}
