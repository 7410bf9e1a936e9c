//! How the answer is to be.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::call::chat::{Effort, Format, Reasoning};

/// `stop`: a text, or a list of them.
#[derive(Default)]
pub(super) struct Stops(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Stops {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Stops;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_unit<E>(self) -> Result<Stops, E> {
                Ok(Stops::default())
            }

            fn visit_str<E>(self, text: &str) -> Result<Stops, E> {
                Ok(Stops(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Stops, A::Error> {
                let mut stops = Vec::new();
                while let Some(text) = list.next_element()? {
                    stops.push(text);
                }
                Ok(Stops(stops))
            }
        }
        from.deserialize_any(Either)
    }
}

pub(super) fn format(value: Value) -> Result<Option<Format>, &'static str> {
    let Value::Object(mut format) = value else {
        return match value {
            Value::Null => Ok(None),
            _ => Err("expected an object"),
        };
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Some(Format::Text)),
        Some("json_object") => match format.remove("response_schema") {
            // LiteLLM's older form.
            Some(schema) => Ok(Some(Format::Schema {
                name: "response".to_owned(),
                description: None,
                schema,
                strict: None,
            })),
            None => Ok(Some(Format::Object)),
        },
        Some("json_schema") => match format.remove("json_schema") {
            Some(Value::Object(schema)) => Ok(Some(schema_format(schema)?)),
            _ => Err("it has no json_schema"),
        },
        _ => Err("there is no such type"),
    }
}

/// A named schema, as `json_schema` holds it.
pub(crate) fn schema_format(mut named: Map<String, Value>) -> Result<Format, &'static str> {
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    Ok(Format::Schema {
        name: text(named.remove("name")).unwrap_or_else(|| "response".to_owned()),
        description: text(named.remove("description")),
        strict: named.get("strict").and_then(Value::as_bool),
        schema: named.remove("schema").ok_or("it has no schema")?,
    })
}

/// The word for how long to think.
pub(crate) fn effort(word: &str) -> Effort {
    match word {
        "none" | "disable" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" | "max" => Effort::Max,
        other => Effort::Other(other.to_owned()),
    }
}

/// Anthropic's `thinking`.
pub(crate) fn thinking(
    value: &Value,
    reasoning: &mut Option<Reasoning>,
) -> Result<(), &'static str> {
    if value.is_null() {
        return Ok(());
    }
    let reasoning = reasoning.get_or_insert_default();
    match value["type"].as_str() {
        Some("enabled") => {
            reasoning.budget = Some(
                value["budget_tokens"]
                    .as_u64()
                    .ok_or("it has no budget_tokens")?,
            );
        }
        Some("disabled") => reasoning.budget = Some(0),
        Some("adaptive") => reasoning.adaptive = true,
        _ => return Err("there is no such type"),
    }
    match value["display"].as_str() {
        Some("omitted") => reasoning.shown = Some(false),
        Some(_) => reasoning.shown = Some(true),
        None => {}
    }
    Ok(())
}
