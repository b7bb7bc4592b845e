//! prost's generated code; JSON by pbjson's generated serde code through sonic-rs.

#[expect(unreachable_pub, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/prost.rs"));
}

/// The serde code of pbjson stands beside the types of its package.
macro_rules! json {
    ($($module:ident: $package:literal in $path:path;)*) => {
        $(mod $module {
            use $path::*;

            include!(concat!(env!("OUT_DIR"), "/", $package, ".serde.rs"));
        })*
    };
}

json! {
    json_bench: "heddle.bench.v1" in super::generated::heddle::bench::v1;
    json_descriptor: "google.protobuf" in super::generated::google::protobuf;
    json_collector: "opentelemetry.proto.collector.trace.v1" in super::generated::opentelemetry::proto::collector::trace::v1;
    json_common: "opentelemetry.proto.common.v1" in super::generated::opentelemetry::proto::common::v1;
    json_resource: "opentelemetry.proto.resource.v1" in super::generated::opentelemetry::proto::resource::v1;
    json_trace: "opentelemetry.proto.trace.v1" in super::generated::opentelemetry::proto::trace::v1;
}

#[expect(deprecated, reason = "deprecated fields are read like any other")]
mod walks {
    use super::generated;
    use crate::walk::Walk;

    include!(concat!(env!("OUT_DIR"), "/prost.walk.rs"));
}

use crate::walk::Walk;
use anyhow::{Context, Result, bail};
use generated::google::protobuf::FileDescriptorSet;
use generated::heddle::bench::v1::{Batch, Event, Order};
use generated::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use heddle_bench_worker::{Case, Engine, Operation, Output, Perform};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hint::black_box;

pub(crate) struct Prost;

impl Engine for Prost {
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
trait Generated: Message + Default + Serialize + DeserializeOwned + Walk {
    fn get(&self, indexes: &[usize]) -> Option<i64>;
    fn set(&mut self, indexes: &[usize], value: i64) -> Option<()>;
}

fn prepare<'a, M: Generated + 'a>(operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
    let indexes: Vec<usize> = case.path.iter().filter_map(|step| step.index).collect();
    let mut message = M::default();
    Ok(Some(match operation {
        Operation::Decode => Box::new(move |_| {
            decode(&mut message, case)?;
            black_box(&message);
            Ok(())
        }),
        Operation::DecodeWalk => Box::new(move |output| {
            decode(&mut message, case)?;
            output.number = message.walk();
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
            output.bytes.clear();
            sonic_rs::to_writer(&mut output.bytes, &message).context("failed to write JSON")
        }),
        Operation::FromJson => Box::new(move |output| {
            let message: M = sonic_rs::from_slice(black_box(&case.json)).context("failed to parse JSON")?;
            encode(&message, output)
        }),
        Operation::Trim => return Ok(None),
    }))
}

fn decode<M: Generated>(message: &mut M, case: &Case) -> Result<()> {
    message.clear();
    message
        .merge(black_box(case.wire.as_slice()))
        .context("failed to decode")
}

fn encode<M: Generated>(message: &M, output: &mut Output) -> Result<()> {
    output.bytes.clear();
    message.encode(&mut output.bytes).context("failed to encode")
}

impl Generated for Event {
    fn get(&self, _: &[usize]) -> Option<i64> {
        Some(self.actor.as_ref()?.origin.as_ref()?.port.into())
    }

    fn set(&mut self, _: &[usize], value: i64) -> Option<()> {
        self.actor.as_mut()?.origin.as_mut()?.port = value.try_into().ok()?;
        Some(())
    }
}

impl Generated for Order {
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
    fn get(&self, indexes: &[usize]) -> Option<i64> {
        use generated::opentelemetry::proto::common::v1::any_value::Value;
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
        use generated::opentelemetry::proto::common::v1::any_value::Value;
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
