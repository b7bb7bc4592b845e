//! rust-protobuf's dynamic messages; JSON by protobuf-json-mapping.

use anyhow::{Context, Result, bail};
use heddle_bench_worker::{Case, Engine, Operation, Output, Perform, Step};
use protobuf::descriptor::FileDescriptorSet;
use protobuf::reflect::{
    FileDescriptor, MessageDescriptor, ReflectFieldRef, ReflectValueBox, ReflectValueRef, RuntimeType,
};
use protobuf::{Message, MessageDyn};
use std::hint::black_box;

pub(crate) struct Dynamic {
    files: Vec<FileDescriptor>,
}

impl Dynamic {
    pub(crate) fn new(schema: &[u8]) -> Result<Self> {
        let set = FileDescriptorSet::parse_from_bytes(schema)?;
        Ok(Self {
            files: FileDescriptor::new_dynamic_fds(set.file, &[])?,
        })
    }
}

impl Engine for Dynamic {
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
        let name = format!(".{}", case.message_type);
        let kind = self
            .files
            .iter()
            .find_map(|file| file.message_by_full_name(&name))
            .context("no such type")?;
        Ok(Some(match operation {
            Operation::Decode => Box::new(move |_| {
                black_box(decode(&kind, case)?);
                Ok(())
            }),
            Operation::DecodeWalk => Box::new(move |output| {
                output.number = sum_of_message(decode(&kind, case)?.as_ref());
                Ok(())
            }),
            Operation::Reencode => Box::new(move |output| encode(decode(&kind, case)?.as_ref(), output)),
            Operation::ReencodeOne | Operation::Set => Box::new(move |output| {
                let mut message = decode(&kind, case)?;
                set(message.as_mut(), &case.path, case.new_value)?;
                encode(message.as_ref(), output)
            }),
            Operation::Get => Box::new(move |output| {
                output.number = get(decode(&kind, case)?.as_ref(), &case.path)?;
                Ok(())
            }),
            Operation::ToJson => Box::new(move |output| {
                output.bytes =
                    protobuf_json_mapping::print_to_string(decode(&kind, case)?.as_ref())?.into_bytes();
                Ok(())
            }),
            Operation::FromJson => Box::new(move |output| {
                let json = std::str::from_utf8(black_box(&case.json))?;
                encode(
                    protobuf_json_mapping::parse_dyn_from_str(&kind, json)?.as_ref(),
                    output,
                )
            }),
            Operation::Trim => return Ok(None),
        }))
    }
}

fn decode(kind: &MessageDescriptor, case: &Case) -> Result<Box<dyn MessageDyn>> {
    kind.parse_from_bytes(black_box(&case.wire))
        .context("failed to decode")
}

fn encode(message: &dyn MessageDyn, output: &mut Output) -> Result<()> {
    output.bytes.clear();
    message
        .write_to_vec_dyn(&mut output.bytes)
        .context("failed to encode")
}

fn get(message: &dyn MessageDyn, path: &[Step]) -> Result<u64> {
    let (step, rest) = path.split_first().context("the path is empty")?;
    let field = message
        .descriptor_dyn()
        .field_by_number(step.number)
        .context("no such field")?;
    let value = match (field.get_reflect(message), step.index) {
        (ReflectFieldRef::Repeated(list), Some(index)) => match list.get(index) {
            ReflectValueRef::Message(next) => return get(&*next, rest),
            _ => bail!("not a message"),
        },
        (ReflectFieldRef::Optional(value), _) => value,
        _ => bail!("another kind of field"),
    };
    match value.value() {
        Some(ReflectValueRef::Message(next)) => get(&*next, rest),
        Some(value) => Ok(sum(value)),
        None => bail!("the field is not set"),
    }
}

fn set(message: &mut dyn MessageDyn, path: &[Step], value: i64) -> Result<()> {
    let (step, rest) = path.split_first().context("the path is empty")?;
    let field = message
        .descriptor_dyn()
        .field_by_number(step.number)
        .context("no such field")?;
    if let Some(index) = step.index {
        // Elements cannot be reached mutably: one is taken out, changed and put back.
        let mut list = field.mut_repeated(message);
        let ReflectValueBox::Message(mut element) = list.get(index).to_box() else {
            bail!("not a message");
        };
        set(element.as_mut(), rest, value)?;
        list.set(index, ReflectValueBox::Message(element));
        return Ok(());
    }
    if !rest.is_empty() {
        return set(field.mut_message(message), rest, value);
    }
    let value = match field.singular_runtime_type() {
        RuntimeType::I32 => ReflectValueBox::I32(value.try_into()?),
        RuntimeType::U32 => ReflectValueBox::U32(value.try_into()?),
        RuntimeType::U64 => ReflectValueBox::U64(value.try_into()?),
        _ => ReflectValueBox::I64(value),
    };
    field.set_singular_field(message, value);
    Ok(())
}

fn sum_of_message(message: &dyn MessageDyn) -> u64 {
    let kind = message.descriptor_dyn();
    let fields = kind.fields().map(|field| match field.get_reflect(message) {
        ReflectFieldRef::Optional(value) => value.value().map_or(0, sum),
        ReflectFieldRef::Repeated(list) => list.into_iter().map(sum).fold(0, u64::wrapping_add),
        ReflectFieldRef::Map(map) => {
            let entries = map
                .into_iter()
                .map(|(key, value)| sum(key).wrapping_add(sum(value)));
            entries.fold(0, u64::wrapping_add)
        }
    });
    fields.fold(0, u64::wrapping_add)
}

fn sum(value: ReflectValueRef<'_>) -> u64 {
    match value {
        ReflectValueRef::Bool(value) => u64::from(value),
        ReflectValueRef::I32(value) | ReflectValueRef::Enum(_, value) => value as u64,
        ReflectValueRef::I64(value) => value as u64,
        ReflectValueRef::U32(value) => u64::from(value),
        ReflectValueRef::U64(value) => value,
        ReflectValueRef::F32(value) => f64::from(value).to_bits(),
        ReflectValueRef::F64(value) => value.to_bits(),
        ReflectValueRef::String(value) => value.len() as u64,
        ReflectValueRef::Bytes(value) => value.len() as u64,
        ReflectValueRef::Message(message) => sum_of_message(&*message),
    }
}
