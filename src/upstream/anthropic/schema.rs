//! The part of JSON Schema that Anthropic holds answers and arguments to.
//!
//! Source: Anthropic's documentation, "Structured outputs", section "JSON Schema limitations". What
//! it refuses goes into the description, where the model still reads it, as Anthropic's own SDKs do.

use serde_json::{Map, Value};

/// Keywords that constrain a value beyond its kind.
const REFUSED: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "patternProperties",
];

/// Formats that a text may be held to.
const FORMATS: &[&str] = &[
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// The schema, as far as it can be kept: objects are closed, and what is refused is described.
pub(crate) fn subset(schema: &Value) -> Value {
    let mut schema = schema.clone();
    narrow(&mut schema);
    schema
}

// The depth is that of a parsed request, at most 128.
fn narrow(schema: &mut Value) {
    let Value::Object(members) = schema else {
        return;
    };
    let mut told = Vec::new();
    for name in REFUSED {
        if let Some(value) = members.shift_remove(*name) {
            told.push(format!("{name}: {value}"));
        }
    }
    if let Some(least) = members.get("minItems").and_then(Value::as_u64)
        && least > 1
    {
        members.shift_remove("minItems");
        told.push(format!("minItems: {least}"));
    }
    if let Some(format) = members.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        told.push(format!("format: {format}"));
        members.shift_remove("format");
    }
    if let Some(Value::Array(any)) = members.shift_remove("oneOf") {
        members.insert("anyOf".to_owned(), Value::Array(any));
    }
    describe(members, &told);
    if is_object(members) {
        members.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for name in ["properties", "$defs", "definitions"] {
        if let Some(Value::Object(schemas)) = members.get_mut(name) {
            schemas.values_mut().for_each(narrow);
        }
    }
    for name in ["anyOf", "allOf", "prefixItems"] {
        if let Some(Value::Array(schemas)) = members.get_mut(name) {
            schemas.iter_mut().for_each(narrow);
        }
    }
    if let Some(items) = members.get_mut("items") {
        narrow(items);
    }
}

fn is_object(members: &Map<String, Value>) -> bool {
    match members.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => members.contains_key("properties"),
    }
}

fn describe(members: &mut Map<String, Value>, told: &[String]) {
    if told.is_empty() {
        return;
    }
    let told = format!("{{{}}}", told.join(", "));
    let text = match members.get("description").and_then(Value::as_str) {
        Some(before) if !before.is_empty() => format!("{before}\n\n{told}"),
        _ => told,
    };
    members.insert("description".to_owned(), Value::String(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_closed_at_every_depth() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": ["object", "null"], "properties": {}},
            "b": {"type": "array", "items": {"properties": {}, "additionalProperties": true}},
            "c": {"oneOf": [{"type": "object"}, {"$ref": "#/$defs/d"}]}},
            "$defs": {"d": {"type": "object", "properties": {"type": {"type": "string"}}}}});
        let narrowed = subset(&schema);
        for place in [
            "",
            "/properties/a",
            "/properties/b/items",
            "/properties/c/anyOf/0",
            "/$defs/d",
        ] {
            assert_eq!(
                narrowed.pointer(place).unwrap()["additionalProperties"],
                false,
                "{place}"
            );
        }
        assert_eq!(
            narrowed.pointer("/$defs/d/properties/type").unwrap(),
            &json!({"type": "string"})
        );
    }

    #[test]
    fn what_is_refused_is_described() {
        let schema = json!({"type": "string", "description": "A name.", "minLength": 2,
            "pattern": "^a", "format": "color"});
        assert_eq!(
            subset(&schema),
            json!({"type": "string",
                "description": "A name.\n\n{minLength: 2, pattern: \"^a\", format: color}"})
        );
        assert_eq!(
            subset(&json!({"type": "array", "minItems": 1}))["minItems"],
            1
        );
        assert_eq!(subset(&json!(true)), json!(true));
    }

    #[test]
    fn what_is_left_keeps_its_order() {
        let schema = r#"{"pattern":"z","type":"object","title":"T","minLength":1,"required":["b"],
            "properties":{"z":{"type":"string"},"b":{"type":"string"},"a":{"type":"string"}},
            "additionalProperties":false}"#;
        let schema: Value = serde_json::from_str(schema).unwrap();
        let narrowed = subset(&schema);
        let names = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        let before = [
            "type",
            "title",
            "required",
            "properties",
            "additionalProperties",
            "description",
        ];
        assert_eq!(names(&narrowed), before);
        assert_eq!(names(&narrowed["properties"]), ["z", "b", "a"]);
    }

    #[test]
    fn a_property_by_the_name_of_a_keyword_stays() {
        let schema = json!({"type": "object", "properties": {"minimum": {"type": "number"}}});
        assert_eq!(subset(&schema)["properties"], schema["properties"]);
    }
}
