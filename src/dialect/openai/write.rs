//! Writes a whole answer.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::call::chat::{Answer, Choice, Finish, Media, Part, Source, Thinking, ToolCall};
use crate::call::{Call, Usage};

/// An answer as a `chat.completion`.
pub fn chat(call: &Call, answer: &Answer, created: u64) -> Bytes {
    let choices: Vec<Value> = answer.choices.iter().enumerate().map(choice).collect();
    let mut body = json!({
        "id": id(call, answer.id.as_deref(), "chatcmpl"),
        "created": created,
        "model": call.name(),
        "object": "chat.completion",
        "choices": choices,
    });
    finish(&mut body, answer)
}

/// An answer as a `text_completion`.
pub fn completion(call: &Call, answer: &Answer, created: u64) -> Bytes {
    let choices: Vec<Value> = (answer.choices.iter().enumerate())
        .map(|(index, choice)| {
            json!({
                "index": index,
                "text": said(&choice.parts).unwrap_or_default(),
                "logprobs": choice.logprobs,
                "finish_reason": reason(choice.finish.as_ref()),
            })
        })
        .collect();
    let mut body = json!({
        "id": id(call, answer.id.as_deref(), "cmpl"),
        "created": created,
        "model": call.name(),
        "object": "text_completion",
        "choices": choices,
    });
    finish(&mut body, answer)
}

fn finish(body: &mut Value, answer: &Answer) -> Bytes {
    if let Some(usage) = &answer.usage {
        body["usage"] = usage_value(usage);
    }
    for (name, value) in &answer.rest {
        body[name] = value.clone();
    }
    Bytes::from(body.to_string())
}

/// The id that the caller sees: the provider's, or one made of the call's.
pub(super) fn id(call: &Call, provider: Option<&str>, kind: &str) -> String {
    match provider {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("{kind}-{}", call.id.to_str().unwrap_or("0")),
    }
}

/// OpenAI's word for why a turn ended.
pub(super) fn reason(finish: Option<&Finish>) -> &'static str {
    match finish {
        Some(Finish::Length) => "length",
        Some(Finish::ToolCalls) => "tool_calls",
        Some(Finish::ContentFilter | Finish::Refusal) => "content_filter",
        // Those that OpenAI's clients have no word for ended as they should.
        Some(Finish::Stop | Finish::StopSequence | Finish::Pause | Finish::Other(_)) | None => {
            "stop"
        }
    }
}

/// Everything that was said in words.
fn said(parts: &[Part]) -> Option<String> {
    let mut said = None::<String>;
    for part in parts {
        if let Part::Text(text) = part {
            said.get_or_insert_default().push_str(&text.text);
        }
    }
    said
}

fn choice((index, choice): (usize, &Choice)) -> Value {
    let mut written = json!({
        "finish_reason": reason(choice.finish.as_ref()),
        "index": index,
        "message": message(choice),
        "provider_specific_fields": {},
    });
    if let Some(logprobs) = &choice.logprobs {
        written["logprobs"] = logprobs.clone();
    }
    written
}

fn message(choice: &Choice) -> Value {
    let mut message = json!({"content": said(&choice.parts), "role": "assistant"});
    let mut list = |name: &str, value: Value| match &mut message[name] {
        Value::Array(list) => list.push(value),
        absent => *absent = json!([value]),
    };
    let (mut thought, mut refused) = (String::new(), String::new());
    let mut images = 0_u32;
    for part in &choice.parts {
        match part {
            Part::Text(text) => {
                for annotation in &text.annotations {
                    list("annotations", annotation.clone());
                }
            }
            Part::Thinking(thinking) => {
                thought.push_str(&thinking.text);
                if thinking.signature.is_some() || thinking.redacted.is_some() {
                    list("thinking_blocks", thinking_block(thinking));
                }
            }
            Part::Call(call) => list("tool_calls", tool_call(call)),
            Part::Refusal(text) => refused.push_str(text),
            Part::Image(media) => {
                list("images", image(media, images));
                images += 1;
            }
            Part::Other {
                dialect: crate::call::Dialect::OpenAi,
                value,
            } if value["type"] == "custom" => list("tool_calls", value.clone()),
            Part::Document(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Result(_)
            | Part::Other { .. } => {}
        }
    }
    if let Some(Part::Audio(Media {
        source: Source::Base64(data),
        ..
    })) = choice
        .parts
        .iter()
        .find(|part| matches!(part, Part::Audio(_)))
    {
        message["audio"] = json!({"data": data});
    }
    if !thought.is_empty() {
        message["reasoning_content"] = thought.into();
    }
    if !refused.is_empty() {
        message["refusal"] = refused.into();
    }
    message["provider_specific_fields"] = if choice.rest.is_empty() {
        Value::Null
    } else {
        Value::Object(choice.rest.clone())
    };
    message
}

/// A block of `thinking_blocks`, as LiteLLM and Anthropic write it.
pub(super) fn thinking_block(thinking: &Thinking) -> Value {
    match &thinking.redacted {
        Some(data) => json!({"type": "redacted_thinking", "data": data}),
        None => json!({
            "type": "thinking",
            "thinking": thinking.text,
            "signature": thinking.signature.as_deref().unwrap_or(""),
        }),
    }
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments = match &*call.arguments {
        "" => "{}",
        text => text,
    };
    let mut written = json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    });
    if let Some(signature) = &call.signature {
        written["provider_specific_fields"] = json!({"thought_signature": signature});
    }
    written
}

/// An image that a model made, as LiteLLM shows it.
pub(super) fn image(media: &Media, index: u32) -> Value {
    json!({"type": "image_url", "index": index, "image_url": {"url": url(media)}})
}

/// An image as one URL.
pub(crate) fn url(media: &Media) -> String {
    match &media.source {
        Source::Base64(data) => {
            let mime = media.mime.as_deref().unwrap_or("image/png");
            format!("data:{mime};base64,{data}")
        }
        Source::Url(url) | Source::File(url) | Source::Text(url) => url.clone(),
    }
}

/// What it took, in OpenAI's form with LiteLLM's figures of caches.
pub(crate) fn usage_value(usage: &Usage) -> Value {
    let mut completion = Map::new();
    let mut prompt = Map::new();
    let put = |map: &mut Map<String, Value>, name: &str, count: u64| {
        if count > 0 {
            map.insert(name.to_owned(), count.into());
        }
    };
    completion.insert("reasoning_tokens".to_owned(), usage.reasoning.into());
    put(&mut completion, "audio_tokens", usage.audio_output);
    put(&mut completion, "image_tokens", usage.image_output);
    prompt.insert("cached_tokens".to_owned(), usage.cache_read.into());
    put(&mut prompt, "audio_tokens", usage.audio_input);
    put(&mut prompt, "image_tokens", usage.image_input);
    put(&mut prompt, "cache_creation_tokens", usage.cache_write);
    let mut written = json!({
        "completion_tokens": usage.completion,
        "prompt_tokens": usage.prompt,
        "total_tokens": usage.total(),
        "completion_tokens_details": completion,
        "prompt_tokens_details": prompt,
    });
    if usage.cache_read > 0 || usage.cache_write > 0 {
        written["cache_creation_input_tokens"] = usage.cache_write.into();
        written["cache_read_input_tokens"] = usage.cache_read.into();
    }
    if usage.searches > 0 {
        written["server_tool_use"] = json!({"web_search_requests": usage.searches});
    }
    written
}
