//! `heddle-bench-ours <folder of the corpus>`: our engine as a worker of the protobuf benchmark. Beside the commands of
//! every worker it knows `allocations <operation> <message> -`: how often one time asks the allocator once all storage is
//! there.

mod navigate;
mod walk;

use allocation_counter::measure;
use anyhow::{Context, Result, bail};
use heddle_bench_worker::{Case, Corpus, Engine, Operation, Output, Perform, serve};
use heddle_dynamic_protobuf::edit::{Editor, Mask, Trimmer};
use heddle_dynamic_protobuf::json::{JsonParser, JsonPrinter};
use heddle_dynamic_protobuf::path::Path as FieldPath;
use heddle_dynamic_protobuf::{Message, MessageDescriptor, Schema};
use navigate::Way;
use std::hint::black_box;
use std::path::Path;

/// How often an operation is performed before its allocations are counted.
const WARM_UPS: usize = 3;

struct Ours {
    schema: Schema,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        bail!("usage: heddle-bench-ours <folder of the corpus>");
    };
    let corpus = Corpus::read(Path::new(folder))?;
    let schema = Schema::from_descriptor_set(&corpus.schema).context("failed to compile the schema")?;
    serve(&Ours { schema }, &corpus)
}

impl Ours {
    fn kind(&self, case: &Case) -> Result<MessageDescriptor<'_>> {
        self.schema.message(&case.message_type).context("no such type")
    }
}

impl Engine for Ours {
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
        let kind = self.kind(case)?;
        let mut message = Message::new(kind);
        Ok(Some(match operation {
            Operation::Decode => Box::new(move |_| {
                message.decode(black_box(&case.wire))?;
                black_box(&message);
                Ok(())
            }),
            Operation::DecodeWalk => Box::new(move |output| {
                message.decode(black_box(&case.wire))?;
                output.number = walk::sum_of_message(message.as_ref());
                Ok(())
            }),
            Operation::Reencode => Box::new(move |output| {
                message.decode(black_box(&case.wire))?;
                encode(&message, output);
                Ok(())
            }),
            Operation::ReencodeOne => {
                let way = Way::new(kind, case)?;
                Box::new(move |output| {
                    message.decode(black_box(&case.wire))?;
                    way.set(message.as_mut(), case.new_value)?;
                    encode(&message, output);
                    Ok(())
                })
            }
            Operation::Get => {
                let path = FieldPath::compile(kind, &case.path_by_name)?;
                Box::new(move |output| {
                    let value = path.get(black_box(&case.wire))?.context("nothing is there")?;
                    output.number = value
                        .as_i64()
                        .map(i64::cast_unsigned)
                        .or(value.as_u64())
                        .context("no integer")?;
                    Ok(())
                })
            }
            Operation::Set => {
                let path = FieldPath::compile(kind, &case.path_by_name)?;
                let mut editor = Editor::new();
                Box::new(move |output| {
                    editor.set(black_box(&case.wire), &path, case.new_value, &mut output.bytes)?;
                    Ok(())
                })
            }
            Operation::ToJson => {
                let mut printer = JsonPrinter::default();
                Box::new(move |output| {
                    output.bytes.clear();
                    printer.print(kind, black_box(&case.wire), &mut output.bytes)?;
                    Ok(())
                })
            }
            Operation::FromJson => {
                let mut parser = JsonParser::default();
                Box::new(move |output| {
                    output.bytes.clear();
                    parser.parse(kind, black_box(&case.json), &mut output.bytes)?;
                    Ok(())
                })
            }
            Operation::Trim => {
                let mask = Mask::parse(kind, &case.mask.join(","))?;
                let mut trimmer = Trimmer::new();
                Box::new(move |output| {
                    trimmer.trim(black_box(&case.wire), &mask, &mut output.bytes)?;
                    Ok(())
                })
            }
        }))
    }

    fn extra(&self, command: &str, operation: Operation, case: &Case) -> Result<Option<String>> {
        if command != "allocations" {
            return Ok(None);
        }
        let Some(mut perform) = self.prepare(operation, case)? else {
            return Ok(Some("none".to_owned()));
        };
        let mut output = Output::default();
        for _ in 0..WARM_UPS {
            perform(&mut output)?;
        }
        let mut result = Ok(());
        let counted = measure(|| result = perform(&mut output));
        result?;
        Ok(Some(counted.count_total.to_string()))
    }
}

fn encode(message: &Message, output: &mut Output) {
    output.bytes.clear();
    message.encode_into(&mut output.bytes);
}
