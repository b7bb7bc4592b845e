//! Schemas that several kinds share.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use schemars::{Schema, SchemaGenerator, json_schema};

/// What `duration()` of CEL and Go's `time.ParseDuration` both read; the length bounds the cost of rules.
pub(crate) fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 32, "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" })
}

/// Breaks no line of a description before its paragraph ends: where lines of comments end is nothing to readers of
/// `kubectl explain`, who have lines of their own.
pub(crate) fn join_lines(definition: &mut CustomResourceDefinition) {
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(join_lines_of);
}

fn join_lines_of(schema: &mut JSONSchemaProps) {
    if let Some(description) = &mut schema.description {
        let paragraphs: Vec<_> = description
            .split("\n\n")
            .map(|lines| lines.replace('\n', " "))
            .collect();
        *description = paragraphs.join("\n\n");
    }
    let fields = schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut());
    fields.for_each(join_lines_of);
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut schema.items {
        join_lines_of(item);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        join_lines_of(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_paragraph_are_joined_and_paragraphs_stay_apart() {
        let mut schema = JSONSchemaProps {
            description: Some("A\nb.\n\nC\nd.".into()),
            ..JSONSchemaProps::default()
        };
        schema.items = Some(JSONSchemaPropsOrArray::Schema(Box::new(schema.clone())));
        join_lines_of(&mut schema);
        let Some(JSONSchemaPropsOrArray::Schema(item)) = schema.items else {
            panic!("it was there before")
        };
        for description in [schema.description, item.description] {
            assert_eq!(description.as_deref(), Some("A b.\n\nC d."));
        }
    }
}
