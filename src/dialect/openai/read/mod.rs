//! Reads a request.

mod messages;
mod parameters;
mod tools;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use self::messages::Messages;
pub(crate) use self::messages::source;
use self::parameters::{Stops, format};
pub(crate) use self::parameters::{effort, schema_format, thinking};
use self::tools::{Choice, Declared, Tools};
use crate::call::chat::{Message, Request, Role};
use crate::call::peek::Field;
use crate::error::{Failure, RequestFault};

/// Reads a request for a chat completion.
pub fn chat(body: &[u8]) -> Result<Request, Failure> {
    read(body).map(|(request, _)| request)
}

/// Reads a request for a completion: its prompt is what a user says.
pub fn completion(body: &[u8]) -> Result<Request, Failure> {
    let (mut request, prompt) = read(body)?;
    let text = match prompt {
        Some(Value::String(text)) => text,
        Some(Value::Array(list)) => match <[Value; 1]>::try_from(list) {
            Ok([Value::String(text)]) => text,
            _ => return Err(fault("prompt", "one string")),
        },
        _ => return Err(fault("prompt", "a string")),
    };
    request.messages.push(Message::text(Role::User, text));
    Ok(request)
}

fn read(body: &[u8]) -> Result<(Request, Option<Value>), Failure> {
    let at = Cell::new("request_body");
    // Once for all of it: otherwise each string is looked through by itself.
    let text = simdutf8::basic::from_utf8(body).map_err(de::Error::custom);
    let read = text.and_then(|text| {
        let mut reader = serde_json::Deserializer::from_str(text);
        Reader { at: &at }.deserialize(&mut reader)
    });
    read.map_err(|error: serde_json::Error| {
        let name = at.get();
        Failure::Request(RequestFault::Parameter {
            name,
            what: format!("Invalid value for '{name}': {error}"),
        })
    })
}

fn fault(name: &'static str, wanted: &str) -> Failure {
    Failure::Request(RequestFault::Parameter {
        name,
        what: format!("Invalid value for '{name}': expected {wanted}."),
    })
}

/// Reads the members in one pass and notes which one it is at, for the error.
struct Reader<'a> {
    at: &'a Cell<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = (Request, Option<Value>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = (Request, Option<Value>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut request = Request::default();
        let mut prompt = None;
        let mut legacy = Legacy::default();
        while let Some(Name(name)) = map.next_key::<Name<'_>>()? {
            self.member(&name, &mut map, &mut request, &mut legacy, &mut prompt)?;
        }
        legacy.settle(&mut request).map_err(de::Error::custom)?;
        Ok((request, prompt))
    }
}

/// Members that have a newer name, which wins.
#[derive(Default)]
struct Legacy {
    max_tokens: Option<u64>,
    functions: Option<Vec<Declared>>,
    function_call: Choice,
}

impl Legacy {
    fn settle(self, request: &mut Request) -> Result<(), &'static str> {
        request.max_tokens = request.max_tokens.or(self.max_tokens);
        for function in self.functions.unwrap_or_default() {
            request.tools.push(function.read(None)?);
        }
        let choice = request.tool_choice.take();
        request.tool_choice = choice.or(self.function_call.0);
        Ok(())
    }
}

impl Reader<'_> {
    fn member<'de, A: MapAccess<'de>>(
        &self,
        name: &str,
        map: &mut A,
        request: &mut Request,
        legacy: &mut Legacy,
        prompt: &mut Option<Value>,
    ) -> Result<(), A::Error> {
        macro_rules! take {
            ($name:literal => $place:expr) => {{
                self.at.set($name);
                $place = map.next_value()?;
            }};
        }
        match name {
            "messages" => take!("messages" => Messages(request.messages)),
            "max_tokens" => take!("max_tokens" => legacy.max_tokens),
            "max_completion_tokens" => take!("max_completion_tokens" => request.max_tokens),
            "temperature" => take!("temperature" => request.temperature),
            "top_p" => take!("top_p" => request.top_p),
            "top_k" => take!("top_k" => request.top_k),
            "n" => take!("n" => request.n),
            "seed" => take!("seed" => request.seed),
            "presence_penalty" => take!("presence_penalty" => request.presence_penalty),
            "frequency_penalty" => take!("frequency_penalty" => request.frequency_penalty),
            // Chat says whether, completions say how many.
            "logprobs" => {
                self.at.set("logprobs");
                match map.next_value::<Value>()? {
                    Value::Null => {}
                    Value::Bool(wanted) => request.logprobs = Some(wanted),
                    Value::Number(most) => {
                        request.logprobs = Some(true);
                        request.top_logprobs = request.top_logprobs.or(most.as_u64());
                    }
                    _ => return Err(de::Error::custom("expected a boolean or a number")),
                }
            }
            "top_logprobs" => take!("top_logprobs" => request.top_logprobs),
            "parallel_tool_calls" => take!("parallel_tool_calls" => request.parallel_tool_calls),
            "user" => take!("user" => request.user),
            "service_tier" => take!("service_tier" => request.service_tier),
            "prompt" => take!("prompt" => *prompt),
            "functions" => take!("functions" => legacy.functions),
            "function_call" => take!("function_call" => legacy.function_call),
            "stop" => take!("stop" => Stops(request.stop)),
            "tools" => take!("tools" => Tools(request.tools)),
            "tool_choice" => take!("tool_choice" => Choice(request.tool_choice)),
            "response_format" => {
                self.at.set("response_format");
                request.format = format(map.next_value()?).map_err(de::Error::custom)?;
            }
            "reasoning_effort" => {
                self.at.set("reasoning_effort");
                if let Some(word) = map.next_value::<Option<String>>()? {
                    request.reasoning.get_or_insert_default().effort = Some(effort(&word));
                }
            }
            "thinking" => {
                self.at.set("thinking");
                thinking(&map.next_value()?, &mut request.reasoning).map_err(de::Error::custom)?;
            }
            _ => {
                let kept = match Field::named(name.as_bytes()) {
                    None => true,
                    Some(field) => field == Field::Store || field.is_of_responses(),
                };
                if !kept {
                    map.next_value::<IgnoredAny>()?;
                    return Ok(());
                }
                self.at.set("request_body");
                let value: Value = map.next_value()?;
                if !value.is_null() {
                    request.rest.insert(name.to_owned(), value);
                }
            }
        }
        Ok(())
    }
}
