//! Reference tables in Markdown, from a definition's schema and from the enum of reasons.

use anyhow::{Context, Result};
use heddle_crds::condition::ConditionType;
use heddle_crds::reason::{Reason, Retry};
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
    for bounds in [numbers(field), items(field)].into_iter().flatten() {
        text.push_str(&format!(" {bounds}."));
    }
    text
}

/// How small and large a number may be.
fn numbers(field: &JSONSchemaProps) -> Option<String> {
    match (field.minimum, field.maximum) {
        (Some(least), Some(most)) => Some(format!("From {least} to {most}")),
        (Some(least), None) if least != 0.0 => Some(format!("At least {least}")),
        (None, Some(most)) => Some(format!("At most {most}")),
        _ => None,
    }
}

/// How many entries a list or map may have.
fn items(field: &JSONSchemaProps) -> Option<String> {
    let (least, most) = match field.type_.as_deref() {
        Some("array") => (field.min_items, field.max_items),
        _ => (field.min_properties, field.max_properties),
    };
    match (least.filter(|least| *least > 0), most) {
        (Some(least), Some(most)) => Some(format!("From {least} to {most} entries")),
        (Some(least), None) => Some(format!("At least {least} entries")),
        (None, Some(most)) => Some(format!("At most {most} entries")),
        (None, None) => None,
    }
}

fn type_name(field: &JSONSchemaProps) -> String {
    let name = field.type_.as_deref().unwrap_or("any");
    match (name, field.format.as_deref(), &field.items) {
        (_, _, Some(JSONSchemaPropsOrArray::Schema(item))) => format!("[]{}", type_name(item)),
        ("string", Some("date-time"), _) => "time".into(),
        _ => name.into(),
    }
}

/// Every type of condition with what is the case when it is true.
pub(super) fn conditions<T: ConditionType>() -> String {
    let mut table = String::from("| type | True when |\n| --- | --- |\n");
    for type_ in T::ALL {
        let (name, description) = (type_.as_str(), type_.description());
        table.push_str(&format!("| `{name}` | {description} |\n"));
    }
    table
}

/// Every reason of a condition with its meaning and when Heddle tries again.
pub(super) fn reasons<R: Reason>() -> String {
    let mut table = String::from("| reason | meaning | tried again |\n| --- | --- | --- |\n");
    for reason in R::ALL {
        let retry = match reason.retry() {
            Retry::NotNeeded => "",
            Retry::Backoff => "by itself, with backoff",
            Retry::OnChange => "when something it depends on changes",
        };
        let (name, description) = (reason.as_str(), reason.description());
        table.push_str(&format!("| `{name}` | {description} | {retry} |\n"));
    }
    table
}
