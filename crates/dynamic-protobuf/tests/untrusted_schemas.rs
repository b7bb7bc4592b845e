//! Descriptor sets that somebody made to cost us time or memory.

use heddle_dynamic_protobuf::Schema;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use std::time::{Duration, Instant};

/// More memory for a byte of input than this is an amplification that an attacker would use.
const BYTES_PER_BYTE: u64 = 1_000;
/// A set of a megabyte takes milliseconds; minutes would be an attack. Debug builds on busy machines are slow.
const PATIENCE: Duration = Duration::from_secs(10);

fn file(message_type: Vec<DescriptorProto>) -> Vec<u8> {
    let file = FileDescriptorProto {
        name: Some("a.proto".to_owned()),
        syntax: Some("proto2".to_owned()),
        message_type,
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

fn message(name: &str) -> DescriptorProto {
    DescriptorProto {
        name: Some(name.to_owned()),
        ..DescriptorProto::default()
    }
}

fn field(name: &str, number: i32) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional as i32),
        r#type: Some(Type::Int32 as i32),
        ..FieldDescriptorProto::default()
    }
}

/// Compiles the set, whatever comes of it, within bounds of time and memory.
#[track_caller]
fn assert_bounded(set: &[u8]) {
    let started = Instant::now();
    let used = allocation_counter::measure(|| drop(Schema::from_descriptor_set(set)));
    let allowed = BYTES_PER_BYTE * set.len() as u64 + (64 << 10);
    assert!(
        used.bytes_max <= allowed,
        "{} bytes of schema took {} bytes of memory",
        set.len(),
        used.bytes_max
    );
    assert!(
        started.elapsed() < PATIENCE,
        "{} bytes of schema took {:?}",
        set.len(),
        started.elapsed()
    );
}

#[test]
fn many_empty_messages_take_memory_in_proportion() {
    assert_bounded(&file(vec![DescriptorProto::default(); 100_000]));
}

#[test]
fn a_long_name_around_many_short_ones_is_not_repeated_in_each() {
    let mut outer = message(&"a".repeat(200_000));
    outer.nested_type = (0..20_000).map(|index| message(&format!("m{index}"))).collect();
    assert_bounded(&file(vec![outer]));
}

#[test]
fn long_names_nested_a_hundred_deep_do_not_multiply() {
    let mut innermost = message("leaf");
    for _ in 0..90 {
        let mut outer = message(&"b".repeat(10_000));
        outer.nested_type = vec![innermost; 1];
        innermost = outer;
    }
    assert_bounded(&file(vec![innermost]));
}

#[test]
fn a_long_package_is_not_repeated_in_every_field() {
    let mut fields = message("M");
    fields.field = (1..10_000)
        .map(|number| field(&format!("f{number}"), number))
        .collect();
    let file = FileDescriptorProto {
        name: Some("a.proto".to_owned()),
        package: Some("c".repeat(300_000)),
        message_type: vec![fields],
        ..FileDescriptorProto::default()
    };
    assert_bounded(&FileDescriptorSet { file: vec![file] }.encode_to_vec());
}

#[test]
fn references_that_name_nothing_are_refused_in_time_however_deep_the_scope() {
    let mut innermost = message("leaf");
    innermost.field = (1..5_000)
        .map(|number| FieldDescriptorProto {
            r#type: None,
            type_name: Some("x".repeat(50)),
            ..field(&format!("f{number}"), number)
        })
        .collect();
    for _ in 0..90 {
        let mut outer = message(&"d".repeat(500));
        outer.nested_type = vec![innermost; 1];
        innermost = outer;
    }
    assert_bounded(&file(vec![innermost]));
}

#[test]
fn a_long_path_is_not_repeated_in_the_error_about_every_import() {
    let file = FileDescriptorProto {
        name: Some("p".repeat(100_000)),
        dependency: (0..50_000).map(|index| index.to_string()).collect(),
        ..FileDescriptorProto::default()
    };
    assert_bounded(&FileDescriptorSet { file: vec![file] }.encode_to_vec());
}

#[test]
fn field_numbers_that_are_far_apart_do_not_make_a_sparse_table_large() {
    let mut sparse = message("M");
    sparse.field = (1..5_000)
        .map(|index| field(&format!("f{index}"), index * 100_000))
        .collect();
    assert_bounded(&file(vec![sparse]));
}
