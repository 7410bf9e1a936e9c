//! A conversation as OpenAI gets it.

use pointsman_routes::table::{Capabilities, Protocol};
use serde_json::{Map, Value, json};

use crate::call::Dialect;
use crate::call::chat::{
    Effort, Format, Media, Message, Part, Reasoning, Request, Role, Source, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use crate::upstream::openai::quirks::{Vendor, thinks_first};
use crate::upstream::protocol::{Ask, Task, Unfit, Written};

/// Tokens to think from which on a word for it fits; the figures are LiteLLM's.
const EFFORTS: [(u64, &str); 4] = [
    (10_000, "high"),
    (5_000, "medium"),
    (2_000, "low"),
    (1, "minimal"),
];

/// Members of other dialects that speak of nothing that OpenAI's chat has.
const FOREIGN: &[&str] = &[
    "anthropic_beta",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "cachedContent",
    "labels",
    "max_tool_calls",
    "truncation",
    "safetySettings",
    "safety_settings",
];

/// Writes the body.
pub(super) fn write(ask: &Ask<'_>, chat: &Request) -> Result<Written, Unfit> {
    let mut writer = Writer {
        ask,
        body: Map::new(),
        dropped: Vec::new(),
    };
    writer.put("model", ask.model);
    let mut messages = Vec::with_capacity(chat.messages.len());
    for message in &chat.messages {
        writer.message(message, &mut messages)?;
    }
    writer.put("messages", messages);
    writer.tools(chat)?;
    writer.parameters(chat)?;
    writer.rest(chat)?;
    for (ours, theirs) in ask.deployment.provider.renames.iter() {
        if let Some(value) = writer.body.remove(&**ours) {
            writer.body.entry(theirs.to_string()).or_insert(value);
        }
    }
    let vendor = Vendor::of(&ask.deployment.provider);
    let fitted = (&mut writer.body, &ask.params);
    vendor.fit_members(ask.deployment, ask.model, fitted, &mut writer.dropped)?;
    if ask.task == Task::Stream {
        writer.put("stream", true);
        if ask.deployment.provider.stream_options {
            writer.put("stream_options", json!({"include_usage": true}));
        }
    }
    Ok(Written {
        body: Value::Object(writer.body).to_string().into(),
        dropped: writer.dropped,
        ..Written::default()
    })
}

struct Writer<'a> {
    ask: &'a Ask<'a>,
    body: Map<String, Value>,
    dropped: Vec<&'static str>,
}

impl Writer<'_> {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.body.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn lacks(&mut self, name: &'static str) -> Result<(), Unfit> {
        self.ask.params.lacks(name, &mut self.dropped)
    }

    /// Whether the server is OpenAI's own, which refuses what it does not know.
    fn is_openai(&self) -> bool {
        let provider = &self.ask.deployment.provider;
        provider.protocol == Protocol::Azure || provider.name == "openai"
    }

    fn message(&mut self, message: &Message, out: &mut Vec<Value>) -> Result<(), Unfit> {
        // Results may stand among what a user says; here each is a turn of its own, and first.
        let mut shown = Vec::new();
        for part in &message.parts {
            if let Part::Result(result) = part {
                out.push(result_of(result, &mut shown)?);
            }
        }
        let role = match &message.role {
            Role::System => "system",
            Role::Assistant => {
                out.push(self.assistant(message)?);
                return Ok(());
            }
            Role::User | Role::Tool => "user",
            Role::Other(_) => return Err(unfit("has no such role")),
        };
        for part in &message.parts {
            if !matches!(part, Part::Result(_)) {
                shown.push(part);
            }
        }
        if shown.is_empty() {
            // Nothing but results was said.
            if !message.parts.is_empty() {
                return Ok(());
            }
        }
        let mut turn = json!({"role": role, "content": content_of(&shown)?});
        if let Some(name) = &message.name {
            turn["name"] = name.as_str().into();
        }
        out.push(turn);
        Ok(())
    }

    fn assistant(&self, message: &Message) -> Result<Value, Unfit> {
        let (mut said, mut thought) = (String::new(), String::new());
        let mut turn = json!({"role": "assistant"});
        let mut calls = Vec::new();
        for part in &message.parts {
            match part {
                Part::Text(text) => said.push_str(&text.text),
                Part::Thinking(thinking) => thought.push_str(&thinking.text),
                Part::Refusal(text) => turn["refusal"] = text.as_str().into(),
                Part::Call(call) => calls.push(tool_call(call)),
                Part::Other {
                    dialect: Dialect::OpenAi,
                    value,
                } => calls.push(value.clone()),
                // What another provider did on its own cannot be told here.
                Part::Other { .. } | Part::Image(_) | Part::Audio(_) => {}
                Part::Document(_) | Part::Video(_) | Part::Result(_) => {
                    return Err(unfit("has no such part in what the model said"));
                }
            }
        }
        turn["content"] = if said.is_empty() && !calls.is_empty() {
            Value::Null
        } else {
            said.into()
        };
        if !calls.is_empty() {
            turn["tool_calls"] = calls.into();
        }
        if !thought.is_empty() && self.ask.deployment.provider.name == "deepseek" {
            turn["reasoning_content"] = thought.into();
        }
        Ok(turn)
    }

    fn tools(&mut self, chat: &Request) -> Result<(), Unfit> {
        let mut tools = Vec::with_capacity(chat.tools.len());
        for tool in &chat.tools {
            match tool {
                Tool::Function(function) => {
                    let mut written = json!({"name": function.name});
                    if let Some(description) = &function.description {
                        written["description"] = description.as_str().into();
                    }
                    if let Some(parameters) = &function.parameters {
                        written["parameters"] = parameters.read();
                    }
                    if let Some(strict) = function.strict {
                        written["strict"] = strict.into();
                    }
                    tools.push(json!({"type": "function", "function": written}));
                }
                Tool::Builtin {
                    dialect: Dialect::OpenAi,
                    value,
                } => tools.push(value.clone()),
                Tool::Builtin { .. } => self.lacks("tools")?,
            }
        }
        if tools.is_empty() {
            return Ok(());
        }
        self.put("tools", tools);
        let choice = chat.tool_choice.as_ref().map(|choice| match choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Function(name) => json!({"type": "function", "function": {"name": name}}),
        });
        self.put_some("tool_choice", choice);
        self.put_some("parallel_tool_calls", chat.parallel_tool_calls);
        Ok(())
    }

    fn parameters(&mut self, chat: &Request) -> Result<(), Unfit> {
        let thinks = thinks_first(self.ask.deployment, self.ask.model);
        let most = if self.is_openai() {
            "max_completion_tokens"
        } else {
            "max_tokens"
        };
        self.put_some(most, chat.max_tokens);
        self.sampling(chat, thinks)?;
        self.put_some("n", chat.n);
        self.put_some("seed", chat.seed);
        self.put_some("user", chat.user.clone());
        self.put_some("service_tier", chat.service_tier.clone());
        if !chat.stop.is_empty() {
            if thinks && self.is_openai() {
                self.lacks("stop")?;
            } else {
                self.put("stop", chat.stop.clone());
            }
        }
        self.put_some("response_format", chat.format.as_ref().map(format));
        if let Some(reasoning) = &chat.reasoning {
            self.reasoning(reasoning);
        }
        Ok(())
    }

    fn sampling(&mut self, chat: &Request, thinks: bool) -> Result<(), Unfit> {
        for (name, value) in [
            ("temperature", &chat.temperature),
            ("top_p", &chat.top_p),
            ("presence_penalty", &chat.presence_penalty),
            ("frequency_penalty", &chat.frequency_penalty),
        ] {
            let Some(value) = value else { continue };
            // The value that is theirs anyway is taken.
            let own = if name.starts_with('t') { 1.0 } else { 0.0 };
            if thinks && value.as_f64() != Some(own) {
                self.lacks(name)?;
            } else {
                self.put(name, value.clone());
            }
        }
        if chat.logprobs.is_some() && thinks {
            self.lacks("logprobs")?;
        } else {
            self.put_some("logprobs", chat.logprobs);
            self.put_some("top_logprobs", chat.top_logprobs);
        }
        match chat.top_k {
            Some(_) if self.is_openai() => self.lacks("top_k"),
            top_k => {
                self.put_some("top_k", top_k);
                Ok(())
            }
        }
    }

    /// How long to think. A model that is known not to think is not asked to: it answers as well
    /// without.
    fn reasoning(&mut self, reasoning: &Reasoning) {
        let word = match (&reasoning.effort, reasoning.budget) {
            (Some(effort), _) => match effort {
                Effort::None => "none",
                Effort::Minimal => "minimal",
                Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High => "high",
                Effort::Max => "xhigh",
                Effort::Other(word) => word,
            },
            (None, Some(budget)) => {
                let found = EFFORTS.iter().find(|(least, _)| budget >= *least);
                found.map_or("none", |(_, word)| word)
            }
            (None, None) => return,
        };
        let facts = &self.ask.deployment.facts;
        let cannot = facts.known && !facts.capabilities.has(Capabilities::REASONING);
        if cannot && !thinks_first(self.ask.deployment, self.ask.model) {
            if word != "none" {
                self.dropped.push("reasoning_effort");
            }
        } else {
            let word = word.to_owned();
            self.put("reasoning_effort", word);
        }
    }

    fn rest(&mut self, chat: &Request) -> Result<(), Unfit> {
        for (name, value) in &chat.rest {
            let allowed = self.ask.params.allowed.iter().any(|known| *known == **name);
            match FOREIGN.iter().find(|foreign| **foreign == name) {
                Some(foreign) if !allowed => self.lacks(foreign)?,
                _ => self.put(name, value.clone()),
            }
        }
        Ok(())
    }
}

/// A turn of a function's result. Images in it are `shown` by the user, since a function can
/// only say words.
fn result_of<'p>(result: &'p ToolResult, shown: &mut Vec<&'p Part>) -> Result<Value, Unfit> {
    let mut said = String::new();
    for part in &result.parts {
        match part {
            Part::Text(text) => said.push_str(&text.text),
            Part::Refusal(text) => said.push_str(text),
            Part::Other { value, .. } => said.push_str(&value.to_string()),
            Part::Image(_) | Part::Document(_) | Part::Audio(_) => shown.push(part),
            _ => return Err(unfit("has no such part in the result of a function")),
        }
    }
    Ok(json!({"role": "tool", "tool_call_id": result.id, "content": said}))
}

fn content_of(parts: &[&Part]) -> Result<Value, Unfit> {
    if let [Part::Text(text)] = parts {
        return Ok(text.text.as_str().into());
    }
    if parts.is_empty() {
        return Ok("".into());
    }
    let parts = parts.iter().map(|part| part_of(part));
    parts.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn part_of(part: &Part) -> Result<Value, Unfit> {
    Ok(match part {
        Part::Text(text) => json!({"type": "text", "text": text.text}),
        Part::Refusal(text) => json!({"type": "text", "text": text}),
        Part::Image(media) => {
            let mut image = json!({"url": address(media)?});
            if let Some(detail) = &media.detail {
                image["detail"] = detail.as_str().into();
            }
            json!({"type": "image_url", "image_url": image})
        }
        Part::Audio(media) => {
            let Source::Base64(data) = &media.source else {
                return Err(unfit("takes audio in base64 only"));
            };
            let kind = media.mime.as_deref().unwrap_or("audio/wav");
            let format = match kind.rsplit('/').next().unwrap_or("wav") {
                "mpeg" => "mp3",
                "x-wav" | "wave" => "wav",
                other => other,
            };
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        Part::Video(media) => {
            json!({"type": "video_url", "video_url": {"url": address(media)?}})
        }
        Part::Document(media) => document(media)?,
        Part::Other {
            dialect: Dialect::OpenAi,
            value,
        } => value.clone(),
        Part::Thinking(_) | Part::Call(_) | Part::Result(_) | Part::Other { .. } => {
            return Err(unfit("has no such part"));
        }
    })
}

fn unfit(what: &'static str) -> Unfit {
    Unfit::new(Some("messages"), what)
}

fn address(media: &Media) -> Result<String, Unfit> {
    match &media.source {
        Source::Base64(data) => {
            let kind = media.mime.as_deref().unwrap_or("image/jpeg");
            Ok(format!("data:{kind};base64,{data}"))
        }
        Source::Url(url) => Ok(url.clone()),
        Source::File(_) | Source::Text(_) => Err(unfit("takes images by URL or in base64 only")),
    }
}

fn document(media: &Media) -> Result<Value, Unfit> {
    let mut file = Map::new();
    match &media.source {
        Source::Text(text) => return Ok(json!({"type": "text", "text": text})),
        Source::Base64(data) => {
            let kind = media.mime.as_deref().unwrap_or("application/pdf");
            file.insert(
                "file_data".to_owned(),
                format!("data:{kind};base64,{data}").into(),
            );
        }
        Source::File(id) => {
            file.insert("file_id".to_owned(), id.as_str().into());
        }
        Source::Url(_) => return Err(unfit("takes documents in base64 only, not by URL")),
    }
    if !file.contains_key("file_id") {
        let name = media.name.as_deref().unwrap_or("document.pdf");
        file.insert("filename".to_owned(), name.into());
    }
    Ok(json!({"type": "file", "file": file}))
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments = match &*call.arguments {
        "" => "{}",
        text => text,
    };
    json!({
        "id": call.id, "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

fn format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::Object => json!({"type": "json_object"}),
        Format::Schema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut written = json!({"name": name, "schema": schema});
            if let Some(description) = description {
                written["description"] = description.as_str().into();
            }
            if let Some(strict) = strict {
                written["strict"] = (*strict).into();
            }
            json!({"type": "json_schema", "json_schema": written})
        }
    }
}
