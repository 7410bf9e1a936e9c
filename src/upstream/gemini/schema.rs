//! JSON Schema as Gemini takes it.
//!
//! Sources: Google's API reference, `FunctionDeclaration.parametersJsonSchema`,
//! `GenerationConfig.responseJsonSchema` (JSON Schema, a list of keywords) and `Schema` (a subset of
//! `OpenAPI` 3.0 with neither references nor type lists). Models since Gemini 2 take the former, every
//! one takes the latter.

use serde_json::{Map, Value, json};

/// Deepest schema that is written without references; a reference to itself ends there.
const MAX_DEPTH: usize = 24;
/// Most parts of a schema that is written without references.
const MAX_NODES: usize = 10_000;

/// The keywords that `responseJsonSchema` takes.
const KEYWORDS: [&str; 27] = [
    "$anchor",
    "$defs",
    "$id",
    "$ref",
    "additionalProperties",
    "anyOf",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "prefixItems",
    "properties",
    "propertyOrdering",
    "required",
    "title",
    "type",
];

/// The schema expands to more than the gateway writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// JSON Schema with the keywords that Gemini knows; those that only narrow what is said are left
/// out.
pub(super) fn known(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        return match schema {
            Value::Bool(_) => json!({}),
            other => other.clone(),
        };
    };
    let merged = merge_all(schema);
    let mut out = Map::new();
    for (name, value) in &merged {
        let (name, value) = match (name.as_str(), value) {
            ("definitions" | "$defs", Value::Object(schemas)) => ("$defs", each(schemas)),
            ("properties", Value::Object(schemas)) => ("properties", each(schemas)),
            ("anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                (name.as_str(), schemas.iter().map(known).collect())
            }
            ("items", Value::Object(_)) => ("items", known(value)),
            ("additionalProperties", Value::Object(_)) => ("additionalProperties", known(value)),
            ("const", value) => ("enum", json!([value])),
            ("$ref", Value::String(to)) => {
                ("$ref", to.replacen("#/definitions/", "#/$defs/", 1).into())
            }
            (name, value) if KEYWORDS.contains(&name) => (name, value.clone()),
            _ => continue,
        };
        out.insert(name.to_owned(), value);
    }
    // Beside a reference nothing else may stand.
    if out.contains_key("$ref") {
        out.retain(|name, _| name.starts_with('$'));
    }
    Value::Object(out)
}

fn each(schemas: &Map<String, Value>) -> Value {
    let each = schemas
        .iter()
        .map(|(name, schema)| (name.clone(), known(schema)));
    Value::Object(each.collect())
}

/// The subset of `OpenAPI`: no references, no type lists, `nullable` for null. A reference to itself
/// becomes an object of any kind where it gets too deep.
pub(super) fn subset(schema: &Value) -> Result<Value, TooLarge> {
    let mut writer = Subset {
        root: schema,
        nodes: 0,
    };
    writer.schema(schema, 0).map(Value::Object)
}

struct Subset<'a> {
    root: &'a Value,
    nodes: usize,
}

impl Subset<'_> {
    fn schema(&mut self, schema: &Value, depth: usize) -> Result<Map<String, Value>, TooLarge> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(TooLarge);
        }
        let Some(schema) = (depth < MAX_DEPTH).then(|| schema.as_object()).flatten() else {
            return Ok(typed("OBJECT"));
        };
        if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
            let mut found = match to.strip_prefix('#').and_then(|to| self.root.pointer(to)) {
                Some(found) => self.schema(&found.clone(), depth + 1)?,
                None => typed("OBJECT"),
            };
            if let Some(description) = schema.get("description") {
                found.insert("description".to_owned(), description.clone());
            }
            return Ok(found);
        }
        let schema = &merge_all(schema);
        let mut nullable = schema.get("nullable") == Some(&Value::Bool(true));
        if let Some(choices) = alternatives(schema, &mut nullable) {
            return self.any_of(schema, &choices, nullable, depth);
        }

        let mut out = Map::new();
        let kind = kind(schema, &mut nullable);
        out.insert("type".to_owned(), kind.into());
        for name in [
            "title",
            "description",
            "default",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "pattern",
            "propertyOrdering",
        ] {
            if let Some(value) = schema.get(name).filter(|value| !value.is_null()) {
                out.insert(name.to_owned(), value.clone());
            }
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && matches!(
                (kind, format),
                ("STRING", "enum" | "date-time")
                    | ("NUMBER", "float" | "double")
                    | ("INTEGER", "int32" | "int64")
            )
        {
            out.insert("format".to_owned(), format.into());
        }
        enumerate(schema, kind, &mut out, &mut nullable);
        if kind == "OBJECT" {
            self.properties(schema, &mut out, depth)?;
        }
        if kind == "ARRAY" {
            let items = match schema.get("items") {
                Some(items @ Value::Object(_)) => self.schema(items, depth + 1)?,
                _ => typed("OBJECT"),
            };
            out.insert("items".to_owned(), Value::Object(items));
        }
        if nullable {
            out.insert("nullable".to_owned(), true.into());
        }
        Ok(out)
    }

    fn properties(
        &mut self,
        schema: &Map<String, Value>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooLarge> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Ok(());
        };
        let mut written = Map::new();
        for (name, property) in properties {
            let property = self.schema(property, depth + 1)?;
            written.insert(name.clone(), Value::Object(property));
        }
        let required = schema.get("required").and_then(Value::as_array);
        let required: Vec<Value> = required
            .into_iter()
            .flatten()
            .filter(|name| name.as_str().is_some_and(|name| written.contains_key(name)))
            .cloned()
            .collect();
        if !required.is_empty() {
            out.insert("required".to_owned(), required.into());
        }
        // Google's servers keep `properties` without an order, and models answer in the order that
        // is said beside them.
        if written.len() > 1 && !out.contains_key("propertyOrdering") {
            let order: Value = written.keys().cloned().collect();
            out.insert("propertyOrdering".to_owned(), order);
        }
        if !written.is_empty() {
            out.insert("properties".to_owned(), Value::Object(written));
        }
        Ok(())
    }

    /// Alternatives stand alone: Vertex AI refuses anything beside them.
    fn any_of(
        &mut self,
        schema: &Map<String, Value>,
        choices: &[Value],
        nullable: bool,
        depth: usize,
    ) -> Result<Map<String, Value>, TooLarge> {
        let mut written = Vec::with_capacity(choices.len());
        for choice in choices {
            let mut one = self.schema(choice, depth + 1)?;
            if nullable {
                one.insert("nullable".to_owned(), true.into());
            }
            written.push(one);
        }
        if written.len() == 1 {
            let mut one = written.remove(0);
            for name in ["title", "description", "default"] {
                if let Some(value) = schema.get(name) {
                    one.insert(name.to_owned(), value.clone());
                }
            }
            return Ok(one);
        }
        let mut out = Map::new();
        out.insert("anyOf".to_owned(), written.into());
        Ok(out)
    }
}

fn typed(kind: &str) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), kind.into())])
}

/// What `anyOf`, `oneOf` or a list of types offers, without null, which goes into `nullable`.
fn alternatives(schema: &Map<String, Value>, nullable: &mut bool) -> Option<Vec<Value>> {
    let is_null = |choice: &Value| choice.get("type").is_some_and(|kind| kind == "null");
    if let Some(choices) = ["anyOf", "oneOf"]
        .iter()
        .find_map(|name| schema.get(*name)?.as_array())
    {
        let mut kept = choices.clone();
        kept.retain(|choice| !is_null(choice));
        *nullable |= kept.len() < choices.len();
        return (!kept.is_empty()).then_some(kept);
    }
    let kinds = schema.get("type")?.as_array()?;
    let said: Vec<&Value> = kinds.iter().filter(|kind| *kind != "null").collect();
    *nullable |= said.len() < kinds.len();
    (said.len() > 1).then(|| {
        let with = |kind: &&Value| {
            let mut one = schema.clone();
            one.insert("type".to_owned(), (*kind).clone());
            Value::Object(one)
        };
        said.iter().map(with).collect()
    })
}

/// The type's name; what a schema without one most likely means is seen in its other keywords.
fn kind(schema: &Map<String, Value>, nullable: &mut bool) -> &'static str {
    let said = match schema.get("type") {
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        _ => None,
    };
    let known = said.map(str::to_ascii_lowercase);
    match known.as_deref() {
        Some("string") => "STRING",
        Some("integer") => "INTEGER",
        Some("number") => "NUMBER",
        Some("boolean") => "BOOLEAN",
        Some("array") => "ARRAY",
        Some("null") => {
            *nullable = true;
            "STRING"
        }
        _ if schema.contains_key("properties") => "OBJECT",
        _ if schema.contains_key("items") => "ARRAY",
        None if schema.contains_key("enum") || schema.contains_key("const") => "STRING",
        _ => "OBJECT",
    }
}

/// Only words can be listed; other values go into the description.
fn enumerate(
    schema: &Map<String, Value>,
    kind: &str,
    out: &mut Map<String, Value>,
    nullable: &mut bool,
) {
    let values = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.clone(),
        (_, Some(value)) => vec![value.clone()],
        _ => return,
    };
    *nullable |= values.iter().any(Value::is_null);
    let words: Vec<String> = values
        .iter()
        .filter(|value| !value.is_null() && *value != "")
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect();
    if words.is_empty() {
        return;
    }
    if kind == "STRING" {
        out.insert("enum".to_owned(), words.into());
        out.insert("format".to_owned(), "enum".into());
        return;
    }
    let mut description = out
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if !description.is_empty() {
        description.push(' ');
    }
    description.push_str("One of: ");
    description.push_str(&words.join(", "));
    description.push('.');
    out.insert("description".to_owned(), description.into());
}

/// A schema with what `allOf` lists put into it.
fn merge_all(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = schema.clone();
    let Some(Value::Array(all)) = merged.shift_remove("allOf") else {
        return merged;
    };
    for one in all.iter().filter_map(Value::as_object) {
        for (name, value) in merge_all(one) {
            match (merged.get_mut(&name), value) {
                (Some(Value::Object(ours)), Value::Object(theirs)) => ours.extend(theirs),
                (Some(Value::Array(ours)), Value::Array(theirs)) if name == "required" => {
                    ours.extend(theirs);
                }
                (Some(_), _) => {}
                (None, value) => drop(merged.insert(name, value)),
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(schema: &Value) -> Value {
        subset(schema).unwrap()
    }

    #[test]
    fn references_are_put_in_place() {
        let schema = json!({"type": "object", "$defs": {"City": {"type": "string", "minLength": 1}},
            "properties": {"to": {"$ref": "#/$defs/City", "description": "where"}}, "required": ["to", "gone"]});
        assert_eq!(
            sub(&schema),
            json!({"type": "OBJECT", "properties": {"to": {"type": "STRING", "minLength": 1,
                "description": "where"}}, "required": ["to"]})
        );
    }

    #[test]
    fn a_reference_to_itself_ends() {
        let schema = json!({"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object",
            "properties": {"next": {"$ref": "#/$defs/Node"}}}}});
        let mut at = &sub(&schema);
        let mut depth = 0;
        while let Some(next) = at.pointer("/properties/next") {
            at = next;
            depth += 1;
        }
        assert_eq!(at, &json!({"type": "OBJECT"}));
        assert!(depth > 5 && depth <= MAX_DEPTH);
    }

    #[test]
    fn references_that_multiply_are_refused() {
        let mut defs = Map::new();
        for level in 0..20 {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            defs.insert(
                level.to_string(),
                json!({"type": "object", "properties": {"a": next, "b": next, "c": next}}),
            );
        }
        let schema = json!({"$ref": "#/$defs/0", "$defs": defs});
        assert_eq!(subset(&schema), Err(TooLarge));
    }

    #[test]
    fn null_becomes_nullable() {
        let nullable = json!({"type": "STRING", "nullable": true});
        assert_eq!(sub(&json!({"type": ["string", "null"]})), nullable);
        let any = json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"});
        assert_eq!(
            sub(&any),
            json!({"type": "STRING", "nullable": true, "description": "d"})
        );
        assert_eq!(
            sub(&json!({"type": ["string", "integer", "null"]})),
            json!({"anyOf": [{"type": "STRING", "nullable": true}, {"type": "INTEGER", "nullable": true}]})
        );
    }

    #[test]
    fn what_the_subset_lacks_is_left_out_or_put_in_words() {
        let schema = json!({"type": "string", "format": "uuid", "$schema": "x", "examples": []});
        assert_eq!(sub(&schema), json!({"type": "STRING"}));
        assert_eq!(
            sub(&json!({"type": "string", "enum": ["a", "", null]})),
            json!({"type": "STRING", "format": "enum", "enum": ["a"], "nullable": true})
        );
        assert_eq!(
            sub(&json!({"type": "integer", "enum": [1, 2], "description": "Days."})),
            json!({"type": "INTEGER", "description": "Days. One of: 1, 2."})
        );
        assert_eq!(sub(&json!({"const": "x"}))["enum"], json!(["x"]));
        assert_eq!(
            sub(&json!({"type": "array"})),
            json!({"type": "ARRAY", "items": {"type": "OBJECT"}})
        );
        assert_eq!(
            sub(
                &json!({"allOf": [{"type": "object", "properties": {"a": {"type": "number"}}},
                {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]})
            ),
            json!({"type": "OBJECT", "properties": {"a": {"type": "NUMBER"}, "b": {"type": "BOOLEAN"}},
                "propertyOrdering": ["a", "b"], "required": ["b"]})
        );
    }

    #[test]
    fn properties_keep_their_order_and_the_order_is_said() {
        let schema = json!({"type": "object", "properties": {"why": {"type": "string"},
            "answer": {"type": "string"}}});
        assert_eq!(sub(&schema)["propertyOrdering"], json!(["why", "answer"]));
        let written = sub(&schema).to_string();
        assert!(written.find("\"why\":") < written.find("\"answer\":"));
        let own = json!({"type": "object", "propertyOrdering": ["b", "a"],
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        assert_eq!(sub(&own)["propertyOrdering"], json!(["b", "a"]));
    }

    #[test]
    fn newer_models_get_json_schema() {
        let schema = json!({"$schema": "x", "type": "object", "definitions": {"A": {"const": 1, "x-y": 2}},
            "properties": {"a": {"$ref": "#/definitions/A", "description": "gone"},
                "if": {"type": ["string", "null"], "not": {}}}, "additionalProperties": false});
        assert_eq!(
            known(&schema),
            json!({"type": "object", "$defs": {"A": {"enum": [1]}},
                "properties": {"a": {"$ref": "#/$defs/A"}, "if": {"type": ["string", "null"]}},
                "additionalProperties": false})
        );
    }
}
