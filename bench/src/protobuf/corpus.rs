//! The messages: the same bytes for every subject and in every run.

mod json;
mod orders;
mod random;
pub(in crate::protobuf) mod schema;
mod traces;
mod wire;

use anyhow::{Context, Result};
use heddle_bench_worker::{Case, Corpus, Step};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use random::Random;

/// Of the generator of all messages.
const SEED: u64 = 0x4845_4444_4c45;

/// The messages there are.
pub(super) const NAMES: [&str; 5] = ["small", "medium", "large", "descriptors", "traces"];

/// Makes the messages of these names.
pub(super) fn build(names: &[&str]) -> Result<Corpus> {
    let schema = schema::all()?;
    let pool = DescriptorPool::decode(schema.as_slice()).context("failed to read the schema")?;
    let cases = names
        .iter()
        .map(|name| case(&pool, name))
        .collect::<Result<_>>()?;
    Ok(Corpus { schema, cases })
}

/// What a message is made from.
struct Recipe {
    message_type: &'static str,
    wire: Vec<u8>,
    path: String,
    new_value: i64,
    mask: &'static [&'static str],
}

fn case(pool: &DescriptorPool, name: &str) -> Result<Case> {
    let recipe = recipe(pool, name)?;
    let descriptor = descriptor(pool, recipe.message_type)?;
    let message = DynamicMessage::decode(descriptor.clone(), recipe.wire.as_slice())
        .with_context(|| format!("failed to decode {name}"))?;
    Ok(Case {
        name: name.to_owned(),
        message_type: recipe.message_type.to_owned(),
        path: steps(&descriptor, &recipe.path)?,
        path_by_name: recipe.path,
        new_value: recipe.new_value,
        mask: recipe.mask.iter().map(|&path| path.to_owned()).collect(),
        json: json::canonical(&message)?,
        wire: recipe.wire,
    })
}

fn descriptor(pool: &DescriptorPool, name: &str) -> Result<MessageDescriptor> {
    pool.get_message_by_name(name)
        .with_context(|| format!("failed to find {name}"))
}

/// The new values have another length than the old, so that enclosing lengths have to be repaired.
fn recipe(pool: &DescriptorPool, name: &str) -> Result<Recipe> {
    let random = &mut Random::new(SEED);
    Ok(match name {
        "small" => Recipe {
            message_type: "heddle.bench.v1.Event",
            wire: orders::small(random),
            path: "actor.origin.port".to_owned(),
            new_value: 65_000,
            mask: &["id", "time", "actor.origin", "tags"],
        },
        "medium" => Recipe {
            message_type: "heddle.bench.v1.Order",
            wire: orders::medium(random),
            path: "lines[6].price.units".to_owned(),
            new_value: 1_000_000,
            mask: &[
                "id",
                "buyer.address.city",
                "lines.sku",
                "lines.price",
                "labels",
                "stock_levels",
            ],
        },
        "large" => Recipe {
            message_type: "heddle.bench.v1.Batch",
            wire: orders::large(random),
            path: "orders[60].lines[6].price.units".to_owned(),
            new_value: 1_000_000,
            mask: &["id", "orders.id", "orders.lines.price", "events.actor"],
        },
        "descriptors" => descriptors(pool)?,
        "traces" => Recipe {
            message_type: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
            wire: traces::batch(random),
            path: "resource_spans[1].scope_spans[1].spans[18].attributes[4].value.int_value".to_owned(),
            new_value: 65_000,
            mask: &[
                "resource_spans.resource",
                "resource_spans.scope_spans.spans.name",
                "resource_spans.scope_spans.spans.status",
            ],
        },
        _ => anyhow::bail!("there is no message {name:?}\n  there are: {}", NAMES.join(", ")),
    })
}

fn descriptors(pool: &DescriptorPool) -> Result<Recipe> {
    let message_type = "google.protobuf.FileDescriptorSet";
    let wire = schema::googleapis()?;
    let set = DynamicMessage::decode(descriptor(pool, message_type)?, wire.as_slice())
        .context("failed to decode googleapis")?;
    Ok(Recipe {
        message_type,
        path: late_field(&set).context("failed to find a field in googleapis")?,
        wire,
        new_value: 20_000,
        mask: &[
            "file.name",
            "file.package",
            "file.message_type.name",
            "file.message_type.field.number",
        ],
    })
}

/// The number of a field in the last quarter of the files.
fn late_field(set: &DynamicMessage) -> Option<String> {
    let files = set.get_field_by_name("file")?;
    let files = files.as_list()?;
    (files.len() * 3 / 4..files.len()).find_map(|index| {
        let file = files[index].as_message()?;
        let messages = file.get_field_by_name("message_type")?.into_owned();
        let fields =
            |message: &Value| Some(message.as_message()?.get_field_by_name("field")?.as_list()?.len());
        let message = messages
            .as_list()?
            .iter()
            .position(|message| fields(message) > Some(2))?;
        Some(format!("file[{index}].message_type[{message}].field[2].number"))
    })
}

/// The numbers of a path that is given by names.
fn steps(message: &MessageDescriptor, path: &str) -> Result<Vec<Step>> {
    let mut at = Some(message.clone());
    path.split('.')
        .map(|part| {
            let (name, index) = match part.split_once('[') {
                Some((name, index)) => (name, Some(index.trim_end_matches(']').parse()?)),
                None => (part, None),
            };
            let field = at.as_ref().and_then(|message| message.get_field_by_name(name));
            let field = field.with_context(|| format!("no field {name} in {path}"))?;
            at = field.kind().as_message().cloned();
            Ok(Step {
                number: field.number(),
                index,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_sizes_they_are_named_for() {
        let corpus = build(&["small", "medium", "large", "traces"]).unwrap();
        let sizes: Vec<usize> = corpus.cases.iter().map(|case| case.wire.len()).collect();
        let limits = [180..=220, 2_700..=3_300, 235_000..=265_000, 60_000..=120_000];
        for (size, limit) in sizes.iter().zip(limits) {
            assert!(limit.contains(size), "{sizes:?}");
        }
    }

    #[test]
    fn messages_have_no_unknown_fields_and_their_json_says_the_same() {
        let corpus = build(&["small", "medium", "large", "traces"]).unwrap();
        let pool = DescriptorPool::decode(corpus.schema.as_slice()).unwrap();
        for case in &corpus.cases {
            let descriptor = descriptor(&pool, &case.message_type).unwrap();
            let message = DynamicMessage::decode(descriptor.clone(), case.wire.as_slice()).unwrap();
            assert_eq!(message.unknown_fields().count(), 0, "{}", case.name);
            let mut json = serde_json::Deserializer::from_slice(&case.json);
            assert_eq!(
                DynamicMessage::deserialize(descriptor, &mut json).unwrap(),
                message
            );
        }
    }
}
