//! What a vendor answers, as OpenAI would say it.

use memchr::memmem::find;
use serde_json::{Map, Value};

use super::Vendor;

/// Whether an answer may have something to mend, by what is cheap to look for.
pub(super) fn may_differ(vendor: Vendor, text: &[u8]) -> bool {
    let has = |name: &[u8]| find(text, name).is_some();
    has(b"\"reasoning\"")
        || match vendor {
            Vendor::Mistral => true,
            Vendor::Xai => has(b"\"reasoning_tokens\"") || has(b"\"\""),
            _ => false,
        }
}

/// Whether a chunk without choices is what Azure's filters say of the prompt. It comes before the answer
/// begins, and has no id.
pub(in crate::upstream::openai) fn tells_filters(chunk: &[u8]) -> bool {
    find(chunk, b"\"prompt_filter_results\"").is_some()
}

/// Mends a whole answer or a chunk; whether anything was to be mended.
pub(super) fn mend(vendor: Vendor, answer: &mut Value) -> bool {
    let mut changed = false;
    if let Some(Value::Array(choices)) = answer.get_mut("choices") {
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            changed |= mend_choice(vendor, choice);
        }
    }
    if vendor == Vendor::Xai
        && let Some(Value::Object(usage)) = answer.get_mut("usage")
    {
        changed |= add_reasoning(usage);
    }
    changed
}

fn mend_choice(vendor: Vendor, choice: &mut Map<String, Value>) -> bool {
    let whole = choice.contains_key("message");
    let name = if whole { "message" } else { "delta" };
    let mut changed = false;
    let mut calls = false;
    if let Some(Value::Object(message)) = choice.get_mut(name) {
        let called = message.get("tool_calls").and_then(Value::as_array);
        calls = called.is_some_and(|called| !called.is_empty());
        changed |= tell_thoughts(message);
        if vendor == Vendor::Mistral {
            changed |= part_thoughts(message);
            if whole && calls && message.get("content").is_some_and(|said| said == "") {
                message.insert("content".to_owned(), Value::Null);
                changed = true;
            }
        }
    }
    // xAI says nothing of why it ends where functions are to be called.
    if vendor == Vendor::Xai && choice.get("finish_reason").is_some_and(|word| word == "") {
        let word = match (calls, whole) {
            (true, _) => "tool_calls".into(),
            (false, true) => "stop".into(),
            (false, false) => Value::Null,
        };
        choice.insert("finish_reason".to_owned(), word);
        changed = true;
    }
    changed
}

/// What was thought is `reasoning_content`, whatever else it is called.
fn tell_thoughts(message: &mut Map<String, Value>) -> bool {
    let told = message.get("reasoning_content");
    let thought = message
        .get("reasoning")
        .filter(|thought| thought.is_string());
    match (told, thought) {
        (None | Some(Value::Null), Some(thought)) => {
            let thought = thought.clone();
            message.insert("reasoning_content".to_owned(), thought);
            true
        }
        _ => false,
    }
}

/// Mistral says what it thinks and what it says in one list.
fn part_thoughts(message: &mut Map<String, Value>) -> bool {
    let Some(content) = message.get("content").filter(|content| content.is_array()) else {
        return false;
    };
    let (said, thought) = words(content);
    let said = if said.is_empty() && !thought.is_empty() {
        Value::Null
    } else {
        said.into()
    };
    message.insert("content".to_owned(), said);
    if !thought.is_empty() {
        message.insert("reasoning_content".to_owned(), thought.into());
    }
    true
}

/// xAI counts what is thought beside what is said, and in the total.
fn add_reasoning(usage: &mut Map<String, Value>) -> bool {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let thought = usage
        .get("completion_tokens_details")
        .and_then(|details| details["reasoning_tokens"].as_u64());
    let (Some(prompt), Some(said), Some(thought), Some(total)) = (
        count("prompt_tokens"),
        count("completion_tokens"),
        thought.filter(|thought| *thought > 0),
        count("total_tokens"),
    ) else {
        return false;
    };
    if prompt
        .checked_add(said)
        .and_then(|sum| sum.checked_add(thought))
        != Some(total)
    {
        return false;
    }
    usage.insert("completion_tokens".to_owned(), (said + thought).into());
    true
}

/// What is said and what is thought in a content, which Mistral sends as a list of pieces.
pub(in crate::upstream::openai) fn words(content: &Value) -> (String, String) {
    let (mut said, mut thought) = (String::new(), String::new());
    match content {
        Value::String(text) => said.push_str(text),
        Value::Array(pieces) => {
            for piece in pieces {
                match piece["type"].as_str() {
                    Some("thinking") => match &piece["thinking"] {
                        Value::String(text) => thought.push_str(text),
                        pieces => thought.push_str(&words(pieces).0),
                    },
                    _ => said.push_str(piece["text"].as_str().unwrap_or_default()),
                }
            }
        }
        _ => {}
    }
    (said, thought)
}
