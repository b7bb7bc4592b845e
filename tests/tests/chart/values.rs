//! Values, their schema, and the templates that read them.

use super::rendered::{Rendered, folder};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The paths of all values, as templates write them. A map without entries is a value; others are not.
fn paths(values: &Value, prefix: &str) -> Vec<String> {
    match values.as_object().filter(|map| !map.is_empty()) {
        None => vec![prefix.to_owned()],
        Some(map) => map
            .iter()
            .flat_map(|(key, value)| paths(value, &format!("{prefix}.{key}")))
            .collect(),
    }
}

fn values() -> Result<Value> {
    let text = fs::read_to_string(folder().join("values.yaml"))?;
    Ok(serde_yaml_ng::from_str(&text)?)
}

fn templates(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        text += &match path.is_dir() {
            true => templates(&path)?,
            false => fs::read_to_string(path)?,
        };
    }
    Ok(text)
}

/// Whether the templates name this path itself, and not only one that begins like it.
fn names(templates: &str, path: &str) -> bool {
    let whole = format!(".Values{path}");
    templates.match_indices(&whole).any(|(at, _)| {
        let next = templates[at + whole.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '.')
    })
}

#[test]
fn every_value_is_read_by_a_template() -> Result<()> {
    let templates = templates(&folder().join("templates"))?;
    for path in paths(&values()?, "") {
        // A map may be read as a whole, such as an image.
        let ancestors = path.match_indices('.').map(|(at, _)| &path[..at]);
        let is_read = ancestors
            .chain([path.as_str()])
            .filter(|part| !part.is_empty())
            .any(|part| names(&templates, part));
        assert!(is_read, "no template reads {path}");
    }
    Ok(())
}

/// The properties that the schema lets a path have; none where it lets it have any.
fn properties<'a>(schema: &'a Value, part: &'a Value) -> Option<&'a Value> {
    let part = match part["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#'))?,
        None => part,
    };
    Some(&part["properties"]).filter(|properties| properties.is_object())
}

fn schema_paths(schema: &Value, part: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match properties(schema, part).and_then(Value::as_object) {
        None => drop(found.insert(prefix.to_owned())),
        Some(properties) => {
            for (key, part) in properties {
                schema_paths(schema, part, &format!("{prefix}.{key}"), found);
            }
        }
    }
}

#[test]
fn the_schema_has_every_value_and_no_other() -> Result<()> {
    let text = fs::read_to_string(folder().join("values.schema.json"))?;
    let schema: Value = serde_json::from_str(&text).context("the schema")?;
    let mut known = BTreeSet::new();
    schema_paths(&schema, &schema, "", &mut known);
    let values: BTreeSet<_> = paths(&values()?, "").into_iter().collect();
    let covers = |known: &String, value: &String| {
        known == value || value.starts_with(&format!("{known}.")) || known.starts_with(&format!("{value}."))
    };
    for value in &values {
        let is_known = known.iter().any(|known| covers(known, value));
        assert!(is_known, "the schema lacks {value}");
    }
    // What helm gives to every chart, and limits by other resources than the chart's own.
    let others = [".global", ".resources", ".codegen.resources", ".proxy.resources"];
    for known in &known {
        let is_there = values.iter().any(|value| covers(known, value));
        let is_other = others.iter().any(|other| known.starts_with(other));
        assert!(is_there || is_other, "values.yaml lacks {known}");
    }
    Ok(())
}

#[test]
fn a_value_that_does_not_exist_or_cannot_be_is_refused_by_its_name() {
    for (value, word) in [
        ("imag.tag=1", "imag"),
        ("replicas=many", "replicas"),
        ("otlp.protocol=udp", "protocol"),
        ("proxy.adminPort=80", "adminPort"),
        ("webhook.failurePolicy=Maybe", "failurePolicy"),
    ] {
        let refused = Rendered::new("system", value).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains(word), "{value}: {refused}");
    }
}
