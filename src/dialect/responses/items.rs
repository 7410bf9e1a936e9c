//! Reads the items of a conversation.

use serde_json::{Map, Value, json};

use super::{REDACTED, SIGNED};
use crate::call::Dialect;
use crate::call::chat::{Media, Message, Part, Role, Source, Text, Thinking, ToolCall, ToolResult};
use crate::dialect::openai::read::source;

/// The turns of an `input`: a text, or a list of items.
///
/// What a model said, thought and called in one go is one turn, as it is in other dialects.
pub(super) fn conversation(value: Value) -> Result<Vec<Message>, String> {
    let items = match value {
        Value::String(text) => return Ok(vec![Message::text(Role::User, text)]),
        Value::Array(items) => items,
        _ => return Err("expected a string or a list of items".to_owned()),
    };
    let mut turns: Vec<Message> = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let (role, parts) = self::item(item).map_err(|what| format!("{at}: {what}"))?;
        match turns.last_mut() {
            Some(last) if role == Role::Assistant && last.role == role => last.parts.extend(parts),
            _ => turns.push(Message {
                role,
                parts,
                name: None,
            }),
        }
    }
    Ok(turns)
}

fn item(value: Value) -> Result<(Role, Vec<Part>), String> {
    let Value::Object(mut item) = value else {
        return Err("an item must be an object".to_owned());
    };
    let kind = match item.get("type") {
        None | Some(Value::Null) if item.contains_key("role") => "message".to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        _ => return Err("an item has no type".to_owned()),
    };
    let part = match &*kind {
        "message" => {
            let role = role(&item)?;
            let said = item.remove("content").unwrap_or_default();
            return Ok((role, content(said)?));
        }
        "function_call" => Part::Call(ToolCall {
            id: text(&mut item, "call_id")?,
            name: text(&mut item, "name")?,
            arguments: text(&mut item, "arguments")?,
            signature: signature(&item),
            cache: item.remove("cache_control"),
        }),
        "custom_tool_call" => {
            let custom = json!({"name": item.get("name"), "input": item.get("input")});
            let value =
                json!({"id": text(&mut item, "call_id")?, "type": "custom", "custom": custom});
            Part::Other {
                dialect: Dialect::OpenAi,
                value,
            }
        }
        "function_call_output" | "custom_tool_call_output" => {
            let result = ToolResult {
                id: text(&mut item, "call_id")?,
                name: None,
                parts: content(item.remove("output").unwrap_or_default())?,
                error: false,
                cache: item.remove("cache_control"),
            };
            return Ok((Role::Tool, vec![Part::Result(result)]));
        }
        "reasoning" => Part::Thinking(thinking(&item)),
        "item_reference" => {
            return Err(
                "this model keeps no items. Send the item itself in place of its reference"
                    .to_owned(),
            );
        }
        // What the provider of another response did on its own is no part of this conversation's
        // words; a provider of the same dialect knows it.
        _ => Part::Other {
            dialect: Dialect::Responses,
            value: Value::Object(item),
        },
    };
    Ok((Role::Assistant, vec![part]))
}

fn role(item: &Map<String, Value>) -> Result<Role, String> {
    Ok(match item.get("role").and_then(Value::as_str) {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => return Err("role must be user, assistant, system or developer".to_owned()),
    })
}

fn text(item: &mut Map<String, Value>, name: &str) -> Result<String, String> {
    match item.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("{name} must be a string")),
    }
}

fn optional(item: &mut Map<String, Value>, name: &str) -> Option<String> {
    match item.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The proof that the provider wants back with a call.
fn signature(item: &Map<String, Value>) -> Option<String> {
    let fields = item.get("provider_specific_fields")?;
    fields["thought_signature"].as_str().map(str::to_owned)
}

/// A thought. Content that another provider has encrypted is nothing to anybody else.
fn thinking(item: &Map<String, Value>) -> Thinking {
    let texts = |name: &str, separator: &str| {
        let list = item.get(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten();
        let texts = texts.filter_map(|piece| piece["text"].as_str());
        texts.collect::<Vec<_>>().join(separator)
    };
    let mut said = texts("summary", "\n\n");
    if said.is_empty() {
        said = texts("content", "");
    }
    let proof = item.get("encrypted_content").and_then(Value::as_str);
    let proof = proof.unwrap_or_default();
    Thinking {
        text: said,
        signature: proof.strip_prefix(SIGNED).map(str::to_owned),
        redacted: proof.strip_prefix(REDACTED).map(str::to_owned),
    }
}

/// A text, or a list of parts.
fn content(value: Value) -> Result<Vec<Part>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(parts) => {
            let part = |(at, value)| part(value).map_err(|what| format!("content.{at}: {what}"));
            parts.into_iter().enumerate().map(part).collect()
        }
        _ => Err("content must be a string or a list of parts".to_owned()),
    }
}

fn part(value: Value) -> Result<Part, String> {
    let Value::Object(mut part) = value else {
        return Err("a part must be an object".to_owned());
    };
    let kind = optional(&mut part, "type").unwrap_or_default();
    let cache = part.remove("cache_control");
    Ok(match &*kind {
        "input_text" | "output_text" | "text" => {
            let annotations = match part.remove("annotations") {
                Some(Value::Array(list)) => list.into_iter().map(annotation).collect(),
                _ => Vec::new(),
            };
            Part::Text(Text {
                text: text(&mut part, "text")?,
                cache,
                annotations,
                signature: None,
            })
        }
        "refusal" => Part::Refusal(text(&mut part, "refusal")?),
        "input_image" => {
            let at = optional(&mut part, "image_url");
            let (source, mime) = match (at, optional(&mut part, "file_id")) {
                (Some(url), _) => source(url),
                (None, Some(id)) => (Source::File(id), None),
                (None, None) => {
                    return Err("an image has neither image_url nor file_id".to_owned());
                }
            };
            Part::Image(Media {
                source,
                mime,
                name: None,
                detail: optional(&mut part, "detail"),
                cache,
            })
        }
        "input_file" => Part::Document(file(&mut part, cache)?),
        "input_audio" => {
            let Some(Value::Object(mut audio)) = part.remove("input_audio") else {
                return Err("input_audio must be an object".to_owned());
            };
            Part::Audio(Media {
                mime: Some(format!("audio/{}", text(&mut audio, "format")?)),
                source: Source::Base64(text(&mut audio, "data")?),
                cache,
                ..Media::default()
            })
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(format!("there is no part of type '{shown}'"));
        }
    })
}

fn file(part: &mut Map<String, Value>, cache: Option<Value>) -> Result<Media, String> {
    let data = optional(part, "file_data").map(|data| match source(data) {
        (Source::Url(bare), _) if !bare.contains("://") => (Source::Base64(bare), None),
        found => found,
    });
    let found = data
        .or_else(|| optional(part, "file_url").map(source))
        .or_else(|| optional(part, "file_id").map(|id| (Source::File(id), None)));
    let (source, mime) =
        found.ok_or_else(|| "a file has neither file_data nor file_url nor file_id".to_owned())?;
    Ok(Media {
        source,
        mime,
        name: optional(part, "filename"),
        detail: None,
        cache,
    })
}

/// A source in the form of chat, which has the figures of its kind in a member of the kind's name.
fn annotation(value: Value) -> Value {
    match value {
        Value::Object(mut flat) if flat.get("type").is_some_and(|kind| kind == "url_citation") => {
            flat.remove("type");
            json!({"type": "url_citation", "url_citation": flat})
        }
        other => other,
    }
}
