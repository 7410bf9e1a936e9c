//! A conversation as Ollama gets it.

use serde_json::{Map, Value, json};

use crate::call::chat::{
    Effort, Format, Media, Message, Part, Reasoning, Request, Role, Schema, Source, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Params, Task, Unfit, Written};

/// Members that stand beside `options`; all others that the caller adds are options of the model.
const BESIDE: &[&str] = &["keep_alive", "think"];

/// Writes the body of `/api/chat`.
pub(super) fn write(ask: &Ask<'_>, chat: &Request) -> Result<Written, Unfit> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    body.insert("model".into(), ask.model.into());
    body.insert("messages".into(), messages(chat, &mut dropped)?.into());
    // Ollama streams unless told otherwise.
    body.insert("stream".into(), (ask.task == Task::Stream).into());
    tools(chat, &ask.params, &mut body, &mut dropped)?;
    match &chat.format {
        None | Some(Format::Text) => {}
        Some(Format::Object) => {
            body.insert("format".into(), "json".into());
        }
        Some(Format::Schema { schema, .. }) => {
            body.insert("format".into(), schema.clone());
        }
    }
    if let Some(think) = chat
        .reasoning
        .as_ref()
        .and_then(|how| think(how, ask.model))
    {
        body.insert("think".into(), think);
    }
    if chat.logprobs == Some(true) {
        body.insert("logprobs".into(), true.into());
        if let Some(count) = chat.top_logprobs {
            body.insert("top_logprobs".into(), count.into());
        }
    }
    let mut options = options(chat, &ask.params, &mut dropped)?;
    extras(
        &chat.rest,
        &ask.params,
        &mut dropped,
        &mut options,
        &mut body,
    )?;
    if !options.is_empty() {
        body.insert("options".into(), options.into());
    }
    Ok(Written {
        body: Value::Object(body).to_string().into(),
        dropped,
        ..Written::default()
    })
}

/// Puts what the caller adds where Ollama looks for it.
pub(super) fn extras(
    rest: &Map<String, Value>,
    params: &Params<'_>,
    dropped: &mut Vec<&'static str>,
    options: &mut Map<String, Value>,
    body: &mut Map<String, Value>,
) -> Result<(), Unfit> {
    extras::each(rest, &[], params, dropped, |name, value| {
        if BESIDE.contains(&name) {
            body.insert(name.to_owned(), value.clone());
        } else if let ("options", Value::Object(more)) = (name, value) {
            options.extend(more.clone());
        } else {
            options.insert(name.to_owned(), value.clone());
        }
    })
}

fn unfit(what: &'static str) -> Unfit {
    Unfit::new(Some("messages"), what)
}

fn messages(chat: &Request, dropped: &mut Vec<&'static str>) -> Result<Vec<Value>, Unfit> {
    let mut written = Vec::new();
    for (at, message) in chat.messages.iter().enumerate() {
        if message.name.is_some() && !dropped.contains(&"messages.name") {
            dropped.push("messages.name");
        }
        for part in &message.parts {
            if let Part::Result(result) = part {
                written.push(tool_turn(result, &chat.messages[..at])?);
            }
        }
        let role = match &message.role {
            Role::System => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
            Role::Other(_) => return Err(unfit("Ollama has no such role.")),
        };
        let only_results = !message.parts.is_empty()
            && message
                .parts
                .iter()
                .all(|part| matches!(part, Part::Result(_)));
        if !only_results {
            written.push(turn(role, &message.parts)?);
        }
    }
    Ok(written)
}

fn turn(role: &str, parts: &[Part]) -> Result<Value, Unfit> {
    let mut said = Said::default();
    for part in parts {
        said.take(part)?;
    }
    let mut turn = json!({"role": role, "content": said.text});
    for (name, values) in [("images", said.images), ("tool_calls", said.calls)] {
        if !values.is_empty() {
            turn[name] = values.into();
        }
    }
    if !said.thinking.is_empty() {
        turn["thinking"] = said.thinking.into();
    }
    Ok(turn)
}

/// A turn of Ollama's has one text and its images beside.
#[derive(Default)]
struct Said {
    text: String,
    thinking: String,
    images: Vec<Value>,
    calls: Vec<Value>,
}

impl Said {
    fn take(&mut self, part: &Part) -> Result<(), Unfit> {
        match part {
            Part::Text(text) => self.add(&text.text),
            Part::Thinking(thinking) => self.thinking.push_str(&thinking.text),
            Part::Image(media) => self.images.push(image(media)?),
            Part::Refusal(text)
            | Part::Document(Media {
                source: Source::Text(text),
                ..
            }) => self.add(text),
            Part::Call(call) => self.calls.push(tool_call(call)?),
            Part::Result(_) => {}
            Part::Document(_) => return Err(unfit("Ollama takes documents of plain text only.")),
            Part::Audio(_) => return Err(unfit("Ollama takes no audio.")),
            Part::Video(_) => return Err(unfit("Ollama takes no video.")),
            Part::Other { .. } => return Err(unfit("Ollama does not know a part of a message.")),
        }
        Ok(())
    }

    fn add(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }
}

fn image(media: &Media) -> Result<Value, Unfit> {
    match &media.source {
        Source::Base64(data) => Ok(data.as_str().into()),
        _ => Err(unfit(
            "Ollama takes images in base64 or by an address of the web.",
        )),
    }
}

fn tool_call(call: &ToolCall) -> Result<Value, Unfit> {
    let arguments = match call.arguments.trim() {
        "" => Value::Object(Map::new()),
        text => serde_json::from_str(text)
            .ok()
            .filter(Value::is_object)
            .ok_or(unfit("The arguments of a call are no JSON object."))?,
    };
    Ok(json!({"function": {"name": call.name, "arguments": arguments}}))
}

/// A result bears the name of its function, since Ollama's calls have no ids.
fn tool_turn(result: &ToolResult, before: &[Message]) -> Result<Value, Unfit> {
    let mut turn = turn("tool", &result.parts)?;
    let called = || {
        let parts = before.iter().rev().flat_map(|message| &message.parts);
        let mut calls = parts.filter_map(|part| match part {
            Part::Call(call) => Some(call),
            _ => None,
        });
        calls
            .find(|call| call.id == result.id)
            .map(|call| call.name.as_str())
    };
    if let Some(name) = result.name.as_deref().or_else(called) {
        turn["tool_name"] = name.into();
    }
    Ok(turn)
}

fn tools(
    chat: &Request,
    params: &Params<'_>,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<&'static str>,
) -> Result<(), Unfit> {
    if chat.tools.is_empty() || chat.tool_choice == Some(ToolChoice::None) {
        return Ok(());
    }
    if let Some(ToolChoice::Required | ToolChoice::Function(_)) = chat.tool_choice {
        params.lacks("tool_choice", dropped)?;
    }
    if chat.parallel_tool_calls == Some(false) {
        params.lacks("parallel_tool_calls", dropped)?;
    }
    let mut tools = Vec::new();
    for tool in &chat.tools {
        let Tool::Function(function) = tool else {
            return Err(Unfit::new(Some("tools"), "Ollama has no tools of its own."));
        };
        if function.strict == Some(true) && !dropped.contains(&"tools.strict") {
            dropped.push("tools.strict");
        }
        let parameters = function.parameters.as_ref().map(Schema::read);
        let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        let mut written = json!({"name": function.name, "parameters": parameters});
        if let Some(description) = &function.description {
            written["description"] = description.as_str().into();
        }
        tools.push(json!({"type": "function", "function": written}));
    }
    body.insert("tools".into(), tools.into());
    Ok(())
}

/// `gpt-oss` knows how long to think; others, only whether.
fn think(reasoning: &Reasoning, model: &str) -> Option<Value> {
    let level = match &reasoning.effort {
        Some(Effort::None) => return Some(false.into()),
        Some(Effort::Minimal | Effort::Low) => "low",
        Some(Effort::Medium) => "medium",
        Some(Effort::High | Effort::Max) => "high",
        Some(Effort::Other(word)) => word,
        None => {
            let wanted = match reasoning.budget {
                Some(budget) => Some(budget > 0),
                None => reasoning.adaptive.then_some(true),
            };
            return wanted.map(Value::Bool);
        }
    };
    let name = model.rsplit('/').next().unwrap_or(model);
    Some(if name.starts_with("gpt-oss") {
        level.into()
    } else {
        true.into()
    })
}

fn options(
    chat: &Request,
    params: &Params<'_>,
    dropped: &mut Vec<&'static str>,
) -> Result<Map<String, Value>, Unfit> {
    if chat.n.is_some_and(|n| n > 1) {
        params.lacks("n", dropped)?;
    }
    for (name, given) in [
        ("user", chat.user.is_some()),
        ("service_tier", chat.service_tier.is_some()),
    ] {
        if given {
            dropped.push(name);
        }
    }
    let number = |number: &Option<serde_json::Number>| number.clone().map(Value::Number);
    let stop = (!chat.stop.is_empty()).then(|| chat.stop.as_slice().into());
    let all = [
        ("num_predict", chat.max_tokens.map(Value::from)),
        ("temperature", number(&chat.temperature)),
        ("top_p", number(&chat.top_p)),
        ("top_k", chat.top_k.map(Value::from)),
        ("seed", chat.seed.map(Value::from)),
        ("presence_penalty", number(&chat.presence_penalty)),
        ("frequency_penalty", number(&chat.frequency_penalty)),
        ("stop", stop),
    ];
    let given = all
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
    Ok(given.collect())
}
