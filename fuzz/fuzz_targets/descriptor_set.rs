//! Any bytes as a descriptor set: an error or a schema that can be walked, in memory in proportion to the input.
#![no_main]

use heddle_dynamic_protobuf::Schema;
use heddle_fuzz::within_memory;
use libfuzzer_sys::fuzz_target;
use std::hint::black_box;

/// A byte of input may become so many bytes of tables: an empty message takes two bytes on the wire.
const FACTOR: u64 = 1_000;
/// Tables and errors of the smallest inputs.
const BASE: u64 = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    match within_memory(bytes.len(), FACTOR, BASE, || Schema::from_descriptor_set(bytes)) {
        Ok(schema) => walk(&schema),
        Err(errors) => {
            assert!(errors.count() > 0);
            black_box(errors.to_string());
        }
    }
});

/// Follows every reference once, and finds everything again by name and number.
fn walk(schema: &Schema) {
    for message in schema.messages() {
        assert_eq!(schema.message(message.full_name()), Some(message));
        black_box((message.parent(), message.file().name(), message.name()));
        for field in message.fields() {
            assert_eq!(message.field(field.number()), Some(field));
            assert!(field.message().is_some() == field.kind().is_message());
            assert!(!field.is_map() || field.map_key().is_some() && field.map_value().is_some());
            if field.is_extension() {
                assert_eq!(schema.extension(field.full_name()), Some(field));
            } else {
                assert_eq!(message.field_named(field.name()), Some(field));
            }
            assert!(message.field_spelled(field.json_name()).is_some());
            black_box((field.enumeration(), field.oneof(), field.has_default()));
        }
        for oneof in message.oneofs() {
            assert!(oneof.fields().all(|field| field.oneof() == Some(oneof)));
        }
    }
    for enumeration in schema.enumerations() {
        assert_eq!(schema.enumeration(enumeration.full_name()), Some(enumeration));
        for value in enumeration.values() {
            assert_eq!(enumeration.value_named(value.name()), Some(value));
            assert!(enumeration.value(value.number()).is_some());
        }
    }
    for service in schema.services() {
        assert_eq!(schema.service(service.full_name()), Some(service));
        for method in service.methods() {
            black_box((method.input(), method.output()));
        }
    }
}
