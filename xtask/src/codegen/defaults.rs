//! Says in the description of each field what it is if it is left out: `kubectl explain` shows no defaults.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// The definition with sentences about its defaults.
pub(super) fn spelled_out(crd: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut crd = crd.clone();
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(root) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            spell_out(root);
        }
    }
    crd
}

fn spell_out(schema: &mut JSONSchemaProps) {
    if let (Some(default), Some(description)) = (&schema.default, &mut schema.description)
        && !(default.0.is_object() || default.0.is_array() || default.0.is_null())
    {
        let default = default.0.to_string();
        *description = format!("{description} Default: {}.", default.trim_matches('"'));
    }
    for field in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        spell_out(field);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut schema.items {
        spell_out(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_default_is_told_of_wherever_it_is_and_an_object_is_left_to_its_fields() {
        let mut schema: JSONSchemaProps = serde_json::from_value(json!({
            "description": "Times.", "default": { "drain": "20s" },
            "properties": {
                "drain": { "description": "How long.", "default": "20s" },
                "more": { "items": { "description": "So many.", "default": 1 } },
            },
        }))
        .unwrap();
        spell_out(&mut schema);
        let schema = serde_json::to_value(schema).unwrap();
        for (pointer, expected) in [
            ("/description", "Times."),
            ("/properties/drain/description", "How long. Default: 20s."),
            ("/properties/more/items/description", "So many. Default: 1."),
        ] {
            assert_eq!(schema.pointer(pointer).unwrap(), expected);
        }
    }
}
