//! What was said.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::call::Dialect;
use crate::call::chat::{Media, Message, Part, Role, Source, Text, Thinking, ToolCall, ToolResult};

/// `messages`.
pub(super) struct Messages(pub(super) Vec<Message>);

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Messages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Messages, A::Error> {
                let mut messages = Vec::with_capacity(8);
                while let Some(message) = list.next_element::<MessageIn<'_>>()? {
                    messages.push(message.read().map_err(de::Error::custom)?);
                }
                Ok(Messages(messages))
            }
        }
        deserializer.deserialize_seq(Each)
    }
}

#[derive(Deserialize)]
struct MessageIn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Content,
    name: Option<String>,
    #[serde(default)]
    tool_calls: Calls,
    tool_call_id: Option<String>,
    function_call: Option<FunctionIn>,
    reasoning_content: Option<String>,
    thinking_blocks: Option<Vec<ThoughtIn>>,
    refusal: Option<String>,
    annotations: Option<Vec<Value>>,
    cache_control: Option<Value>,
}

/// `content`: words, or a list of parts.
#[derive(Default)]
struct Content(Vec<Part>);

#[derive(Default, Deserialize)]
struct PartIn<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    text: Option<String>,
    image_url: Option<UrlIn>,
    video_url: Option<UrlIn>,
    input_audio: Option<AudioIn>,
    file: Option<FileIn>,
    refusal: Option<String>,
    cache_control: Option<Value>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Default, Deserialize)]
struct ThoughtIn {
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

/// An address, or an object that holds one.
#[derive(Default, Deserialize)]
struct Full {
    url: String,
    detail: Option<String>,
    format: Option<String>,
}

struct UrlIn(Full);

#[derive(Deserialize)]
struct AudioIn {
    data: String,
    format: String,
}

#[derive(Deserialize)]
struct FileIn {
    file_data: Option<String>,
    file_id: Option<String>,
    filename: Option<String>,
    format: Option<String>,
}

/// `tool_calls`.
#[derive(Default)]
struct Calls(Vec<Part>);

#[derive(Deserialize)]
struct CallIn {
    #[serde(default)]
    id: String,
    function: Option<FunctionIn>,
    custom: Option<Value>,
    provider_specific_fields: Option<Map<String, Value>>,
    cache_control: Option<Value>,
}

#[derive(Deserialize)]
struct FunctionIn {
    name: String,
    #[serde(default)]
    arguments: Value,
    provider_specific_fields: Option<Map<String, Value>>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of parts")
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::default())
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                // Nothing was said where an assistant only calls.
                let said = (!text.is_empty()).then(|| Part::text(text));
                Ok(Content(said.into_iter().collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut parts = Vec::with_capacity(1);
                while let Some(part) = list.next_element::<PartIn<'_>>()? {
                    parts.push(part.read().map_err(de::Error::custom)?);
                }
                Ok(Content(parts))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Calls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of calls")
            }

            fn visit_unit<E>(self) -> Result<Calls, E> {
                Ok(Calls::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Calls, A::Error> {
                let mut calls = Vec::with_capacity(1);
                while let Some(call) = list.next_element::<CallIn>()? {
                    calls.push(call.read().map_err(de::Error::custom)?);
                }
                Ok(Calls(calls))
            }
        }
        deserializer.deserialize_any(Each)
    }
}

impl<'de> Deserialize<'de> for UrlIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = UrlIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or an object with one")
            }

            fn visit_str<E>(self, url: &str) -> Result<UrlIn, E> {
                let url = url.to_owned();
                Ok(UrlIn(Full {
                    url,
                    ..Full::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UrlIn, A::Error> {
                Full::deserialize(de::value::MapAccessDeserializer::new(map)).map(UrlIn)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl MessageIn<'_> {
    fn read(self) -> Result<Message, String> {
        let role = match &*self.role {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => Role::Tool,
            other => return Err(format!("there is no role '{}'", shown(other))),
        };
        if role == Role::Tool {
            return self.result();
        }
        let Content(mut parts) = self.content;
        annotate(&mut parts, self.annotations, self.cache_control);
        match (self.thinking_blocks, self.reasoning_content) {
            (Some(blocks), _) if !blocks.is_empty() => {
                let blocks = blocks.into_iter().map(|block| Part::Thinking(block.read()));
                parts.splice(0..0, blocks);
            }
            (_, Some(text)) if !text.is_empty() && role == Role::Assistant => {
                let thought = Thinking {
                    text,
                    ..Thinking::default()
                };
                parts.insert(0, Part::Thinking(thought));
            }
            _ => {}
        }
        if let Some(refusal) = self.refusal.filter(|refusal| !refusal.is_empty()) {
            parts.push(Part::Refusal(refusal));
        }
        let Calls(mut calls) = self.tool_calls;
        if parts.is_empty() {
            parts = calls;
        } else {
            parts.append(&mut calls);
        }
        if let Some(function) = self.function_call {
            let id = function.name.clone();
            parts.push(Part::Call(function.read(id)));
        }
        Ok(Message {
            role,
            parts,
            name: self.name,
        })
    }

    fn result(self) -> Result<Message, String> {
        // Results of the older functions name the function alone.
        let id = match (self.tool_call_id, &self.name) {
            (Some(id), _) => id,
            (None, Some(name)) if self.role == "function" => name.clone(),
            _ => return Err("a message of a tool has no tool_call_id".to_owned()),
        };
        let result = ToolResult {
            id,
            name: self.name,
            parts: self.content.0,
            error: false,
            cache: self.cache_control,
        };
        Ok(Message {
            role: Role::Tool,
            parts: vec![Part::Result(result)],
            name: None,
        })
    }
}

/// Puts what stands at a message to the part that it speaks of.
fn annotate(parts: &mut [Part], annotations: Option<Vec<Value>>, cache: Option<Value>) {
    let last = parts.last_mut();
    let Some(last) = last else { return };
    match last {
        Part::Text(text) => {
            if let Some(annotations) = annotations {
                text.annotations = annotations;
            }
            text.cache = text.cache.take().or(cache);
        }
        Part::Image(media) | Part::Document(media) => {
            media.cache = media.cache.take().or(cache);
        }
        _ => {}
    }
}

impl PartIn<'_> {
    fn read(self) -> Result<Part, String> {
        let lacks = |what: &str| format!("a part of type '{}' lacks '{what}'", shown(&self.kind));
        Ok(match &*self.kind {
            "text" | "input_text" | "output_text" => Part::Text(Text {
                text: self.text.ok_or_else(|| lacks("text"))?,
                cache: self.cache_control,
                ..Text::default()
            }),
            "image_url" => {
                let url = self.image_url.ok_or_else(|| lacks("image_url"))?;
                Part::Image(url.read(self.cache_control))
            }
            "video_url" => {
                let url = self.video_url.ok_or_else(|| lacks("video_url"))?;
                Part::Video(url.read(self.cache_control))
            }
            "input_audio" => {
                let audio = self.input_audio.ok_or_else(|| lacks("input_audio"))?;
                Part::Audio(Media {
                    source: Source::Base64(audio.data),
                    mime: Some(format!("audio/{}", audio.format)),
                    cache: self.cache_control,
                    ..Media::default()
                })
            }
            "file" => {
                let file = self.file.ok_or_else(|| lacks("file"))?;
                Part::Document(file.read(self.cache_control)?)
            }
            "refusal" => Part::Refusal(self.refusal.ok_or_else(|| lacks("refusal"))?),
            "thinking" | "redacted_thinking" => {
                let (thinking, signature, data) = (self.thinking, self.signature, self.data);
                let thought = ThoughtIn {
                    thinking,
                    signature,
                    data,
                };
                Part::Thinking(thought.read())
            }
            other => return Err(format!("there is no part of type '{}'", shown(other))),
        })
    }
}

impl ThoughtIn {
    fn read(self) -> Thinking {
        Thinking {
            text: self.thinking.unwrap_or_default(),
            signature: self.signature.filter(|signature| !signature.is_empty()),
            redacted: self.data,
        }
    }
}

impl UrlIn {
    fn read(self, cache: Option<Value>) -> Media {
        let Full {
            url,
            detail,
            format,
        } = self.0;
        let (source, mime) = source(url);
        Media {
            source,
            mime: format.or(mime),
            name: None,
            detail,
            cache,
        }
    }
}

impl FileIn {
    fn read(self, cache: Option<Value>) -> Result<Media, String> {
        let (source, mime) = match (self.file_data, self.file_id) {
            (Some(data), _) => match source(data) {
                (Source::Url(bare), _) if !bare.contains("://") => (Source::Base64(bare), None),
                found => found,
            },
            // Anybody's files may be at an address; ids are OpenAI's own.
            (None, Some(id)) if id.contains("://") => source(id),
            (None, Some(id)) => (Source::File(id), None),
            (None, None) => return Err("a file has neither file_data nor file_id".to_owned()),
        };
        Ok(Media {
            source,
            mime: self.format.or(mime),
            name: self.filename,
            detail: None,
            cache,
        })
    }
}

/// What a URL says: bytes, if it is one of `data:`.
pub(crate) fn source(mut url: String) -> (Source, Option<String>) {
    let parsed = url.strip_prefix("data:").and_then(|rest| {
        let (head, data) = rest.split_once(',')?;
        let mime = head.strip_suffix(";base64")?;
        let mime = mime.split(';').next().unwrap_or(mime);
        Some((
            url.len() - data.len(),
            (!mime.is_empty()).then(|| mime.to_owned()),
        ))
    });
    match parsed {
        Some((start, mime)) => {
            url.drain(..start);
            (Source::Base64(url), mime)
        }
        None => (Source::Url(url), None),
    }
}

impl CallIn {
    fn read(self) -> Result<Part, String> {
        if let Some(custom) = self.custom {
            let value = serde_json::json!({"id": self.id, "type": "custom", "custom": custom});
            return Ok(Part::Other {
                dialect: Dialect::OpenAi,
                value,
            });
        }
        let function = self.function.ok_or("a tool call has no function")?;
        let mut call = function.read(self.id);
        if call.signature.is_none() {
            call.signature = signature(self.provider_specific_fields);
        }
        call.cache = self.cache_control;
        Ok(Part::Call(call))
    }
}

fn signature(fields: Option<Map<String, Value>>) -> Option<String> {
    match fields?.remove("thought_signature")? {
        Value::String(signature) => Some(signature),
        _ => None,
    }
}

impl FunctionIn {
    fn read(self, id: String) -> ToolCall {
        ToolCall {
            id,
            name: self.name,
            arguments: match self.arguments {
                Value::String(text) => text,
                Value::Null => String::new(),
                // Some clients send the object itself.
                other => other.to_string(),
            },
            signature: signature(self.provider_specific_fields),
            cache: None,
        }
    }
}

/// As much of a caller's text as an error shows.
fn shown(text: &str) -> &str {
    let end = text.char_indices().nth(40).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
