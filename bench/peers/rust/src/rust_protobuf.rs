//! rust-protobuf's generated code; JSON by protobuf-json-mapping.

#[expect(unreachable_pub, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/rust_protobuf/mod.rs"));
}

mod walks {
    use super::generated;
    use crate::walk::Walk;

    include!(concat!(env!("OUT_DIR"), "/rust_protobuf.walk.rs"));
}

use crate::walk::Walk;
use anyhow::{Context, Result, bail};
use generated::bench::{Batch, Event, Order};
use generated::trace_service::ExportTraceServiceRequest;
use heddle_bench_worker::{Case, Engine, Operation, Output, Perform};
use protobuf::MessageFull;
use protobuf::descriptor::FileDescriptorSet;
use std::hint::black_box;

pub(crate) struct RustProtobuf;

impl Engine for RustProtobuf {
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
        match case.name.as_str() {
            "small" => prepare::<Event>(operation, case),
            "medium" => prepare::<Order>(operation, case),
            "large" => prepare::<Batch>(operation, case),
            "descriptors" => prepare::<FileDescriptorSet>(operation, case),
            "traces" => prepare::<ExportTraceServiceRequest>(operation, case),
            other => bail!("no code was generated for {other}"),
        }
    }
}

/// A message with the deep scalar that the corpus names; the indexes on the way are given.
trait Generated: MessageFull {
    /// Whether code to add its scalars up was generated: not for what comes with the library.
    const HAS_WALK: bool = true;

    fn sum(&self) -> u64;
    fn get(&self, indexes: &[usize]) -> Option<i64>;
    fn set(&mut self, indexes: &[usize], value: i64) -> Option<()>;
}

fn prepare<'a, M: Generated + 'a>(operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
    let indexes: Vec<usize> = case.path.iter().filter_map(|step| step.index).collect();
    let mut message = M::new();
    Ok(Some(match operation {
        Operation::Decode => Box::new(move |_| {
            decode(&mut message, case)?;
            black_box(&message);
            Ok(())
        }),
        Operation::DecodeWalk if !M::HAS_WALK => return Ok(None),
        Operation::DecodeWalk => Box::new(move |output| {
            decode(&mut message, case)?;
            output.number = message.sum();
            Ok(())
        }),
        Operation::Reencode => Box::new(move |output| {
            decode(&mut message, case)?;
            encode(&message, output)
        }),
        Operation::ReencodeOne | Operation::Set => Box::new(move |output| {
            decode(&mut message, case)?;
            message
                .set(&indexes, case.new_value)
                .context("the path leads nowhere")?;
            encode(&message, output)
        }),
        Operation::Get => Box::new(move |output| {
            decode(&mut message, case)?;
            output.number = message.get(&indexes).context("the path leads nowhere")? as u64;
            Ok(())
        }),
        Operation::ToJson => Box::new(move |output| {
            decode(&mut message, case)?;
            output.bytes = protobuf_json_mapping::print_to_string(&message)?.into_bytes();
            Ok(())
        }),
        Operation::FromJson => Box::new(move |output| {
            let json = std::str::from_utf8(black_box(&case.json))?;
            encode(&protobuf_json_mapping::parse_from_str::<M>(json)?, output)
        }),
        Operation::Trim => return Ok(None),
    }))
}

fn decode<M: Generated>(message: &mut M, case: &Case) -> Result<()> {
    message.clear();
    message
        .merge_from_bytes(black_box(&case.wire))
        .context("failed to decode")
}

fn encode<M: Generated>(message: &M, output: &mut Output) -> Result<()> {
    output.bytes.clear();
    message
        .write_to_vec(&mut output.bytes)
        .context("failed to encode")
}

impl Generated for Event {
    fn sum(&self) -> u64 {
        self.walk()
    }

    fn get(&self, _: &[usize]) -> Option<i64> {
        Some(self.actor.as_ref()?.origin.as_ref()?.port.into())
    }

    fn set(&mut self, _: &[usize], value: i64) -> Option<()> {
        self.actor.as_mut()?.origin.as_mut()?.port = value.try_into().ok()?;
        Some(())
    }
}

impl Generated for Order {
    fn sum(&self) -> u64 {
        self.walk()
    }

    fn get(&self, indexes: &[usize]) -> Option<i64> {
        let [line] = *indexes else { return None };
        Some(self.lines.get(line)?.price.as_ref()?.units)
    }

    fn set(&mut self, indexes: &[usize], value: i64) -> Option<()> {
        let [line] = *indexes else { return None };
        self.lines.get_mut(line)?.price.as_mut()?.units = value;
        Some(())
    }
}

impl Generated for Batch {
    fn sum(&self) -> u64 {
        self.walk()
    }

    fn get(&self, indexes: &[usize]) -> Option<i64> {
        let (order, rest) = indexes.split_first()?;
        self.orders.get(*order)?.get(rest)
    }

    fn set(&mut self, indexes: &[usize], value: i64) -> Option<()> {
        let (order, rest) = indexes.split_first()?;
        self.orders.get_mut(*order)?.set(rest, value)
    }
}

impl Generated for FileDescriptorSet {
    const HAS_WALK: bool = false;

    fn sum(&self) -> u64 {
        0
    }

    fn get(&self, indexes: &[usize]) -> Option<i64> {
        let [file, message, field] = *indexes else {
            return None;
        };
        let message = self.file.get(file)?.message_type.get(message)?;
        message.field.get(field)?.number.map(i64::from)
    }

    fn set(&mut self, indexes: &[usize], value: i64) -> Option<()> {
        let [file, message, field] = *indexes else {
            return None;
        };
        let message = self.file.get_mut(file)?.message_type.get_mut(message)?;
        message.field.get_mut(field)?.number = Some(value.try_into().ok()?);
        Some(())
    }
}

impl Generated for ExportTraceServiceRequest {
    fn sum(&self) -> u64 {
        self.walk()
    }

    fn get(&self, indexes: &[usize]) -> Option<i64> {
        use generated::common::any_value::Value;
        let [resource, scope, span, attribute] = *indexes else {
            return None;
        };
        let span = self
            .resource_spans
            .get(resource)?
            .scope_spans
            .get(scope)?
            .spans
            .get(span)?;
        match span.attributes.get(attribute)?.value.as_ref()?.value {
            Some(Value::IntValue(value)) => Some(value),
            _ => None,
        }
    }

    fn set(&mut self, indexes: &[usize], value: i64) -> Option<()> {
        use generated::common::any_value::Value;
        let [resource, scope, span, attribute] = *indexes else {
            return None;
        };
        let scope = self
            .resource_spans
            .get_mut(resource)?
            .scope_spans
            .get_mut(scope)?;
        let attribute = scope.spans.get_mut(span)?.attributes.get_mut(attribute)?;
        attribute.value.as_mut()?.value = Some(Value::IntValue(value));
        Some(())
    }
}
