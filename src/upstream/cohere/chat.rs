//! A conversation as Cohere gets it.

use serde_json::{Map, Value, json};

use crate::call::chat::{
    Effort, Format, Media, Message, Part, Reasoning, Request, Role, Schema, Source, Tool, ToolCall,
    ToolChoice, ToolResult,
};
use crate::upstream::extras;
use crate::upstream::protocol::{Ask, Task, Unfit, Written};

/// Tokens to think, by the words for it; the figures are `LiteLLM`'s.
const BUDGETS: [(Effort, u64); 4] = [
    (Effort::Minimal, 128),
    (Effort::Low, 1024),
    (Effort::Medium, 2048),
    (Effort::High, 4096),
];

/// Writes the body of `/v2/chat`.
pub(super) fn write(ask: &Ask<'_>, chat: &Request) -> Result<Written, Unfit> {
    let mut dropped = Vec::new();
    let mut turns = Turns::default();
    for message in &chat.messages {
        turns.take(message, &mut dropped)?;
    }
    let mut body = Map::new();
    extras::each(&chat.rest, &[], &ask.params, &mut dropped, |name, value| {
        body.insert(name.to_owned(), value.clone());
    })?;
    if !turns.documents.is_empty() {
        let documents = body.entry("documents").or_insert_with(|| json!([]));
        if let Some(documents) = documents.as_array_mut() {
            documents.append(&mut turns.documents);
        }
    }
    body.insert("model".into(), ask.model.into());
    body.insert("messages".into(), turns.messages.into());
    body.insert("stream".into(), (ask.task == Task::Stream).into());
    tools(chat, &mut body, &mut dropped)?;
    parameters(ask, chat, &mut body, &mut dropped)?;
    Ok(Written {
        body: Value::Object(body).to_string().into(),
        dropped,
        ..Written::default()
    })
}

/// The conversation, as far as it is written.
#[derive(Default)]
struct Turns {
    messages: Vec<Value>,
    documents: Vec<Value>,
}

impl Turns {
    fn take(&mut self, message: &Message, dropped: &mut Vec<&'static str>) -> Result<(), Unfit> {
        if message.name.is_some() && !dropped.contains(&"messages.name") {
            dropped.push("messages.name");
        }
        // A dialect may hold results beside words; here they are turns of their own.
        for part in &message.parts {
            if let Part::Result(result) = part {
                self.messages.push(tool_turn(result)?);
            }
        }
        match &message.role {
            Role::System => {
                let texts = message.parts.iter().map(text_block);
                let texts = texts.collect::<Result<Vec<_>, _>>()?;
                self.messages.push(turn("system", texts));
            }
            Role::User | Role::Tool => {
                let blocks = self.said(&message.parts)?;
                if !blocks.is_empty() {
                    self.messages.push(turn("user", blocks));
                }
            }
            Role::Assistant => self.messages.push(assistant(&message.parts)?),
            Role::Other(_) => return Err(unfit("Cohere has no such role.")),
        }
        Ok(())
    }

    /// What a user says: words and images; documents go to where Cohere looks for them.
    fn said(&mut self, parts: &[Part]) -> Result<Vec<Value>, Unfit> {
        let mut blocks = Vec::new();
        for part in parts {
            match part {
                Part::Result(_) => {}
                Part::Image(media) => blocks.push(image(media)?),
                Part::Document(media) => self.documents.push(document(media)?),
                part => blocks.push(text_block(part)?),
            }
        }
        Ok(blocks)
    }
}

fn unfit(what: &'static str) -> Unfit {
    Unfit::new(Some("messages"), what)
}

/// A turn; Cohere takes words alone as a string.
fn turn(role: &str, mut blocks: Vec<Value>) -> Value {
    json!({"role": role, "content": content(&mut blocks)})
}

fn content(blocks: &mut Vec<Value>) -> Value {
    match &mut blocks[..] {
        [] => "".into(),
        [only] if only["type"] == "text" => only["text"].take(),
        _ => Value::Array(std::mem::take(blocks)),
    }
}

fn text_block(part: &Part) -> Result<Value, Unfit> {
    let text = match part {
        Part::Text(text) => &text.text,
        Part::Refusal(text) => text,
        Part::Image(_) => return Err(unfit("Cohere takes images of the user only.")),
        Part::Document(_) => return Err(unfit("Cohere takes documents of the user only.")),
        Part::Audio(_) => return Err(unfit("Cohere takes no audio.")),
        Part::Video(_) => return Err(unfit("Cohere takes no video.")),
        _ => return Err(unfit("Cohere does not know a part of a message.")),
    };
    Ok(json!({"type": "text", "text": text}))
}

fn image(media: &Media) -> Result<Value, Unfit> {
    let url = match &media.source {
        Source::Url(url) => url.clone(),
        Source::Base64(data) => {
            let mime = media.mime.as_deref().unwrap_or("image/png");
            format!("data:{mime};base64,{data}")
        }
        Source::File(_) | Source::Text(_) => {
            return Err(unfit("Cohere takes images by URL or in base64."));
        }
    };
    let mut image = json!({"url": url});
    if let Some(detail) = &media.detail {
        image["detail"] = detail.as_str().into();
    }
    Ok(json!({"type": "image_url", "image_url": image}))
}

fn document(media: &Media) -> Result<Value, Unfit> {
    let Source::Text(text) = &media.source else {
        return Err(unfit("Cohere takes documents of plain text only."));
    };
    let mut data = json!({"text": text});
    if let Some(title) = &media.name {
        data["title"] = title.as_str().into();
    }
    Ok(json!({"data": data}))
}

/// What the model said. With calls, what it thought is its plan for them.
fn assistant(parts: &[Part]) -> Result<Value, Unfit> {
    let (mut blocks, mut calls, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Call(call) => calls.push(tool_call(call)),
            // Thought that only its own provider can read says nothing here.
            Part::Thinking(thinking) if thinking.text.is_empty() => {}
            Part::Thinking(thinking) => thoughts.push(thinking.text.as_str()),
            Part::Result(_) => {}
            part => blocks.push(text_block(part)?),
        }
    }
    let mut turn = json!({"role": "assistant"});
    if calls.is_empty() {
        let thoughts = thoughts
            .iter()
            .map(|text| json!({"type": "thinking", "thinking": text}));
        let mut blocks: Vec<_> = thoughts.chain(blocks).collect();
        turn["content"] = content(&mut blocks);
    } else {
        if !blocks.is_empty() {
            turn["content"] = content(&mut blocks);
        }
        if !thoughts.is_empty() {
            turn["tool_plan"] = thoughts.concat().into();
        }
        turn["tool_calls"] = calls.into();
    }
    Ok(turn)
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments = match call.arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

fn tool_turn(result: &ToolResult) -> Result<Value, Unfit> {
    let mut blocks = Vec::new();
    for part in &result.parts {
        blocks.push(match part {
            Part::Document(media) => json!({"type": "document", "document": document(media)?}),
            Part::Image(_) => return Err(unfit("Cohere takes no images from functions.")),
            part => text_block(part)?,
        });
    }
    Ok(json!({
        "role": "tool",
        "tool_call_id": result.id,
        "content": content(&mut blocks),
    }))
}

fn tools(
    chat: &Request,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<&'static str>,
) -> Result<(), Unfit> {
    if chat.tools.is_empty() {
        return Ok(());
    }
    let mut functions = Vec::new();
    for tool in &chat.tools {
        match tool {
            Tool::Function(function) => functions.push(function),
            Tool::Builtin { .. } => {
                return Err(Unfit::new(Some("tools"), "Cohere has no tools of its own."));
            }
        }
    }
    match &chat.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::None) => {
            body.insert("tool_choice".into(), "NONE".into());
        }
        Some(ToolChoice::Required) => {
            body.insert("tool_choice".into(), "REQUIRED".into());
        }
        // There is no word for one of several; with one, to call any is to call it.
        Some(ToolChoice::Function(name)) => {
            functions.retain(|function| function.name == *name);
            body.insert("tool_choice".into(), "REQUIRED".into());
        }
    }
    // Strictness is of all functions together.
    let strict = functions
        .iter()
        .filter(|function| function.strict == Some(true))
        .count();
    if strict > 0 && strict == functions.len() {
        body.entry("strict_tools").or_insert(Value::Bool(true));
    } else if strict > 0 {
        dropped.push("tools.strict");
    }
    let functions = functions.into_iter().map(|function| {
        let parameters = function.parameters.as_ref().map(Schema::read);
        let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        let mut written = json!({"name": function.name, "parameters": parameters});
        if let Some(description) = &function.description {
            written["description"] = description.as_str().into();
        }
        json!({"type": "function", "function": written})
    });
    body.insert("tools".into(), functions.collect());
    Ok(())
}

fn parameters(
    ask: &Ask<'_>,
    chat: &Request,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<&'static str>,
) -> Result<(), Unfit> {
    let params = &ask.params;
    if chat.n.is_some_and(|n| n > 1) {
        params.lacks("n", dropped)?;
    }
    if chat.top_logprobs.is_some_and(|count| count > 0) {
        params.lacks("top_logprobs", dropped)?;
    }
    if chat.parallel_tool_calls == Some(false) {
        params.lacks("parallel_tool_calls", dropped)?;
    }
    for (name, given) in [
        ("user", chat.user.is_some()),
        ("service_tier", chat.service_tier.is_some()),
    ] {
        if given {
            dropped.push(name);
        }
    }
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("max_tokens", chat.max_tokens.map(Value::from));
    put("temperature", chat.temperature.clone().map(Value::Number));
    put("p", chat.top_p.clone().map(Value::Number));
    put("k", chat.top_k.map(Value::from));
    put("seed", chat.seed.map(Value::from));
    let presence = chat.presence_penalty.clone();
    put("presence_penalty", presence.map(Value::Number));
    let frequency = chat.frequency_penalty.clone();
    put("frequency_penalty", frequency.map(Value::Number));
    let logprobs = chat.logprobs.filter(|wanted| *wanted);
    put("logprobs", logprobs.map(Value::Bool));
    let stop = (!chat.stop.is_empty()).then(|| chat.stop.as_slice().into());
    put("stop_sequences", stop);
    let format = match &chat.format {
        None | Some(Format::Text) => None,
        Some(Format::Object) => Some(json!({"type": "json_object"})),
        Some(Format::Schema { schema, .. }) => {
            Some(json!({"type": "json_object", "json_schema": schema}))
        }
    };
    put("response_format", format);
    put("thinking", chat.reasoning.as_ref().and_then(thinking));
    Ok(())
}

/// Cohere's models that can think do so unless told otherwise.
fn thinking(reasoning: &Reasoning) -> Option<Value> {
    if reasoning.effort == Some(Effort::None) || reasoning.budget == Some(0) {
        return Some(json!({"type": "disabled"}));
    }
    let by_word = |effort: &Effort| {
        let found = BUDGETS.iter().find(|(word, _)| word == effort);
        found.map(|(_, tokens)| *tokens)
    };
    let budget = reasoning
        .budget
        .or_else(|| reasoning.effort.as_ref().and_then(by_word));
    if let Some(budget) = budget {
        return Some(json!({"type": "enabled", "token_budget": budget}));
    }
    let wanted = reasoning.effort.is_some() || reasoning.adaptive;
    wanted.then(|| json!({"type": "enabled"}))
}
