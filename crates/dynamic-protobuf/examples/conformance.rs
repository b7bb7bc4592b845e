//! What protobuf's official conformance runner tests: it sends requests on standard input, and gets answers on standard output.
//!
//! `conformance DESCRIPTOR_SET [--piecemeal]`, where the set holds the suite's IDL, `conformance.proto` included: requests and
//! responses are dynamic messages themselves. With `--piecemeal` nothing that was read is written again by copying it, and
//! JSON comes and goes byte by byte.
//! Source: <https://github.com/protocolbuffers/protobuf/tree/main/conformance>.

use heddle_dynamic_protobuf::{Message, MessageDescriptor, MessageRef, Scalar, Schema, Value, json, text};
use std::borrow::Cow;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};

const REQUEST: &str = "conformance.ConformanceRequest";
const RESPONSE: &str = "conformance.ConformanceResponse";

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: conformance DESCRIPTOR_SET [--piecemeal]")?;
    let way = match arguments.next() {
        Some(option) if option == "--piecemeal" => Way::Piecemeal,
        Some(_) => return Err("the one option is --piecemeal".into()),
        None => Way::Usual,
    };
    let schema = Schema::from_descriptor_set(&std::fs::read(path)?)?;
    serve(&Testee { schema, way })
}

/// Which of the engine's ways from one format to another is taken.
#[derive(Clone, Copy)]
enum Way {
    Usual,
    Piecemeal,
}

struct Testee {
    schema: Schema,
    way: Way,
}

fn serve(testee: &Testee) -> Result<(), Failure> {
    let find = |name: &str| {
        testee
            .schema
            .message(name)
            .ok_or_else(|| format!("the set has no {name}"))
    };
    let mut request = Message::new(find(REQUEST)?);
    let mut response = Message::new(find(RESPONSE)?);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Some(bytes) = read_frame(&mut input)? {
        request.decode(&bytes)?;
        response.clear();
        put(&testee.answer(request.as_ref()), &mut response)?;
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
    Skipped(&'static str),
    Protobuf(Vec<u8>),
    Json(Vec<u8>),
    Text(String),
}

/// A payload that was read: decoded, and as it stands on the wire.
struct Input<'r> {
    message: Message,
    wire: Cow<'r, [u8]>,
}

impl Testee {
    /// Answers one request: reads the payload, and writes it in the format that is asked for.
    fn answer(&self, request: MessageRef<'_>) -> Answer {
        let name = request.get_named("message_type").and_then(|name| name.as_str());
        let Some(descriptor) = name.and_then(|name| self.schema.message(name)) else {
            return Answer::Skipped("the set has no such message type");
        };
        match self.read(request, descriptor) {
            Ok(input) => self.write(request, descriptor, &input),
            Err(answer) => answer,
        }
    }

    /// Reads the payload, or tells what to answer instead.
    fn read<'r>(
        &self,
        request: MessageRef<'r>,
        descriptor: MessageDescriptor<'_>,
    ) -> Result<Input<'r>, Answer> {
        let (format, payload) = payload(request).ok_or(Answer::Skipped("there is no payload"))?;
        let wire = match format {
            "protobuf_payload" => Cow::Borrowed(payload),
            "json_payload" => Cow::Owned(self.parse_json(request, descriptor, payload)?),
            "text_payload" => Cow::Owned(parse_text(descriptor, payload)?),
            _ => return Err(Answer::Skipped("the format of the payload is not known")),
        };
        let mut message = Message::new(descriptor);
        message.decode(&wire).map_err(parse_error)?;
        Ok(Input { message, wire })
    }

    /// JSON goes to wire bytes without a message in between.
    fn parse_json(
        &self,
        request: MessageRef<'_>,
        descriptor: MessageDescriptor<'_>,
        payload: &[u8],
    ) -> Result<Vec<u8>, Answer> {
        let unknown = match enum_name(request, "test_category") {
            "JSON_IGNORE_UNKNOWN_PARSING_TEST" => json::UnknownFields::Ignore,
            _ => json::UnknownFields::Refuse,
        };
        let options = json::ParseOptions {
            unknown,
            ..json::ParseOptions::default()
        };
        let mut wire = Vec::new();
        let parsed = match self.way {
            Way::Usual => json::JsonParser::new(options).parse(descriptor, payload, &mut wire),
            Way::Piecemeal => {
                let mut parser = json::ChunkedJsonParser::new(descriptor, options);
                let pushed = payload
                    .chunks(1)
                    .try_for_each(|byte| parser.push(byte, &mut wire));
                pushed.and_then(|()| parser.finish(&mut wire))
            }
        };
        parsed.map(|()| wire).map_err(parse_error)
    }

    /// Writes what was read in the format that the request asks for.
    fn write(&self, request: MessageRef<'_>, descriptor: MessageDescriptor<'_>, input: &Input<'_>) -> Answer {
        match enum_name(request, "requested_output_format") {
            "PROTOBUF" => Answer::Protobuf(self.encode(&input.message)),
            "JSON" => self.print_json(descriptor, input),
            "TEXT_FORMAT" => print_text(request, &input.message),
            _ => Answer::Skipped("the format that is asked for is not known"),
        }
    }

    fn encode(&self, message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        match self.way {
            Way::Usual => message.encode_into(&mut out),
            Way::Piecemeal => message.encode_deterministic_into(&mut out),
        }
        out
    }

    /// Byte by byte it takes a message whose fields stand together; otherwise the payload itself will do.
    fn print_json(&self, descriptor: MessageDescriptor<'_>, input: &Input<'_>) -> Answer {
        let mut out = Vec::new();
        let printed = match self.way {
            Way::Usual => json::to_json(descriptor, &input.wire, &mut out),
            Way::Piecemeal => {
                let mut printer = json::ChunkedJsonPrinter::new(descriptor, json::PrintOptions::default());
                let wire = self.encode(&input.message);
                let pushed = wire.chunks(1).try_for_each(|byte| printer.push(byte, &mut out));
                pushed.and_then(|()| printer.finish(&mut out))
            }
        };
        match printed {
            Ok(()) => Answer::Json(out),
            Err(error) => Answer::SerializeError(error.to_string()),
        }
    }
}

fn parse_text(descriptor: MessageDescriptor<'_>, payload: &[u8]) -> Result<Vec<u8>, Answer> {
    let mut message = Message::new(descriptor);
    let parsed = text::parse(payload, &mut message, &text::ParseOptions::default());
    parsed.map(|()| message.encode_to_vec()).map_err(parse_error)
}

fn parse_error(error: impl Error) -> Answer {
    Answer::ParseError(error.to_string())
}

/// Name and content of the request's payload.
fn payload(request: MessageRef<'_>) -> Option<(&str, &[u8])> {
    let oneof = request
        .descriptor()
        .oneofs()
        .find(|oneof| oneof.name() == "payload")?;
    let member = request.which(oneof)?;
    Some((member.name(), request.get(member).as_bytes()?))
}

/// The name of an enum field's value.
fn enum_name<'r>(message: MessageRef<'r>, field: &str) -> &'r str {
    match message.get_named(field) {
        Some(Value::Enum(descriptor, number)) => descriptor.value(number).map_or("", |value| value.name()),
        _ => "",
    }
}

fn print_text(request: MessageRef<'_>, message: &Message) -> Answer {
    let show = request.get_named("print_unknown_fields");
    let unknown_fields = match show.and_then(|show| show.as_bool()) {
        Some(true) => text::UnknownFields::Show,
        _ => text::UnknownFields::Omit,
    };
    let options = text::PrintOptions {
        unknown_fields,
        ..text::PrintOptions::default()
    };
    match text::to_text(message.as_ref(), &options) {
        Ok(text) => Answer::Text(text),
        Err(error) => Answer::SerializeError(error.to_string()),
    }
}

/// Puts an answer into an empty response.
fn put(answer: &Answer, response: &mut Message) -> Result<(), Failure> {
    let (name, value) = match answer {
        Answer::ParseError(text) => ("parse_error", text.as_bytes()),
        Answer::SerializeError(text) => ("serialize_error", text.as_bytes()),
        Answer::Skipped(text) => ("skipped", text.as_bytes()),
        Answer::Protobuf(bytes) => ("protobuf_payload", bytes.as_slice()),
        Answer::Json(bytes) => ("json_payload", bytes.as_slice()),
        Answer::Text(text) => ("text_payload", text.as_bytes()),
    };
    let schema = response.schema().clone();
    let descriptor = schema.message(RESPONSE).ok_or("the set has no responses")?;
    let field = descriptor
        .field_named(name)
        .ok_or("the response has no such field")?;
    Ok(response.as_mut().set(field, Scalar::Bytes(value))?)
}
