//! Random wire bytes, with fields split, repeated and out of order, against decode-then-print of prost-reflect.

use super::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

/// A generator of its own keeps cases the same for a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn number(&mut self) -> u64 {
        match self.below(5) {
            0 => 0,
            1 => 1,
            2 => self.below(300),
            3 => self.next(),
            _ => (-(self.below(300) as i64)) as u64,
        }
    }
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    prost::encoding::encode_varint(u64::from(number << 3 | wire_type), out);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A message of this type in random records.
fn message(random: &mut Random, descriptor: &MessageDescriptor, depth: u32) -> Vec<u8> {
    let mut out = Vec::new();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            for _ in 0..random.below(3) {
                put_tag(&mut out, 1, 0);
                prost::encoding::encode_varint(random.below(1 << 31), &mut out);
                put_tag(&mut out, 2, 0);
                prost::encoding::encode_varint(random.below(1_000_000) * random.below(1_000), &mut out);
            }
        }
        "google.protobuf.FieldMask" => {
            for _ in 0..random.below(3) {
                put_tag(&mut out, 1, 2);
                put_bytes(
                    &mut out,
                    [&b"foo_bar.baz"[..], b"a", b"x_y_z"][random.below(3) as usize],
                );
            }
        }
        "google.protobuf.Any" => {
            put_tag(&mut out, 1, 2);
            put_bytes(&mut out, b"x/t.All");
            let all = descriptor.parent_pool().get_message_by_name("t.All").unwrap();
            put_tag(&mut out, 2, 2);
            let value = message(random, &all, depth + 2);
            put_bytes(&mut out, &value);
        }
        "google.protobuf.Value" => {
            for _ in 0..1 + random.below(2) {
                let member = match depth {
                    0..4 => 1 + random.below(6),
                    _ => 1 + random.below(4),
                };
                value_member(random, &mut out, descriptor, member as u32, depth);
            }
        }
        _ => {
            let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
            let most = if depth == 0 { 12 } else { 5 };
            for _ in 0..if fields.is_empty() { 0 } else { random.below(most) } {
                let field = &fields[random.below(fields.len() as u64) as usize];
                record(random, &mut out, field, depth);
                if random.one_in(20) {
                    put_tag(&mut out, 999, 2);
                    put_bytes(&mut out, b"unknown");
                }
            }
        }
    }
    out
}

fn value_member(random: &mut Random, out: &mut Vec<u8>, value: &MessageDescriptor, member: u32, depth: u32) {
    let field = value.get_field(member).unwrap();
    match member {
        1 => out.extend_from_slice(&[0x08, 0]),
        2 => {
            out.push(0x11);
            out.extend_from_slice(&(random.below(1000) as f64 / 8.0).to_le_bytes());
        }
        _ => record(random, out, &field, depth),
    }
}

/// One record of a field, or several of a list or map.
fn record(random: &mut Random, out: &mut Vec<u8>, field: &FieldDescriptor, depth: u32) {
    let kind = field.kind();
    // A Value always has a kind, and those deep down are scalars.
    if depth > 6 && matches!(&kind, Kind::Message(message) if message.full_name() != "google.protobuf.Value")
    {
        return;
    }
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        for _ in 0..random.below(3) {
            let mut body = Vec::new();
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let backwards = random.one_in(8);
            // A Value must not be missing.
            let whole = matches!(value.kind(), Kind::Message(_));
            if backwards {
                record(random, &mut body, &value, depth + 1);
            }
            if whole || !random.one_in(6) {
                record(random, &mut body, &key, depth + 1);
            }
            if !backwards && (whole || !random.one_in(6)) {
                for _ in 0..1 + u64::from(random.one_in(10)) {
                    record(random, &mut body, &value, depth.saturating_sub(1).max(1));
                }
            }
            if whole && body.is_empty() {
                continue;
            }
            put_tag(out, field.number(), 2);
            put_bytes(out, &body);
        }
        return;
    }
    let packable = field.is_list() && !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_));
    if packable && random.one_in(2) {
        let mut body = Vec::new();
        for _ in 0..random.below(4) {
            bare(random, &mut body, &kind, depth);
        }
        put_tag(out, field.number(), 2);
        put_bytes(out, &body);
        return;
    }
    for _ in 0..if field.is_list() { random.below(4) } else { 1 } {
        if let (true, Kind::Message(group)) = (field.is_group(), &kind) {
            // A group has no length.
            put_tag(out, field.number(), 3);
            out.extend(message(random, group, depth + 1));
            put_tag(out, field.number(), 4);
        } else {
            put_tag(out, field.number(), wire_type(&kind));
            bare(random, out, &kind, depth);
        }
    }
}

fn wire_type(kind: &Kind) -> u32 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => 1,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => 5,
        Kind::String | Kind::Bytes | Kind::Message(_) => 2,
        _ => 0,
    }
}

/// A value without its tag.
fn bare(random: &mut Random, out: &mut Vec<u8>, kind: &Kind, depth: u32) {
    match kind {
        // prost-reflect writes floats as doubles, and NaN in a wrapper as null: eighths are the same to both.
        Kind::Double => out.extend_from_slice(&((random.number() as i32) as f64 / 8.0).to_le_bytes()),
        Kind::Float => out.extend_from_slice(&((random.number() as i16) as f32 / 8.0).to_le_bytes()),
        Kind::Fixed64 | Kind::Sfixed64 => out.extend_from_slice(&random.number().to_le_bytes()),
        Kind::Fixed32 | Kind::Sfixed32 => out.extend_from_slice(&(random.number() as u32).to_le_bytes()),
        Kind::Bool => out.push(random.below(2) as u8),
        Kind::Enum(descriptor) => {
            let values: Vec<_> = descriptor.values().collect();
            let value = values[random.below(values.len() as u64) as usize].number();
            prost::encoding::encode_varint(value as u64, out);
        }
        Kind::String => {
            let text = [
                "",
                "a",
                "é\u{1}\"",
                "twenty characters, or more of them",
                "\\\n😀",
            ];
            put_bytes(out, text[random.below(5) as usize].as_bytes());
        }
        Kind::Bytes => {
            let bytes: Vec<u8> = (0..random.below(6)).map(|_| random.next() as u8).collect();
            put_bytes(out, &bytes);
        }
        Kind::Message(descriptor) => {
            let body = message(random, descriptor, depth + 1);
            put_bytes(out, &body);
        }
        _ => prost::encoding::encode_varint(random.number(), out),
    }
}

/// `1` and `1.0` are the same to JSON, and not to serde_json.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(values) => values.into_iter().map(normal).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, normal(value)))
            .collect(),
        other => other,
    }
}

fn check(name: &str, seeds: std::ops::Range<u64>, zeros: ZeroFields) {
    let pool = pool();
    let schema = Schema::from_pool(&pool).unwrap();
    let descriptor = pool.get_message_by_name(name).unwrap();
    let options = prost_reflect::SerializeOptions::new().skip_default_fields(zeros == ZeroFields::Omit);
    for seed in seeds {
        let wire = message(&mut Random(seed + 1), &descriptor, 0);
        let decoded = DynamicMessage::decode(descriptor.clone(), wire.as_slice()).unwrap();
        let printing = PrintOptions {
            zeros,
            ..PrintOptions::default()
        };
        let ours =
            print_with(printing, &schema, name, &wire).unwrap_or_else(|error| panic!("{seed}: {error}"));
        let theirs = decoded
            .serialize_with_options(serde_json::value::Serializer, &options)
            .unwrap_or_else(|error| panic!("{seed}: {error}"));
        let ours_read: Value =
            serde_json::from_str(&ours).unwrap_or_else(|error| panic!("{seed}: {error}: {ours}"));
        assert_eq!(normal(ours_read), normal(theirs), "{seed}: {wire:02x?}");
        let back = parse(&schema, name, &ours).unwrap_or_else(|error| panic!("{seed}: {error}: {ours}"));
        if zeros == ZeroFields::Omit {
            let again = DynamicMessage::decode(descriptor.clone(), back.as_slice()).unwrap();
            let printed = print(&schema, name, &again.encode_to_vec()).unwrap();
            let printed: Value = serde_json::from_str(&printed).unwrap();
            let ours_read: Value = serde_json::from_str(&ours).unwrap();
            assert_eq!(printed, ours_read, "{seed}");
        }
    }
}

#[test]
fn disorderly_messages_print_as_if_they_were_decoded_first() {
    check("t.All", 0..1500, ZeroFields::Omit);
}

#[test]
fn zero_fields_are_shown_as_prost_reflect_shows_them() {
    check("t.All", 4000..4500, ZeroFields::Show);
}

#[test]
fn disorderly_proto2_messages_print_as_if_they_were_decoded_first() {
    check("t2.Old", 0..1000, ZeroFields::Omit);
}

/// Pushes `wire` in chunks of random size.
fn print_in_chunks(
    random: &mut Random,
    schema: &Schema,
    name: &str,
    wire: &[u8],
    hold: usize,
    zeros: ZeroFields,
) -> Result<String, JsonError> {
    let options = PrintOptions {
        zeros,
        ..PrintOptions::default()
    };
    let mut printer =
        ChunkedJsonPrinter::new(schema.message(name).unwrap(), options).hold_messages_up_to(hold);
    let (mut all, mut out) = (Vec::new(), Vec::new());
    let most = [1, 2, 10, 100][random.below(4) as usize];
    let mut rest = wire;
    while !rest.is_empty() {
        let (chunk, others) = rest.split_at((1 + random.below(most) as usize).min(rest.len()));
        rest = others;
        out.clear();
        printer.push(chunk, &mut out)?;
        all.extend_from_slice(&out);
    }
    printer.finish(&mut all)?;
    Ok(String::from_utf8(all).unwrap())
}

fn check_chunks(name: &str, seeds: std::ops::Range<u64>) {
    let pool = pool();
    let schema = Schema::from_pool(&pool).unwrap();
    let descriptor = pool.get_message_by_name(name).unwrap();
    let (mut refused, mut written) = (0, 0);
    for seed in seeds {
        let mut random = Random(seed + 1);
        let disorderly = message(&mut random, &descriptor, 0);
        let decoded = DynamicMessage::decode(descriptor.clone(), disorderly.as_slice()).unwrap();
        let orderly = decoded.encode_to_vec();
        let hold = [0, 3, 20, 1000][random.below(4) as usize];
        let zeros = if random.one_in(4) {
            ZeroFields::Show
        } else {
            ZeroFields::Omit
        };
        let options = PrintOptions {
            zeros,
            ..PrintOptions::default()
        };
        let whole = print_with(options, &schema, name, &orderly).unwrap();
        let chunked = print_in_chunks(&mut random, &schema, name, &orderly, hold, zeros)
            .unwrap_or_else(|error| panic!("{seed}: {error}: {orderly:02x?}"));
        // What is in an `Any` may still be out of order, and then the order of members differs.
        let read = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{seed}: {error}: {text}"))
        };
        assert_eq!(read(&chunked), read(&whole), "{seed}: {orderly:02x?}");
        let whole = print_with(options, &schema, name, &disorderly).unwrap();
        match print_in_chunks(&mut random, &schema, name, &disorderly, hold, zeros) {
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    JsonErrorKind::NotInOrder,
                    "{seed}: {error}: {disorderly:02x?}"
                );
                refused += 1;
            }
            Ok(chunked) => {
                assert_eq!(read(&chunked), read(&whole), "{seed}: {disorderly:02x?}");
                written += 1;
            }
        }
    }
    assert!(refused > 0 && written > 0, "{refused} {written}");
}

#[test]
fn chunks_print_as_whole_messages_do() {
    check_chunks("t.All", 10_000..11_200);
    check_chunks("t2.Old", 10_000..11_200);
}

/// Pushes `text` in chunks of random size.
fn parse_in_chunks(
    random: &mut Random,
    schema: &Schema,
    name: &str,
    text: &[u8],
) -> Result<Vec<u8>, JsonError> {
    let mut parser = ChunkedJsonParser::new(schema.message(name).unwrap(), ParseOptions::default());
    let (mut all, mut out) = (Vec::new(), Vec::new());
    let most = [1, 2, 10, 100, 1000][random.below(5) as usize];
    let mut rest = text;
    while !rest.is_empty() {
        let (chunk, others) = rest.split_at((1 + random.below(most) as usize).min(rest.len()));
        rest = others;
        out.clear();
        parser.push(chunk, &mut out)?;
        all.extend_from_slice(&out);
    }
    parser.finish(&mut all)?;
    Ok(all)
}

fn check_parsed_chunks(name: &str, seeds: std::ops::Range<u64>) {
    let pool = pool();
    let schema = Schema::from_pool(&pool).unwrap();
    let descriptor = pool.get_message_by_name(name).unwrap();
    for seed in seeds {
        let mut random = Random(seed + 1);
        let wire = message(&mut random, &descriptor, 0);
        let mut text = print(&schema, name, &wire).unwrap().into_bytes();
        let chunked = parse_in_chunks(&mut random, &schema, name, &text)
            .unwrap_or_else(|error| panic!("{seed}: {error}: {}", String::from_utf8_lossy(&text)));
        let printed = print(&schema, name, &chunked).unwrap();
        let read = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{seed}: {error}: {text}"))
        };
        assert_eq!(
            read(&printed),
            read(std::str::from_utf8(&text).unwrap()),
            "{seed}"
        );
        // One byte wrong: both ways say the same of it, and at the same place.
        let at = random.below(text.len() as u64) as usize;
        text[at] = b"\"{}[],:0n\\\xff "[random.below(12) as usize];
        let whole = parse_with(ParseOptions::default(), &schema, name, &text);
        let chunked = parse_in_chunks(&mut random, &schema, name, &text);
        match (whole, chunked) {
            (Ok(whole), Ok(chunked)) => {
                let whole: Value = serde_json::from_str(&print(&schema, name, &whole).unwrap()).unwrap();
                let chunked: Value = serde_json::from_str(&print(&schema, name, &chunked).unwrap()).unwrap();
                assert_eq!(whole, chunked, "{seed}: {}", String::from_utf8_lossy(&text));
            }
            (Err(whole), Err(chunked)) => assert_eq!(chunked, whole, "{seed}"),
            (whole, chunked) => panic!(
                "{seed}: {whole:?} {chunked:?}: {}",
                String::from_utf8_lossy(&text)
            ),
        }
    }
}

#[test]
fn text_in_chunks_is_read_as_whole_text_is() {
    check_parsed_chunks("t.All", 20_000..20_700);
    check_parsed_chunks("t2.Old", 20_000..20_700);
}
