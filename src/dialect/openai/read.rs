//! Reads a request.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::call::Dialect;
use crate::call::chat::{
    Effort, Format, Function, Media, Message, Part, Reasoning, Request, Role, Source, Text,
    Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};
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
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Reader { at: &at }.deserialize(&mut reader);
    read.map_err(|error| {
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
    functions: Option<Vec<Value>>,
    function_call: Option<Value>,
}

impl Legacy {
    fn settle(self, request: &mut Request) -> Result<(), &'static str> {
        request.max_tokens = request.max_tokens.or(self.max_tokens);
        for function in self.functions.unwrap_or_default() {
            let Value::Object(function) = function else {
                return Err("functions must be objects");
            };
            request
                .tools
                .push(Tool::Function(declared(function, None)?));
        }
        if let (None, Some(choice)) = (&request.tool_choice, self.function_call) {
            request.tool_choice = tool_choice(choice)?;
        }
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
            "messages" => {
                self.at.set("messages");
                request.messages = map.next_value::<Messages>()?.0;
            }
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
            "stop" => {
                self.at.set("stop");
                request.stop = stop(map.next_value()?).map_err(de::Error::custom)?;
            }
            "tools" => {
                self.at.set("tools");
                for value in map.next_value::<Option<Vec<Value>>>()?.unwrap_or_default() {
                    request.tools.push(tool(value).map_err(de::Error::custom)?);
                }
            }
            "tool_choice" => {
                self.at.set("tool_choice");
                request.tool_choice = tool_choice(map.next_value()?).map_err(de::Error::custom)?;
            }
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

struct Messages(Vec<Message>);

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Messages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Messages, A::Error> {
                let mut messages = Vec::new();
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
    tool_calls: Option<Vec<CallIn>>,
    tool_call_id: Option<String>,
    function_call: Option<FunctionIn>,
    reasoning_content: Option<String>,
    thinking_blocks: Option<Vec<ThoughtIn>>,
    refusal: Option<String>,
    annotations: Option<Vec<Value>>,
    cache_control: Option<Value>,
}

#[derive(Default)]
enum Content {
    #[default]
    None,
    Text(String),
    Parts(Vec<PartIn>),
}

#[derive(Default, Deserialize)]
struct PartIn {
    #[serde(default, rename = "type")]
    kind: String,
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

#[derive(Deserialize)]
#[serde(untagged)]
enum UrlIn {
    Bare(String),
    Full {
        url: String,
        detail: Option<String>,
        format: Option<String>,
    },
}

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
                Ok(Content::None)
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = list.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
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
        let mut parts = Vec::with_capacity(1);
        match (self.thinking_blocks, self.reasoning_content) {
            (Some(blocks), _) if !blocks.is_empty() => {
                parts.extend(blocks.into_iter().map(|block| Part::Thinking(block.read())));
            }
            (_, Some(text)) if !text.is_empty() && role == Role::Assistant => {
                parts.push(Part::Thinking(Thinking {
                    text,
                    ..Thinking::default()
                }));
            }
            _ => {}
        }
        let before = parts.len();
        self.content.read(&mut parts)?;
        annotate(&mut parts[before..], self.annotations, self.cache_control);
        if let Some(refusal) = self.refusal.filter(|refusal| !refusal.is_empty()) {
            parts.push(Part::Refusal(refusal));
        }
        for call in self.tool_calls.unwrap_or_default() {
            parts.push(call.read()?);
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
        let mut parts = Vec::with_capacity(1);
        self.content.read(&mut parts)?;
        let result = ToolResult {
            id,
            name: self.name,
            parts,
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

impl Content {
    fn read(self, parts: &mut Vec<Part>) -> Result<(), String> {
        match self {
            Self::None => {}
            // Nothing was said where an assistant only calls.
            Self::Text(text) => {
                if !text.is_empty() {
                    parts.push(Part::text(text));
                }
            }
            Self::Parts(list) => {
                for part in list {
                    parts.push(part.read()?);
                }
            }
        }
        Ok(())
    }
}

impl PartIn {
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
        let (url, detail, format) = match self {
            Self::Bare(url) => (url, None, None),
            Self::Full {
                url,
                detail,
                format,
            } => (url, detail, format),
        };
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
pub(crate) fn source(url: String) -> (Source, Option<String>) {
    let parsed = url.strip_prefix("data:").and_then(|rest| {
        let (head, data) = rest.split_once(',')?;
        let mime = head.strip_suffix(";base64")?;
        let mime = mime.split(';').next().unwrap_or(mime);
        let mime = (!mime.is_empty()).then(|| mime.to_owned());
        Some((Source::Base64(data.to_owned()), mime))
    });
    parsed.unwrap_or((Source::Url(url), None))
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

fn stop(value: Value) -> Result<Vec<String>, &'static str> {
    const WANTED: &str = "expected a string or a list of strings";
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text]),
        Value::Array(list) => list
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(WANTED),
            })
            .collect(),
        _ => Err(WANTED),
    }
}

fn tool(value: Value) -> Result<Tool, &'static str> {
    let Value::Object(mut tool) = value else {
        return Err("a tool must be an object");
    };
    let kind = tool.get("type").and_then(Value::as_str);
    if kind == Some("function") || (kind.is_none() && tool.contains_key("function")) {
        let cache = tool.remove("cache_control");
        let Some(Value::Object(function)) = tool.remove("function") else {
            return Err("a tool of type 'function' has no function");
        };
        return declared(function, cache).map(Tool::Function);
    }
    let dialect = match kind {
        Some(kind) if is_anthropics(kind) => Dialect::Anthropic,
        Some(_) => Dialect::OpenAi,
        // Gemini's own are members: `{"googleSearch": {}}`.
        None => Dialect::Gemini,
    };
    let value = Value::Object(tool);
    Ok(Tool::Builtin { dialect, value })
}

/// Whether a type of tool is one of Anthropic's own, which end in the day of their version.
fn is_anthropics(kind: &str) -> bool {
    let version = kind.rsplit_once('_').map_or("", |(_, version)| version);
    version.len() == 8 && version.bytes().all(|byte| byte.is_ascii_digit())
}

fn declared(
    mut function: Map<String, Value>,
    cache: Option<Value>,
) -> Result<Function, &'static str> {
    let Some(Value::String(name)) = function.remove("name") else {
        return Err("a function has no name");
    };
    let description = match function.remove("description") {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let parameters = match function.remove("parameters") {
        None | Some(Value::Null) => None,
        Some(schema @ Value::Object(_)) => Some(schema),
        Some(_) => return Err("a function's parameters must be a JSON Schema"),
    };
    Ok(Function {
        name,
        description,
        parameters,
        strict: function.get("strict").and_then(Value::as_bool),
        cache: cache.or_else(|| function.remove("cache_control")),
    })
}

fn tool_choice(value: Value) -> Result<Option<ToolChoice>, &'static str> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::String(word) => match &*word {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            _ => return Err("expected auto, none, required or an object that names a function"),
        },
        Value::Object(choice) => {
            let function = choice.get("function").unwrap_or(&Value::Null);
            match function.get("name").or_else(|| choice.get("name")) {
                Some(Value::String(name)) => ToolChoice::Function(name.clone()),
                _ => return Err("it names no function"),
            }
        }
        _ => return Err("expected a string or an object"),
    }))
}

fn format(value: Value) -> Result<Option<Format>, &'static str> {
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

/// As much of a caller's text as an error shows.
fn shown(text: &str) -> &str {
    let end = text.char_indices().nth(40).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
