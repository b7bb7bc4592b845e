//! Both directions against what ProtoJSON says and against prost-reflect.

use super::*;
use crate::Schema;

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

const PROTO3: &str = r#"
syntax = "proto3";
package t;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Colour { COLOUR_NONE = 0; COLOUR_RED = 1; COLOUR_BLUE = 5; }

message All {
  int32 i32 = 1; int64 i64 = 2; uint32 u32 = 3; uint64 u64 = 4; sint32 s32 = 5; sint64 s64 = 6;
  fixed32 f32 = 7; fixed64 f64 = 8; sfixed32 sf32 = 9; sfixed64 sf64 = 10;
  float single = 11; double twice = 12; bool yes = 13; string text = 14; bytes raw = 15; Colour colour = 16;
  All child = 17;
  repeated int32 many_i32 = 18; repeated string many_text = 19; repeated All many_child = 20;
  repeated Colour many_colour = 21; repeated double many_double = 22 [packed = false];
  map<string, string> text_map = 23; map<int32, All> child_map = 24; map<bool, Colour> colour_map = 25;
  map<uint64, bytes> raw_map = 26;
  oneof choice { string a = 27; All b = 28; int32 c = 29; google.protobuf.NullValue d = 30; }
  optional int32 maybe = 31;
  optional string maybe_text = 32 [json_name = "odd \"name\""];
  google.protobuf.Any any = 40; google.protobuf.Timestamp time = 41; google.protobuf.Duration span = 42;
  google.protobuf.Struct structure = 43; google.protobuf.Value value = 44; google.protobuf.ListValue list = 45;
  google.protobuf.FieldMask mask = 46; google.protobuf.Empty empty = 47;
  google.protobuf.BoolValue bool_value = 48; google.protobuf.Int64Value int64_value = 49;
  google.protobuf.StringValue string_value = 50; google.protobuf.BytesValue bytes_value = 51;
  google.protobuf.DoubleValue double_value = 52; google.protobuf.UInt32Value uint32_value = 53;
  google.protobuf.FloatValue float_value = 54;
  repeated google.protobuf.Value many_value = 55; map<string, google.protobuf.Value> value_map = 56;
  repeated google.protobuf.Any many_any = 57; repeated google.protobuf.Timestamp many_time = 58;
}
"#;

const PROTO2: &str = r#"
syntax = "proto2";
package t2;

enum Closed { ONE = 1; TWO = 2; }

message Old {
  optional Closed closed = 1;
  repeated Closed many_closed = 2;
  repeated Closed packed_closed = 3 [packed = true];
  map<string, Closed> closed_map = 4;
  optional group Inner = 5 { optional int32 number = 1; optional Inner inner = 2; }
  repeated group Item = 6 { optional string name = 1; }
  oneof choice { Closed chosen = 7; string other = 8; }
  optional int32 number = 9 [default = 7];
  optional Set set = 10;
  extensions 100 to 200;
}

message Set {
  option message_set_wire_format = true;
  extensions 4 to max;
}

message Extra {
  extend Set { optional Extra in_set = 1547769; }
  optional string text = 1;
}

extend Old {
  optional string note = 100;
  repeated Extra extras = 101;
  repeated Closed levels = 102;
}
"#;

struct Sources;

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "three.proto" => File::from_source(name, PROTO3),
            "two.proto" => File::from_source(name, PROTO2),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn pool() -> DescriptorPool {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources);
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_files(["three.proto", "two.proto"]).unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn schema() -> Schema {
    Schema::from_pool(&pool()).unwrap()
}

fn print_with(options: PrintOptions, schema: &Schema, name: &str, wire: &[u8]) -> Result<String, JsonError> {
    let mut out = b"before".to_vec();
    let result = JsonPrinter::new(options).print(schema.message(name).unwrap(), wire, &mut out);
    assert!(out.starts_with(b"before"));
    if result.is_err() {
        assert_eq!(out, b"before");
    }
    result.map(|()| String::from_utf8(out[6..].to_vec()).unwrap())
}

fn print(schema: &Schema, name: &str, wire: &[u8]) -> Result<String, JsonError> {
    print_with(PrintOptions::default(), schema, name, wire)
}

fn parse_with(options: ParseOptions, schema: &Schema, name: &str, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut out = b"before".to_vec();
    let result = JsonParser::new(options).parse(schema.message(name).unwrap(), text, &mut out);
    assert!(out.starts_with(b"before"));
    if result.is_err() {
        assert_eq!(out, b"before");
    }
    result.map(|()| out[6..].to_vec())
}

fn parse(schema: &Schema, name: &str, text: &str) -> Result<Vec<u8>, JsonError> {
    parse_with(ParseOptions::default(), schema, name, text.as_bytes())
}

/// Reads text and writes it again.
fn round_trip(schema: &Schema, name: &str, text: &str) -> String {
    let wire = parse(schema, name, text).unwrap_or_else(|error| panic!("{error}: {text}"));
    print(schema, name, &wire).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn refused(schema: &Schema, name: &str, text: &str) -> JsonErrorKind {
    parse(schema, name, text).expect_err(text).kind()
}

#[test]
fn canonical_text_survives_the_round_trip() {
    let schema = schema();
    for text in [
        r#"{}"#,
        r#"{"i32":-5,"i64":"-9223372036854775808","u32":4294967295,"u64":"18446744073709551615"}"#,
        r#"{"s32":-2147483648,"s64":"-1","f32":7,"f64":"8","sf32":-9,"sf64":"-10"}"#,
        r#"{"single":1.5,"twice":-0.1,"yes":true,"text":"é\"\\\n\u0001/😀","raw":"AAEC/w==","colour":"COLOUR_BLUE"}"#,
        r#"{"single":"NaN","twice":"-Infinity"}"#,
        r#"{"colour":77}"#,
        r#"{"child":{"child":{"text":"deep"}}}"#,
        r#"{"manyI32":[1,0,-1],"manyText":["","a"],"manyChild":[{},{"i32":1}],"manyColour":["COLOUR_RED",9]}"#,
        r#"{"manyDouble":[1,2.5,1e+100]}"#,
        r#"{"textMap":{"":"","k":"v"},"childMap":{"-1":{},"2":{"i32":1}},"colourMap":{"false":"COLOUR_NONE"}}"#,
        r#"{"rawMap":{"18446744073709551615":"AA=="}}"#,
        r#"{"a":""}"#,
        r#"{"b":{}}"#,
        r#"{"c":0}"#,
        r#"{"d":null}"#,
        r#"{"maybe":0,"odd \"name\"":""}"#,
        r#"{"time":"2024-02-29T12:34:56.000000001Z","span":"-1.500s"}"#,
        r#"{"structure":{"a":[1,"x",null,true,{}],"b":{"c":[]}},"value":null,"list":[[],{},-1.5]}"#,
        r#"{"mask":"fooBar,baz.quxQuux","empty":{}}"#,
        r#"{"boolValue":false,"int64Value":"0","stringValue":"","bytesValue":"","doubleValue":0,"uint32Value":0}"#,
        r#"{"any":{"@type":"type.googleapis.com/t.All","i32":1}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Any","value":{"@type":"x/google.protobuf.Value","value":[1]}}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Empty","value":{}}}"#,
        r#"{"manyValue":[null,1,"a"],"valueMap":{"x":null}}"#,
    ] {
        assert_eq!(round_trip(&schema, "t.All", text), text);
    }
}

#[test]
fn old_messages_survive_the_round_trip() {
    let schema = schema();
    for text in [
        r#"{"closed":"TWO","manyClosed":["ONE"],"packedClosed":["TWO","ONE"],"closedMap":{"a":"ONE"}}"#,
        r#"{"inner":{"number":1,"inner":{}},"item":[{"name":"a"},{}]}"#,
        r#"{"number":0,"[t2.note]":"n","[t2.extras]":[{"text":"a"},{}]}"#,
        r#"{"set":{"[t2.Extra.in_set]":{"text":"a"}}}"#,
    ] {
        assert_eq!(round_trip(&schema, "t2.Old", text), text);
    }
}

#[test]
fn strings_of_each_length_are_written_as_serde_json_writes_them_whatever_stands_where() {
    let schema = schema();
    for length in 0..=26 {
        for odd in ["b", "\"", "\\", "\n", "\u{1f}", "\u{7f}", "é", "😀"] {
            for at in 0..length.max(1) {
                let mut text = "a".repeat(length);
                text.insert_str(at, odd);
                let mut wire = vec![0x72, text.len() as u8];
                wire.extend_from_slice(text.as_bytes());
                let mut expected = format!("{{\"text\":{}}}", serde_json::to_string(&text).unwrap());
                assert_eq!(print(&schema, "t.All", &wire).unwrap(), expected);
                // The same with the wire going on.
                wire.extend_from_slice(b"\x7a\x0c\xff\"\\\x00\xff\"\\\x00\xff\"\\\x00");
                expected.truncate(expected.len() - 1);
                expected.push_str(r#","raw":"/yJcAP8iXAD/IlwA"}"#);
                assert_eq!(print(&schema, "t.All", &wire).unwrap(), expected);
            }
        }
    }
}

mod chunks;
mod differential;
mod refusals;
