//! What protobuf's official conformance runner tests: it sends requests on standard input, and gets answers on standard output.
//!
//! `conformance DESCRIPTOR_SET`, where the set holds the suite's IDL, `conformance.proto` included: requests and responses are
//! dynamic messages themselves. Source: <https://github.com/protocolbuffers/protobuf/tree/main/conformance>.

use heddle_dynamic_protobuf::{Message, MessageRef, Scalar, Schema};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};

const REQUEST: &str = "conformance.ConformanceRequest";
const RESPONSE: &str = "conformance.ConformanceResponse";

/// Values of `conformance.WireFormat`.
const PROTOBUF: i64 = 1;
const JSON: i64 = 2;
const TEXT: i64 = 4;
/// Of `conformance.TestCategory`: unknown fields in JSON are to be ignored.
const JSON_IGNORE_UNKNOWN: i64 = 3;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).ok_or("usage: conformance DESCRIPTOR_SET")?;
    let schema = Schema::from_descriptor_set(&std::fs::read(path)?)?;
    let find = |name: &str| schema.message(name).ok_or_else(|| format!("the set has no {name}"));
    let mut request = Message::new(find(REQUEST)?);
    let mut response = Message::new(find(RESPONSE)?);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Some(bytes) = read_frame(&mut input)? {
        request.decode(&bytes)?;
        response.clear();
        put(&answer(&schema, request.as_ref())?, &mut response)?;
        write_frame(&mut output, &response.encode_to_vec())?;
    }
    Ok(())
}

/// The next request; `None` when there are no more.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match input.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
    input.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

fn write_frame(output: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    output.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
    output.write_all(bytes)?;
    Ok(output.flush()?)
}

/// The members of the oneof in `conformance.ConformanceResponse` that are used.
enum Answer {
    ParseError(String),
    SerializeError(String),
    Skipped,
    Protobuf(Vec<u8>),
}

/// Answers one request: reads the payload, and writes it in the format that is asked for.
fn answer(schema: &Schema, request: MessageRef<'_>) -> Result<Answer, Failure> {
    let name = text(request, "message_type")?;
    let descriptor = schema.message(name).ok_or_else(|| format!("the set has no {name}"))?;
    let mut message = Message::new(descriptor);
    let Some((payload, bytes)) = payload(request) else {
        return Ok(Answer::Skipped);
    };
    match payload {
        "protobuf_payload" => {
            if let Err(error) = message.decode(bytes) {
                return Ok(Answer::ParseError(error.to_string()));
            }
        }
        _ => return Ok(Answer::Skipped),
    }
    match number(request, "requested_output_format")? {
        PROTOBUF => Ok(Answer::Protobuf(message.encode_to_vec())),
        _ => Ok(Answer::Skipped),
    }
}

/// Name and content of the request's payload.
fn payload(request: MessageRef<'_>) -> Option<(&str, &[u8])> {
    let oneof = request.descriptor().oneofs().find(|oneof| oneof.name() == "payload")?;
    let member = request.which(oneof)?;
    Some((member.name(), request.get(member).as_bytes()?))
}

fn text<'m>(message: MessageRef<'m>, field: &str) -> Result<&'m str, Failure> {
    let value = message.get_named(field).and_then(|value| value.as_str());
    Ok(value.ok_or_else(|| format!("the request has no text {field}"))?)
}

fn number(message: MessageRef<'_>, field: &str) -> Result<i64, Failure> {
    let value = message.get_named(field).and_then(|value| value.as_i64());
    Ok(value.ok_or_else(|| format!("the request has no number {field}"))?)
}

/// Puts an answer into an empty response.
fn put(answer: &Answer, response: &mut Message) -> Result<(), Failure> {
    let (name, value) = match answer {
        Answer::ParseError(text) => ("parse_error", Scalar::String(text)),
        Answer::SerializeError(text) => ("serialize_error", Scalar::String(text)),
        Answer::Skipped => ("skipped", Scalar::String("no such format")),
        Answer::Protobuf(bytes) => ("protobuf_payload", Scalar::Bytes(bytes)),
    };
    let schema = response.schema().clone();
    let descriptor = schema.message(RESPONSE).ok_or("the set has no responses")?;
    let field = descriptor.field_named(name).ok_or("the response has no such field")?;
    Ok(response.as_mut().set(field, value)?)
}
