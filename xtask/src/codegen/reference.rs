//! Reference tables in Markdown, from a definition's schema and from the enum of reasons.

use anyhow::{Context, Result};
use heddle_crds::reason::Retry;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use std::fmt::Write;

/// Types that Kubernetes documents itself: named, not unfolded.
const KUBERNETES_TYPES: [&str; 2] = ["job.resources", "job.tolerations"];

/// Puts `table` between the markers called `name`.
pub(super) fn replace(page: &str, name: &str, table: &str) -> Result<String> {
    let (open, close) = (
        format!("<!-- generated: {name} -->\n"),
        format!("<!-- end: {name} -->"),
    );
    let (before, rest) = page
        .split_once(&open)
        .with_context(|| format!("failed to find {open:?}"))?;
    let (_, after) = rest
        .split_once(&close)
        .with_context(|| format!("failed to find {close:?}"))?;
    Ok(format!("{before}{open}{table}{close}{after}"))
}

/// Every field below `part` (spec or status) with type, default and description.
pub(super) fn fields(crd: &CustomResourceDefinition, part: &str) -> Result<String> {
    let schema = crd
        .spec
        .versions
        .first()
        .and_then(|version| version.schema.as_ref());
    let root = schema
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .context("failed to find a schema")?;
    let part = root
        .properties
        .as_ref()
        .and_then(|fields| fields.get(part))
        .context("failed to find the part")?;
    let mut table = String::from("| field | type | default | meaning |\n| --- | --- | --- | --- |\n");
    unfold(part, "", &mut table)?;
    Ok(table)
}

fn unfold(schema: &JSONSchemaProps, prefix: &str, table: &mut String) -> Result<()> {
    let required = schema.required.clone().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let default = match &field.default {
            Some(value) if value.0.is_object() || value.0.is_array() => String::new(),
            Some(value) => format!("`{}`", value.0.to_string().trim_matches('"')),
            None if required.contains(name) => "required".into(),
            None => String::new(),
        };
        let meaning = meaning(field);
        writeln!(
            table,
            "| `{path}` | {} | {default} | {meaning} |",
            type_name(field)
        )?;
        if KUBERNETES_TYPES.contains(&path.as_str()) {
            continue;
        }
        match &field.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => unfold(item, &format!("{path}[]"), table)?,
            _ => unfold(field, &path, table)?,
        }
    }
    Ok(())
}

/// The description, and the sentences of the rules that say more than it does.
fn meaning(field: &JSONSchemaProps) -> String {
    let mut text = field
        .description
        .clone()
        .unwrap_or_default()
        .replace('\n', " ")
        .replace('|', "\\|");
    if let Some(values) = &field.enum_ {
        let values: Vec<_> = values
            .iter()
            .map(|value| value.0.to_string().replace('"', "`"))
            .collect();
        if values.len() <= 6 {
            text.push_str(&format!(" One of {}.", values.join(", ")));
        }
    }
    text
}

fn type_name(field: &JSONSchemaProps) -> String {
    let name = field.type_.as_deref().unwrap_or("any");
    match (name, field.format.as_deref(), &field.items) {
        (_, _, Some(JSONSchemaPropsOrArray::Schema(item))) => format!("[]{}", type_name(item)),
        ("string", Some("date-time"), _) => "time".into(),
        _ => name.into(),
    }
}

/// Every reason of a condition with its meaning and when Heddle tries again.
pub(super) fn reasons<'a>(all: impl Iterator<Item = (&'a str, &'a str, Retry)>) -> String {
    let mut table = String::from("| reason | meaning | tried again |\n| --- | --- | --- |\n");
    for (name, description, retry) in all {
        let retry = match retry {
            Retry::NotNeeded => "",
            Retry::Backoff => "by itself, with backoff",
            Retry::OnChange => "when something it depends on changes",
        };
        table.push_str(&format!("| `{name}` | {description} | {retry} |\n"));
    }
    table
}
