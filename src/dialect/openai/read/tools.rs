//! What may be called.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Name;
use crate::call::Dialect;
use crate::call::chat::{Function, Schema, Tool, ToolChoice};

/// `tools`: functions, and tools of somebody's own, which LiteLLM's callers write among them.
#[derive(Default)]
pub(super) struct Tools(pub(super) Vec<Tool>);

impl<'de> Deserialize<'de> for Tools {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Tools;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tools")
            }

            fn visit_unit<E>(self) -> Result<Tools, E> {
                Ok(Tools::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tools, A::Error> {
                let mut tools = Vec::new();
                while let Some(ToolIn(tool)) = list.next_element()? {
                    tools.push(tool);
                }
                Ok(Tools(tools))
            }
        }
        from.deserialize_any(Each)
    }
}

/// A function, as `function` and the older `functions` hold it.
#[derive(Deserialize)]
pub(super) struct Declared {
    name: String,
    description: Option<String>,
    parameters: Option<Schema>,
    strict: Option<bool>,
    cache_control: Option<Value>,
}

impl Declared {
    pub(super) fn read(self, cache: Option<Value>) -> Result<Tool, &'static str> {
        if !self.parameters.as_ref().is_none_or(Schema::is_object) {
            return Err("a function's parameters must be a JSON Schema");
        }
        Ok(Tool::Function(Function {
            name: self.name,
            description: self.description,
            parameters: self.parameters,
            strict: self.strict,
            cache: cache.or(self.cache_control),
        }))
    }
}

/// A tool of either kind.
struct ToolIn(Tool);

impl<'de> Deserialize<'de> for ToolIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = ToolIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tool")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ToolIn, A::Error> {
                read_tool(map).map(ToolIn)
            }
        }
        from.deserialize_map(Members)
    }
}

/// A function, unless the tool says that it is another thing. That is kept as it came.
fn read_tool<'de, A: MapAccess<'de>>(mut map: A) -> Result<Tool, A::Error> {
    let mut kind: Option<Name<'_>> = None;
    let mut function: Option<Declared> = None;
    let mut members = Map::new();
    while let Some(Name(name)) = map.next_key::<Name<'_>>()? {
        match (&*name, &kind) {
            ("type", None) => {
                let Name(said) = map.next_value()?;
                if said != "function" {
                    members.insert(name.into_owned(), Value::from(&*said));
                }
                kind = Some(Name(said));
            }
            ("function", Some(Name(kind))) if kind != "function" => {
                members.insert(name.into_owned(), map.next_value()?);
            }
            ("function", _) => function = Some(map.next_value()?),
            _ => {
                members.insert(name.into_owned(), map.next_value()?);
            }
        }
    }
    let kind = kind.as_ref().map(|Name(kind)| &**kind);
    let dialect = match (kind, function) {
        (Some("function") | None, Some(function)) => {
            let cache = members.remove("cache_control");
            return function.read(cache).map_err(de::Error::custom);
        }
        (Some("function"), None) => {
            return Err(de::Error::custom(
                "a tool of type 'function' has no function",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(de::Error::custom("a tool has a function and another type"));
        }
        (Some(kind), None) if is_anthropics(kind) => Dialect::Anthropic,
        (Some(_), None) => Dialect::OpenAi,
        // Gemini's own are members: `{"googleSearch": {}}`.
        (None, None) => Dialect::Gemini,
    };
    let value = Value::Object(members);
    Ok(Tool::Builtin { dialect, value })
}

/// Whether a type of tool is one of Anthropic's own, which end in the day of their version.
fn is_anthropics(kind: &str) -> bool {
    let version = kind.rsplit_once('_').map_or("", |(_, version)| version);
    version.len() == 8 && version.bytes().all(|byte| byte.is_ascii_digit())
}

/// `tool_choice` and the older `function_call`: a word, or an object that names a function.
#[derive(Default)]
pub(super) struct Choice(pub(super) Option<ToolChoice>);

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Choice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, none, required or an object that names a function")
            }

            fn visit_unit<E>(self) -> Result<Choice, E> {
                Ok(Choice::default())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Choice, E> {
                Ok(Choice(Some(match word {
                    "auto" => ToolChoice::Auto,
                    "none" => ToolChoice::None,
                    "required" | "any" => ToolChoice::Required,
                    _ => return Err(de::Error::invalid_value(de::Unexpected::Str("…"), &self)),
                })))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Choice, A::Error> {
                let named = Named::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let within = named.function.and_then(|function| function.name);
                let name = within.or(named.name);
                let name = name.ok_or_else(|| de::Error::custom("it names no function"))?;
                Ok(Choice(Some(ToolChoice::Function(name))))
            }
        }
        from.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
    function: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    name: Option<String>,
}
