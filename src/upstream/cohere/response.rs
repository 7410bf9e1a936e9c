//! A whole answer of Cohere's.

use serde_json::{Map, Value};

use super::citations::{annotations, is_of_words, logprobs};
use super::usage;
use crate::call::chat::{Answer, Choice, Finish, Part, Text, Thinking, ToolCall};
use crate::upstream::protocol::Unreadable;

/// Reads the answer of `/v2/chat`.
pub(super) fn read(body: &[u8]) -> Result<Answer, Unreadable> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no JSON."))?;
    let message = value["message"]
        .as_object()
        .ok_or(Unreadable::new("It has no `message`."))?;
    let mut choice = Choice {
        finish: value["finish_reason"].as_str().map(finish).transpose()?,
        parts: parts(message),
        ..Choice::default()
    };
    if let Some(items) = value["logprobs"].as_array() {
        choice.logprobs = Some(logprobs(items.iter()));
    }
    if let Some(citations) = message.get("citations").filter(|all| !is_empty(all)) {
        choice.rest.insert("citations".into(), citations.clone());
    }
    Ok(Answer {
        id: value["id"].as_str().map(str::to_owned),
        choices: vec![choice],
        usage: usage(&value["usage"]),
        ..Answer::default()
    })
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

fn list<'a>(message: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    let list = message.get(name).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn parts(message: &Map<String, Value>) -> Vec<Part> {
    let mut parts = Vec::new();
    let thought = |text: &str| {
        Part::Thinking(Thinking {
            text: text.to_owned(),
            ..Thinking::default()
        })
    };
    let plan = message.get("tool_plan").and_then(Value::as_str);
    parts.extend(plan.filter(|plan| !plan.is_empty()).map(thought));
    let citations = list(message, "citations");
    for (at, block) in list(message, "content").iter().enumerate() {
        if let Some(text) = block["thinking"].as_str() {
            parts.push(thought(text));
        } else if let Some(text) = block["text"].as_str() {
            let cited = citations.iter().filter(|citation| {
                let index = citation["content_index"].as_u64();
                is_of_words(citation) && index.is_none_or(|index| index == at as u64)
            });
            parts.push(Part::Text(Text {
                text: text.to_owned(),
                annotations: cited.flat_map(annotations).collect(),
                ..Text::default()
            }));
        }
    }
    for call in list(message, "tool_calls") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        parts.push(Part::Call(ToolCall {
            id: text(&call["id"]),
            name: text(&call["function"]["name"]),
            arguments: text(&call["function"]["arguments"]),
            ..ToolCall::default()
        }));
    }
    parts
}

/// Why it ends; an error if it ends because something broke.
pub(super) fn finish(reason: &str) -> Result<Finish, Unreadable> {
    Ok(match reason {
        "COMPLETE" => Finish::Stop,
        "STOP_SEQUENCE" => Finish::StopSequence,
        "MAX_TOKENS" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        "ERROR_TOXIC" => Finish::ContentFilter,
        "ERROR" => return Err(Unreadable::new("It ends with an error.")),
        "TIMEOUT" => return Err(Unreadable::new("It ends because it took too long.")),
        other => Finish::Other(other.to_owned()),
    })
}
