use super::*;
use heddle_dynamic_protobuf::Schema;

const SHOP: &str = r#"syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
enum Color { NONE = 0; RED = 1; BLUE = 2; }
message Line { string book = 1; int64 cents = 2; }
message Order {
  string customer = 1;
  repeated Line lines = 2;
  map<string, int32> stock = 3;
  map<int32, Line> by_number = 4;
  Color color = 5;
  bytes seal = 6;
  double weight = 7;
  repeated uint32 codes = 8;
  google.protobuf.Timestamp placed = 9;
  bool paid = 10;
}
"#;

fn schema() -> Schema {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.proto"), SHOP).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file("shop.proto").unwrap();
    Schema::from_descriptor_set(&compiler.encode_file_descriptor_set()).unwrap()
}

const ORDER: &str = r#"{
  "customer": "Ada",
  "lines": [
    {
      "book": "Looms",
      "cents": "900"
    },
    {
      "book": "Heddles"
    }
  ],
  "stock": {
    "a=b]": 7
  },
  "color": "RED",
  "placed": "2026-11-22T12:00:00Z"
}
"#;

fn order(schema: &Schema) -> Vec<u8> {
    let order = find_type(schema, "shop.Order").unwrap();
    read(order, Format::Json, ORDER.into(), "the order").unwrap()
}

#[test]
fn what_is_decoded_is_encoded_to_the_same_bytes_in_every_format() {
    let schema = schema();
    let descriptor = find_type(&schema, "Order").unwrap();
    let wire = order(&schema);
    let json = write(descriptor, Format::Json, FieldNames::Json, &wire).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), ORDER);
    for format in [Format::Json, Format::Text, Format::Binary] {
        let written = write(descriptor, format, FieldNames::Json, &wire).unwrap();
        assert_eq!(read(descriptor, format, written, "it").unwrap(), wire, "{format}");
    }
}

#[test]
fn a_path_leads_to_json() {
    let schema = schema();
    let descriptor = find_type(&schema, "Order").unwrap();
    let wire = order(&schema);
    for (path, expected) in [
        ("customer", "\"Ada\""),
        ("lines[0].cents", "\"900\""),
        ("lines[-1]", "{\"book\":\"Heddles\"}"),
        (
            "lines",
            "[{\"book\":\"Looms\",\"cents\":\"900\"},{\"book\":\"Heddles\"}]",
        ),
        ("stock", "{\"a=b]\":7}"),
        ("stock[\"a=b]\"]", "7"),
        ("color", "\"RED\""),
        ("placed", "\"2026-11-22T12:00:00Z\""),
        ("paid", "null"),
        ("stock[\"other\"]", "null"),
    ] {
        assert_eq!(get(descriptor, &wire, path).unwrap(), expected, "{path}");
    }
    let error = get(descriptor, &wire, "custmer").unwrap_err().to_string();
    assert!(error.contains("customer"), "{error}");
}

#[test]
fn what_is_set_is_what_is_read_back() {
    let schema = schema();
    let descriptor = find_type(&schema, "Order").unwrap();
    for (assignment, path, expected) in [
        ("customer=Grace Hopper", "customer", "\"Grace Hopper\""),
        ("customer=\"42\"", "customer", "\"42\""),
        ("customer=42", "customer", "\"42\""),
        ("lines[1].cents=-5", "lines[1].cents", "\"-5\""),
        ("lines[1]={\"book\": \"X\"}", "lines[1]", "{\"book\":\"X\"}"),
        ("lines=[{\"book\": \"X\"}]", "lines", "[{\"book\":\"X\"}]"),
        ("stock[\"a=b]\"]=8", "stock[\"a=b]\"]", "8"),
        ("stock={\"x\": 1, \"y\": 2}", "stock", "{\"x\":1,\"y\":2}"),
        ("by_number[7].cents=1", "by_number[7]", "{\"cents\":\"1\"}"),
        ("by_number={\"3\": {\"cents\": 4}}", "by_number[3].cents", "\"4\""),
        ("color=BLUE", "color", "\"BLUE\""),
        ("color=2", "color", "\"BLUE\""),
        ("seal=AQI=", "seal", "\"AQI=\""),
        ("weight=1.5", "weight", "1.5"),
        ("weight=NaN", "weight", "null"),
        ("weight=\"NaN\"", "weight", "\"NaN\""),
        ("codes=[1, 4294967295]", "codes[1]", "4294967295"),
        (
            "placed=2027-01-01T00:00:00Z",
            "placed",
            "\"2027-01-01T00:00:00Z\"",
        ),
        ("paid=true", "paid", "true"),
        ("customer=null", "customer", "null"),
        ("lines[0]=null", "lines", "[{\"book\":\"Heddles\"}]"),
    ] {
        let changed = set(descriptor, &order(&schema), &[assignment.to_owned()]);
        if assignment == "weight=NaN" {
            let error = changed.unwrap_err().to_string();
            assert!(error.contains("a number is expected"), "{error}");
            continue;
        }
        let changed = changed.unwrap_or_else(|error| panic!("{assignment}: {error}"));
        assert_eq!(get(descriptor, &changed, path).unwrap(), expected, "{assignment}");
    }
}

#[test]
fn a_value_that_does_not_suit_is_refused_with_what_would() {
    let schema = schema();
    let descriptor = find_type(&schema, "Order").unwrap();
    for (assignment, expected) in [
        ("customer", "write PATH=VALUE"),
        ("paid=yes", "true or false"),
        ("color=GREEN", "one of NONE, RED, BLUE"),
        ("seal=?", "base64"),
        ("codes=7", "a JSON array"),
        ("codes=[-1]", "codes"),
        ("lines[0].cents=much", "an integer"),
        ("lines[9].cents=1", "the list has"),
        ("lines[0]={\"bok\": 1}", "no such field"),
        ("placed=yesterday", "placed"),
    ] {
        let error = set(descriptor, &order(&schema), &[assignment.to_owned()]).unwrap_err();
        let text = heddle_telemetry::ErrorChain(&error).to_string();
        assert!(text.contains(expected), "{assignment}: {text}");
    }
}

#[test]
fn messages_are_compared_by_what_they_mean() {
    let schema = schema();
    let descriptor = find_type(&schema, "Order").unwrap();
    let old = order(&schema);
    assert_eq!(differences(descriptor, &old, &old).unwrap(), []);
    let changes = [
        "customer=null",
        "lines[0].cents=950",
        "lines=[{\"book\": \"Looms\", \"cents\": \"950\"}]",
        "stock[\"new\"]=1",
        "placed=2027-01-01T00:00:00Z",
    ];
    let mut new = set(descriptor, &old, &changes.map(str::to_owned)).unwrap();
    new.extend([0xf8, 0x06, 0x01]); // field 111, which the schema lacks
    let found = differences(descriptor, &old, &new).unwrap();
    let lines: Vec<_> = found
        .iter()
        .map(|difference| {
            let text = |value: &Option<String>| value.clone().unwrap_or("-".into());
            format!(
                "{}: {} {}",
                difference.path,
                text(&difference.old),
                text(&difference.new)
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "customer: \"Ada\" -",
            "lines[0].cents: \"900\" \"950\"",
            "lines[1]: {\"book\":\"Heddles\"} -",
            "stock[\"new\"]: - 1",
            "placed: \"2026-11-22T12:00:00Z\" \"2027-01-01T00:00:00Z\"",
            "111: - 0x01",
        ]
    );
}

#[test]
fn a_mistyped_name_is_answered_with_those_that_are_alike() {
    let schema = schema();
    let error = find_type(&schema, "shop.Ordr").unwrap_err().to_string();
    assert!(error.contains("did you mean shop.Order"), "{error}");
    assert!(
        !error.contains("Entry"),
        "entries of maps are nobody's message: {error}"
    );
}

#[test]
fn pretty_json_keeps_every_digit_and_every_string() {
    let check = |json: &str, expected: &str| {
        assert_eq!(String::from_utf8(pretty(json.as_bytes())).unwrap(), expected);
    };
    check("{}", "{}");
    check("[1e400,{\"a\":[]}]", "[\n  1e400,\n  {\n    \"a\": []\n  }\n]");
    check("{\"a{,\\\"\":\":[\"}", "{\n  \"a{,\\\"\": \":[\"\n}");
}
