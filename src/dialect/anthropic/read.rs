//! Reads a request.

use serde_json::{Map, Value};

use crate::call::Dialect;
use crate::call::chat::{
    Format, Function, Media, Message, Part, Request, Role, Schema, Source, Text, Thinking, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use crate::call::peek::Field;
use crate::dialect::openai::read::{effort, schema_format, thinking};
use crate::error::{Failure, RequestFault};

/// Reads a request for a message, or for the count of its tokens.
pub fn request(body: &[u8]) -> Result<Request, Failure> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Err(fault("request_body", "expected an object"));
    };
    let mut request = Request::default();
    let mut system = Vec::new();
    for (name, value) in members {
        if !value.is_null() {
            member(&mut request, &mut system, name, value)?;
        }
    }
    if !system.is_empty() {
        let instructions = Message {
            role: Role::System,
            parts: system,
            name: None,
        };
        request.messages.insert(0, instructions);
    }
    Ok(request)
}

fn fault(name: &'static str, what: impl std::fmt::Display) -> Failure {
    Failure::Request(RequestFault::Parameter {
        name,
        what: format!("{name}: {what}"),
    })
}

fn member(
    request: &mut Request,
    system: &mut Vec<Part>,
    name: String,
    value: Value,
) -> Result<(), Failure> {
    macro_rules! wanted {
        ($name:literal, $what:literal, $read:expr) => {
            Some($read.ok_or_else(|| fault($name, concat!("expected ", $what)))?)
        };
    }
    match &*name {
        "messages" => {
            let Value::Array(list) = value else {
                return Err(fault("messages", "expected a list"));
            };
            for (at, turn) in list.into_iter().enumerate() {
                let turn =
                    message(turn).map_err(|what| fault("messages", format!("{at}: {what}")))?;
                request.messages.push(turn);
            }
        }
        "system" => *system = content(value).map_err(|what| fault("system", what))?,
        "max_tokens" => {
            request.max_tokens = wanted!("max_tokens", "a whole number", value.as_u64());
        }
        "temperature" => {
            request.temperature = wanted!("temperature", "a number", value.as_number().cloned());
        }
        "top_p" => request.top_p = wanted!("top_p", "a number", value.as_number().cloned()),
        "top_k" => request.top_k = wanted!("top_k", "a whole number", value.as_u64()),
        "stop_sequences" => {
            request.stop = serde_json::from_value(value)
                .map_err(|_| fault("stop_sequences", "expected a list of strings"))?;
        }
        "tools" => {
            let Value::Array(list) = value else {
                return Err(fault("tools", "expected a list"));
            };
            for value in list {
                request
                    .tools
                    .push(tool(value).map_err(|what| fault("tools", what))?);
            }
        }
        "tool_choice" => {
            let choice = tool_choice(&value).map_err(|what| fault("tool_choice", what))?;
            request.tool_choice = Some(choice);
            let alone = value["disable_parallel_tool_use"].as_bool();
            request.parallel_tool_calls = alone.map(|alone| !alone);
        }
        "thinking" => {
            thinking(&value, &mut request.reasoning).map_err(|what| fault("thinking", what))?;
        }
        "output_config" => output(request, value)?,
        "output_format" => {
            request.format = Some(format(value).map_err(|what| fault("output_format", what))?);
        }
        "metadata" => request.user = value["user_id"].as_str().map(str::to_owned),
        "service_tier" => {
            request.service_tier = value.as_str().map(|tier| match tier {
                "standard_only" => "default".to_owned(),
                other => other.to_owned(),
            });
        }
        _ => {
            if Field::named(name.as_bytes()).is_none_or(Field::is_of_responses) {
                request.rest.insert(name, value);
            }
        }
    }
    Ok(())
}

/// `output_config`: effort and form of the answer.
fn output(request: &mut Request, value: Value) -> Result<(), Failure> {
    let Value::Object(mut config) = value else {
        return Err(fault("output_config", "expected an object"));
    };
    if let Some(Value::String(word)) = config.remove("effort") {
        request.reasoning.get_or_insert_default().effort = Some(effort(&word));
    }
    if let Some(value) = config.remove("format").filter(|value| !value.is_null()) {
        request.format = Some(format(value).map_err(|what| fault("output_config", what))?);
    }
    if !config.is_empty() {
        let value = Value::Object(config);
        request.rest.insert("output_config".to_owned(), value);
    }
    Ok(())
}

fn format(value: Value) -> Result<Format, &'static str> {
    match value {
        Value::Object(named) if value_is(&named, "type", "json_schema") => schema_format(named),
        _ => Err("there is no such format"),
    }
}

fn value_is(members: &Map<String, Value>, name: &str, text: &str) -> bool {
    members.get(name).and_then(Value::as_str) == Some(text)
}

fn message(value: Value) -> Result<Message, String> {
    let Value::Object(mut turn) = value else {
        return Err("expected an object".to_owned());
    };
    let role = match turn.get("role").and_then(Value::as_str) {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err("role must be user or assistant".to_owned()),
    };
    let said = turn.remove("content").unwrap_or_default();
    Ok(Message {
        role,
        parts: content(said)?,
        name: None,
    })
}

/// A string or a list of blocks.
fn content(value: Value) -> Result<Vec<Part>, String> {
    match value {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(blocks) => {
            let block = |(at, value)| block(value).map_err(|what| format!("content.{at}: {what}"));
            blocks.into_iter().enumerate().map(block).collect()
        }
        _ => Err("content must be a string or a list of blocks".to_owned()),
    }
}

fn text(block: &mut Map<String, Value>, name: &str) -> Result<String, String> {
    match block.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("{name} must be a string")),
    }
}

fn optional(block: &mut Map<String, Value>, name: &str) -> Option<String> {
    match block.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn block(value: Value) -> Result<Part, String> {
    let Value::Object(mut block) = value else {
        return Err("a block must be an object".to_owned());
    };
    let kind = block
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    let cache = || block_cache(&block);
    Ok(match &*kind {
        "text" => {
            let cache = cache();
            Part::Text(Text {
                text: text(&mut block, "text")?,
                cache,
                ..Text::default()
            })
        }
        "thinking" => Part::Thinking(Thinking {
            text: text(&mut block, "thinking")?,
            signature: optional(&mut block, "signature").filter(|text| !text.is_empty()),
            redacted: None,
        }),
        "redacted_thinking" => Part::Thinking(Thinking {
            redacted: Some(text(&mut block, "data")?),
            ..Thinking::default()
        }),
        "image" => Part::Image(media(block)?),
        "document" => Part::Document(media(block)?),
        "tool_use" => {
            let cache = cache();
            Part::Call(ToolCall {
                id: text(&mut block, "id")?,
                name: text(&mut block, "name")?,
                arguments: block.remove("input").unwrap_or_default().to_string(),
                signature: None,
                cache,
            })
        }
        "tool_result" => {
            let cache = cache();
            Part::Result(ToolResult {
                id: text(&mut block, "tool_use_id")?,
                name: None,
                parts: match block.remove("content") {
                    None | Some(Value::Null) => Vec::new(),
                    Some(said) => content(said)?,
                },
                error: block.get("is_error").and_then(Value::as_bool) == Some(true),
                cache,
            })
        }
        "" => return Err("a block has no type".to_owned()),
        _ => Part::Other {
            dialect: Dialect::Anthropic,
            value: Value::Object(block),
        },
    })
}

fn block_cache(block: &Map<String, Value>) -> Option<Value> {
    let cache = block.get("cache_control");
    cache.filter(|value| !value.is_null()).cloned()
}

fn media(mut block: Map<String, Value>) -> Result<Media, String> {
    let Some(Value::Object(mut source)) = block.remove("source") else {
        return Err("source must be an object".to_owned());
    };
    let mime = optional(&mut source, "media_type");
    let bytes = match source.get("type").and_then(Value::as_str) {
        Some("base64") => Source::Base64(text(&mut source, "data")?),
        Some("text") => Source::Text(text(&mut source, "data")?),
        Some("url") => Source::Url(text(&mut source, "url")?),
        Some("file") => Source::File(text(&mut source, "file_id")?),
        Some("content") => {
            let said = content(source.remove("content").unwrap_or_default())?;
            let words = said.iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.text.as_str()),
                _ => None,
            });
            Source::Text(words.collect::<Vec<_>>().join("\n"))
        }
        _ => return Err("there is no such type of source".to_owned()),
    };
    Ok(Media {
        source: bytes,
        mime,
        name: optional(&mut block, "title"),
        detail: None,
        cache: block_cache(&block),
    })
}

fn tool(value: Value) -> Result<Tool, String> {
    let Value::Object(mut tool) = value else {
        return Err("a tool must be an object".to_owned());
    };
    match tool.get("type").and_then(Value::as_str) {
        None | Some("custom") => {}
        Some(_) => {
            return Ok(Tool::Builtin {
                dialect: Dialect::Anthropic,
                value: Value::Object(tool),
            });
        }
    }
    Ok(Tool::Function(Function {
        name: text(&mut tool, "name")?,
        description: optional(&mut tool, "description"),
        cache: block_cache(&tool),
        strict: tool.get("strict").and_then(Value::as_bool),
        parameters: tool.remove("input_schema").map(Schema::from),
    }))
}

fn tool_choice(value: &Value) -> Result<ToolChoice, &'static str> {
    Ok(match value["type"].as_str() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => match value["name"].as_str() {
            Some(name) => ToolChoice::Function(name.to_owned()),
            None => return Err("it names no tool"),
        },
        _ => return Err("there is no such type"),
    })
}
