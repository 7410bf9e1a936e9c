//! What Ollama answers: one object for a whole answer, and for each piece of a stream.

use std::hash::Hasher;

use rustc_hash::FxHasher;
use serde_json::{Value, json};

use crate::call::Usage;
use crate::call::chat::{Answer, Choice, Finish, Part, Thinking, ToolCall};
use crate::upstream::protocol::Unreadable;

/// Reads the answer of `/api/chat`.
pub(super) fn read(body: &[u8]) -> Result<Answer, Unreadable> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no JSON."))?;
    let message = &value["message"];
    if !message.is_object() {
        return Err(Unreadable::new("It has no `message`."));
    }
    let mut choice = Choice::default();
    if let Some(text) = filled(&message["thinking"]) {
        choice.parts.push(Part::Thinking(Thinking {
            text: text.to_owned(),
            ..Thinking::default()
        }));
    }
    choice
        .parts
        .extend(filled(&message["content"]).map(Part::text));
    let calls = calls(&value, 0);
    choice.finish = Some(finish(&value, !calls.is_empty()));
    choice.parts.extend(calls.into_iter().map(Part::Call));
    choice.logprobs = logprobs(&value);
    Ok(Answer {
        model: filled(&value["model"]).map(str::to_owned),
        choices: vec![choice],
        usage: usage(&value),
        ..Answer::default()
    })
}

/// A text that is not empty.
pub(super) fn filled(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// The calls of an answer or a piece; `before` it there were so many. Older versions give no ids,
/// so those are made of what tells one call from the next.
pub(super) fn calls(value: &Value, before: u32) -> Vec<ToolCall> {
    let list = value["message"]["tool_calls"].as_array();
    let list = list.map_or(&[][..], Vec::as_slice);
    let calls = list.iter().zip(before..).map(|(call, index)| {
        let function = &call["function"];
        let arguments = match &function["arguments"] {
            Value::Null => "{}".to_owned(),
            Value::String(text) => text.clone(),
            arguments => arguments.to_string(),
        };
        let name = function["name"].as_str().unwrap_or_default().to_owned();
        let id = filled(&call["id"]).map_or_else(
            || {
                let mut hasher = FxHasher::default();
                let when = value["created_at"].as_str().unwrap_or_default();
                for text in [when, &name, &arguments] {
                    hasher.write(text.as_bytes());
                }
                format!("call_{:016x}{index}", hasher.finish())
            },
            str::to_owned,
        );
        ToolCall {
            id,
            name,
            arguments,
            ..ToolCall::default()
        }
    });
    calls.collect()
}

/// Why it ends; `called` says whether there were calls.
pub(super) fn finish(value: &Value, called: bool) -> Finish {
    match value["done_reason"].as_str() {
        Some("length") => Finish::Length,
        _ if called => Finish::ToolCalls,
        None | Some("stop") => Finish::Stop,
        Some(other) => Finish::Other(other.to_owned()),
    }
}

/// What it took. A prompt that was in memory already has no count.
pub(super) fn usage(value: &Value) -> Option<Usage> {
    /// More than any model takes or gives in one answer.
    const MOST: u64 = 1_000_000_000;
    let count = |name: &str| value[name].as_u64().filter(|count| *count <= MOST);
    let (prompt, completion) = (count("prompt_eval_count"), count("eval_count"));
    (prompt.is_some() || completion.is_some()).then(|| Usage {
        prompt: prompt.unwrap_or_default(),
        completion: completion.unwrap_or_default(),
        ..Usage::default()
    })
}

/// Likelihoods in OpenAI's form, which is Ollama's but for lists that may be left out.
pub(super) fn logprobs(value: &Value) -> Option<Value> {
    let items = value["logprobs"].as_array().filter(|all| !all.is_empty())?;
    let one = |item: &Value| {
        let token = item["token"].as_str().unwrap_or_default();
        json!({"token": token, "logprob": item["logprob"], "bytes": token.as_bytes()})
    };
    let content = items.iter().map(|item| {
        let top = item["top_logprobs"].as_array();
        let top: Vec<_> = top.into_iter().flatten().map(one).collect();
        let mut written = one(item);
        written["top_logprobs"] = top.into();
        written
    });
    Some(json!({"content": content.collect::<Vec<_>>()}))
}
