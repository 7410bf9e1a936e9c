//! Writes a whole answer.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::call::chat::{Answer, Choice, Finish, Part};
use crate::call::{Call, Dialect, Usage};

/// An answer as a message.
pub fn message(call: &Call, answer: &Answer) -> Bytes {
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let content: Vec<Value> = choice.parts.iter().filter_map(block).collect();
    let body = json!({
        "id": id(call, answer.id.as_deref()),
        "type": "message",
        "role": "assistant",
        "model": call.name(),
        "content": content,
        "stop_reason": reason(choice.finish.as_ref()),
        "stop_sequence": choice.stop_sequence,
        "usage": usage_value(&answer.usage.unwrap_or_default()),
    });
    Bytes::from(body.to_string())
}

/// The count of a prompt's tokens.
pub fn count(answer: &Answer) -> Bytes {
    let prompt = answer.usage.unwrap_or_default().prompt;
    Bytes::from(json!({"input_tokens": prompt}).to_string())
}

/// The id that the caller sees: the provider's, or one made of the call's.
pub(super) fn id(call: &Call, provider: Option<&str>) -> String {
    match provider {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("msg_{}", call.id.to_str().unwrap_or("0")),
    }
}

/// Anthropic's word for why a turn ended.
pub(super) fn reason(finish: Option<&Finish>) -> &'static str {
    match finish {
        Some(Finish::StopSequence) => "stop_sequence",
        Some(Finish::Length) => "max_tokens",
        Some(Finish::ToolCalls) => "tool_use",
        Some(Finish::ContentFilter | Finish::Refusal) => "refusal",
        Some(Finish::Pause) => "pause_turn",
        // Those that Anthropic's clients have no word for ended as they should.
        Some(Finish::Stop | Finish::Other(_)) | None => "end_turn",
    }
}

fn block(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(text) => json!({"type": "text", "text": text.text, "citations": null}),
        Part::Refusal(text) => json!({"type": "text", "text": text, "citations": null}),
        Part::Thinking(thinking) => match &thinking.redacted {
            Some(data) => json!({"type": "redacted_thinking", "data": data}),
            None => json!({
                "type": "thinking", "thinking": thinking.text,
                "signature": thinking.signature.as_deref().unwrap_or(""),
            }),
        },
        Part::Call(call) => {
            // What is no JSON is shown as it is, so that nothing of it is lost.
            let input = match &*call.arguments {
                "" => json!({}),
                text => serde_json::from_str(text).unwrap_or_else(|_| json!({"arguments": text})),
            };
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
        }
        Part::Other {
            dialect: Dialect::Anthropic,
            value,
        } => value.clone(),
        Part::Image(_)
        | Part::Document(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Result(_)
        | Part::Other { .. } => return None,
    })
}

/// What it took: Anthropic counts what the cache gave and took apart from the prompt.
pub(super) fn usage_value(usage: &Usage) -> Value {
    let cached = usage.cache_read.saturating_add(usage.cache_write);
    json!({
        "input_tokens": usage.prompt.saturating_sub(cached),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.completion,
    })
}
