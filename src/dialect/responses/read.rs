//! Reads a request.

use std::fmt;

use serde_json::{Map, Value};

use super::items;
use crate::call::Dialect;
use crate::call::chat::{Format, Function, Message, Request, Role, Tool, ToolChoice};
use crate::call::peek::Field;
use crate::dialect::openai::read::{effort, schema_format, thinking};
use crate::error::{Failure, RequestFault};

/// Reads a request for a response, for a provider that keeps none.
///
/// What only the provider of an earlier response knows is a fault of the caller's.
pub fn request(body: &[u8]) -> Result<Request, Failure> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Err(fault("request_body", "expected an object"));
    };
    let mut reader = Reader::default();
    for (name, value) in members {
        if !value.is_null() {
            reader.member(name, value)?;
        }
    }
    Ok(reader.finish())
}

fn fault(name: &'static str, what: impl fmt::Display) -> Failure {
    Failure::Request(RequestFault::Parameter {
        name,
        what: format!("{name}: {what}"),
    })
}

/// Why nothing can go on from what is kept elsewhere.
const NOT_KEPT: &str =
    "this model keeps no responses. Send the whole conversation as `input` instead";

#[derive(Default)]
struct Reader {
    request: Request,
    instructions: Option<String>,
    /// The only tools that may be called: names of functions, and kinds of others.
    allowed: Option<Vec<String>>,
}

impl Reader {
    fn member(&mut self, name: String, value: Value) -> Result<(), Failure> {
        macro_rules! wanted {
            ($name:literal, $what:literal, $read:expr) => {
                Some($read.ok_or_else(|| fault($name, concat!("expected ", $what)))?)
            };
        }
        let request = &mut self.request;
        match &*name {
            "input" => {
                let said = items::conversation(value).map_err(|what| fault("input", what))?;
                request.messages.extend(said);
            }
            "instructions" => match value {
                Value::String(text) => self.instructions = Some(text),
                _ => return Err(fault("instructions", "expected a string")),
            },
            "max_output_tokens" => {
                request.max_tokens = wanted!("max_output_tokens", "a whole number", value.as_u64());
            }
            "temperature" => {
                request.temperature =
                    wanted!("temperature", "a number", value.as_number().cloned());
            }
            "top_p" => request.top_p = wanted!("top_p", "a number", value.as_number().cloned()),
            "top_logprobs" => {
                let most = value.as_u64();
                let most = most.ok_or_else(|| fault("top_logprobs", "expected a whole number"))?;
                if most > 0 {
                    request.logprobs = Some(true);
                    request.top_logprobs = Some(most);
                }
            }
            "include" => {
                let asked = value.as_array().into_iter().flatten();
                if asked
                    .into_iter()
                    .any(|it| it == "message.output_text.logprobs")
                {
                    request.logprobs = Some(true);
                }
            }
            "parallel_tool_calls" => {
                request.parallel_tool_calls =
                    wanted!("parallel_tool_calls", "a boolean", value.as_bool());
            }
            "tools" => {
                let Value::Array(list) = value else {
                    return Err(fault("tools", "expected a list"));
                };
                for value in list {
                    let tool = tool(value).map_err(|what| fault("tools", what))?;
                    request.tools.push(tool);
                }
            }
            "tool_choice" => self
                .tool_choice(&value)
                .map_err(|what| fault("tool_choice", what))?,
            "text" => self.text(value)?,
            "reasoning" => self.reasoning(&value)?,
            "thinking" => {
                thinking(&value, &mut request.reasoning).map_err(|what| fault("thinking", what))?;
            }
            "user" => request.user = value.as_str().map(str::to_owned),
            "service_tier" => request.service_tier = value.as_str().map(str::to_owned),
            "previous_response_id" => return Err(fault("previous_response_id", NOT_KEPT)),
            "conversation" => return Err(fault("conversation", NOT_KEPT)),
            "prompt" => return Err(fault("prompt", "this model keeps no prompts")),
            // The default, and what there is in any case.
            "truncation" if value == "disabled" => {}
            "background" | "stream_options" | "store" | "metadata" => {}
            _ => {
                if Field::named(name.as_bytes()).is_none() {
                    request.rest.insert(name, value);
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, value: Value) -> Result<(), Failure> {
        let Value::Object(mut text) = value else {
            return Err(fault("text", "expected an object"));
        };
        if let Some(format) = text.remove("format").filter(|format| !format.is_null()) {
            self.request.format = Some(self::format(format).map_err(|what| fault("text", what))?);
        }
        if let Some(verbosity) = text.remove("verbosity").filter(|word| !word.is_null()) {
            self.request.rest.insert("verbosity".to_owned(), verbosity);
        }
        Ok(())
    }

    fn reasoning(&mut self, value: &Value) -> Result<(), Failure> {
        if !value.is_object() {
            return Err(fault("reasoning", "expected an object"));
        }
        if let Some(word) = value["effort"].as_str() {
            let reasoning = self.request.reasoning.get_or_insert_default();
            reasoning.effort = Some(effort(word));
            let summary = &value["summary"];
            reasoning.shown = (summary.is_string()).then_some(true);
        }
        Ok(())
    }

    fn tool_choice(&mut self, value: &Value) -> Result<(), &'static str> {
        let word = |word: Option<&str>| match word {
            Some("auto") => Ok(ToolChoice::Auto),
            Some("none") => Ok(ToolChoice::None),
            Some("required") => Ok(ToolChoice::Required),
            _ => Err("expected auto, none, required or an object that names a function"),
        };
        let choice = match value {
            Value::String(text) => word(Some(text))?,
            Value::Object(choice) => match choice.get("type").and_then(Value::as_str) {
                Some("function") => match choice.get("name").and_then(Value::as_str) {
                    Some(name) => ToolChoice::Function(name.to_owned()),
                    None => return Err("it names no function"),
                },
                Some("allowed_tools") => {
                    let allowed = value["tools"].as_array().into_iter().flatten();
                    let names =
                        allowed.filter_map(|tool| tool["name"].as_str().or(tool["type"].as_str()));
                    self.allowed = Some(names.map(str::to_owned).collect());
                    word(value["mode"].as_str())?
                }
                _ => return Err("this model cannot be held to such a tool"),
            },
            _ => return Err("expected a string or an object"),
        };
        self.request.tool_choice = Some(choice);
        Ok(())
    }

    fn finish(self) -> Request {
        let mut request = self.request;
        if let Some(allowed) = self.allowed {
            request.tools.retain(|tool| match tool {
                Tool::Function(function) => allowed.contains(&function.name),
                Tool::Builtin { value, .. } => {
                    let kind = value["type"].as_str().unwrap_or_default();
                    allowed.iter().any(|name| name == kind)
                }
            });
        }
        if let Some(text) = self.instructions {
            request
                .messages
                .insert(0, Message::text(Role::System, text));
        }
        request
    }
}

fn format(value: Value) -> Result<Format, &'static str> {
    let Value::Object(format) = value else {
        return Err("format must be an object");
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Object),
        Some("json_schema") => schema_format(format),
        _ => Err("there is no such type of format"),
    }
}

fn tool(value: Value) -> Result<Tool, &'static str> {
    let Value::Object(mut tool) = value else {
        return Err("a tool must be an object");
    };
    let text = |value: Option<Value>| match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    match tool.get("type").and_then(Value::as_str) {
        Some("function") => Ok(Tool::Function(Function {
            name: text(tool.remove("name")).ok_or("a function has no name")?,
            description: text(tool.remove("description")),
            strict: tool.get("strict").and_then(Value::as_bool),
            cache: tool.remove("cache_control"),
            parameters: match tool.remove("parameters") {
                None | Some(Value::Null) => None,
                Some(schema @ Value::Object(_)) => Some(schema.into()),
                Some(_) => return Err("a function's parameters must be a JSON Schema"),
            },
        })),
        // In chat, what it is stands in a member of that name.
        Some("custom") => {
            tool.remove("type");
            let value = serde_json::json!({"type": "custom", "custom": tool});
            Ok(Tool::Builtin {
                dialect: Dialect::OpenAi,
                value,
            })
        }
        Some(_) => Ok(Tool::Builtin {
            dialect: Dialect::Responses,
            value: Map::into(tool),
        }),
        None => Err("a tool has no type"),
    }
}
