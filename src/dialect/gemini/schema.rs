//! Google's subset of `OpenAPI` as JSON Schema, for providers that want the latter.

use serde_json::{Map, Value};

/// Keywords whose numbers Google writes as text where they are 64 bits long.
const COUNTS: [&str; 6] = [
    "maxItems",
    "minItems",
    "maxLength",
    "minLength",
    "maxProperties",
    "minProperties",
];

/// A schema with types in lower case, and null as a type.
pub(super) fn plain(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    for (name, value) in schema {
        let name = crate::wire::gemini::camel(name);
        let value = match (name.as_str(), value) {
            ("nullable" | "propertyOrdering" | "example", _) => continue,
            ("format", Value::String(format)) if format == "enum" => continue,
            ("type", Value::String(kind)) => kind.to_ascii_lowercase().into(),
            ("properties", Value::Object(properties)) => {
                let each = properties
                    .iter()
                    .map(|(name, schema)| (name.clone(), plain(schema)));
                Value::Object(each.collect())
            }
            ("items" | "additionalProperties", schema) => plain(schema),
            ("anyOf", Value::Array(choices)) => choices.iter().map(plain).collect(),
            (name, Value::String(count)) if COUNTS.contains(&name) => count
                .parse::<u64>()
                .map_or_else(|_| value.clone(), Value::from),
            (_, value) => value.clone(),
        };
        out.insert(name, value);
    }
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        nullable(&mut out);
    }
    Value::Object(out)
}

fn nullable(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(serde_json::json!({"type": "null"}));
    }
    if let Some(kind) = schema.get_mut("type") {
        *kind = serde_json::json!([kind, "null"]);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}
