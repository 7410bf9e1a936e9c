//! Bodies as OpenAI makes them, the same for the same request.

use super::reply::{Reply, Usage};
use serde_json::{Value, json};

/// Added to the model's name in answers, as a provider names the dated model that answered.
pub const DATED: &str = "-2024-07-18";

/// When every answer was made.
const CREATED: u64 = 1_721_260_800;

/// What an answer to a chat request says.
struct Saying {
    content: Option<String>,
    calls: Vec<(String, String)>,
}

/// The figures of every chat answer.
fn usage() -> Value {
    json!({
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
    })
}

/// The whole answer to a chat request.
pub(super) fn chat(request: &Value, long: Option<usize>) -> Value {
    let saying = say(request, long);
    let mut message = json!({
        "role": "assistant",
        "content": saying.content,
        "refusal": null,
        "annotations": [],
    });
    if !saying.calls.is_empty() {
        message["tool_calls"] = saying.calls.iter().enumerate().map(call).collect();
    }
    json!({
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": CREATED,
        "model": model(request),
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish(&saying),
        }],
        "usage": usage(),
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    })
}

/// The events of a streamed chat answer, without `[DONE]`.
pub(super) fn chat_events(request: &Value, reply: &Reply) -> Vec<String> {
    let saying = say(request, None);
    let asked = request["stream_options"]["include_usage"] == true;
    let (null_in_each, own_chunk) = match reply.usage {
        Usage::IfAsked => (asked, asked),
        Usage::Always => (false, true),
        Usage::InLastChoice | Usage::Never => (false, false),
    };
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-fake",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": model(request),
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
            "choices": choices,
        });
        if null_in_each {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let first = json!({"role": "assistant", "content": saying.content.as_ref().map(|_| "")});
    let mut chunks = vec![chunk(choice(first, Value::Null))];
    chunks.extend(
        deltas(&saying)
            .into_iter()
            .map(|delta| chunk(choice(delta, Value::Null))),
    );
    let mut last = chunk(choice(json!({}), finish(&saying).into()));
    if reply.usage == Usage::InLastChoice {
        last["usage"] = usage();
    }
    chunks.push(last);
    if own_chunk {
        let mut figures = chunk(json!([]));
        figures["usage"] = usage();
        chunks.push(figures);
    }
    chunks.iter().map(Value::to_string).collect()
}

fn deltas(saying: &Saying) -> Vec<Value> {
    let words = saying
        .content
        .iter()
        .flat_map(|text| text.split_inclusive(' '));
    let mut deltas: Vec<_> = words.map(|word| json!({"content": word})).collect();
    for (index, (name, arguments)) in saying.calls.iter().enumerate() {
        let mut head = call((index, &(name.clone(), String::new())));
        head["index"] = index.into();
        deltas.push(json!({"tool_calls": [head]}));
        for piece in arguments.split_inclusive([':', ',']) {
            let piece = json!({"index": index, "function": {"arguments": piece}});
            deltas.push(json!({"tool_calls": [piece]}));
        }
    }
    deltas
}

fn call((index, (name, arguments)): (usize, &(String, String))) -> Value {
    json!({
        "id": format!("call_{index}"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    })
}

/// A legacy completion.
pub(super) fn completion(request: &Value) -> Value {
    json!({
        "id": "cmpl-fake",
        "object": "text_completion",
        "created": CREATED,
        "model": model(request),
        "choices": [{"text": completion_text(request), "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
    })
}

/// The events of a streamed legacy completion.
pub(super) fn completion_events(request: &Value) -> Vec<String> {
    let text = completion_text(request);
    let words: Vec<_> = text.split_inclusive(' ').collect();
    let chunk = |(index, word): (usize, &&str)| {
        let finish = (index + 1 == words.len()).then_some("stop");
        json!({
            "id": "cmpl-fake",
            "object": "text_completion",
            "created": CREATED,
            "model": model(request),
            "choices": [{"text": word, "index": 0, "logprobs": null, "finish_reason": finish}],
        })
        .to_string()
    };
    words.iter().enumerate().map(chunk).collect()
}

fn completion_text(request: &Value) -> String {
    format!("after {}", request["prompt"].as_str().unwrap_or("nothing"))
}

/// Embeddings of three dimensions, as numbers or as base64 of little-endian floats.
pub(super) fn moderation(request: &Value) -> Value {
    let inputs = request["input"].as_array().map_or(1, Vec::len);
    let result = json!({"flagged": false, "categories": {"violence": false},
        "category_scores": {"violence": 0.01}});
    json!({"id": "modr-fake", "model": request["model"], "results": vec![result; inputs]})
}

pub(super) fn embeddings(request: &Value) -> Value {
    let inputs = request["input"].as_array().map_or(1, Vec::len);
    let encoded = request["encoding_format"] == "base64";
    let data: Vec<_> = (0..inputs)
        .map(|index| {
            let embedding = if encoded {
                json!("AAAAPwAAAL4AAIA+")
            } else {
                json!([0.5, -0.125, 0.25])
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    json!({
        "object": "list",
        "data": data,
        "model": model(request),
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    })
}

/// The list of models.
pub(super) fn models() -> Value {
    json!({
        "object": "list",
        "data": [{"id": "gpt-4o-mini", "object": "model", "created": CREATED, "owned_by": "system"}],
    })
}

/// An error of OpenAI's shape.
pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("requests", json!("rate_limit_exceeded")),
        500.. => ("server_error", Value::Null),
        _ => ("invalid_request_error", Value::Null),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

fn model(request: &Value) -> String {
    format!("{}{DATED}", request["model"].as_str().unwrap_or("unnamed"))
}

fn finish(saying: &Saying) -> &'static str {
    if saying.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    }
}

fn say(request: &Value, long: Option<usize>) -> Saying {
    let messages = request["messages"].as_array();
    let last = messages.and_then(|all| all.last()).unwrap_or(&Value::Null);
    let tools = request["tools"]
        .as_array()
        .filter(|_| request["tool_choice"] != "none");
    if let (Some(tools), true) = (tools, last["role"] != "tool") {
        let wanted = |tool: &&Value| {
            let forced = &request["tool_choice"]["function"]["name"];
            forced.is_null() || *forced == tool["function"]["name"]
        };
        let calls = tools.iter().filter(wanted).map(|tool| {
            let name = tool["function"]["name"]
                .as_str()
                .unwrap_or("unnamed")
                .to_owned();
            (name, sample(&tool["function"]["parameters"]).to_string())
        });
        return Saying {
            content: None,
            calls: calls.collect(),
        };
    }
    let content = match (long, request["response_format"]["type"].as_str()) {
        (Some(length), _) => "x".repeat(length),
        (None, Some("json_object")) => json!({"answer": 42}).to_string(),
        (None, Some("json_schema")) => {
            sample(&request["response_format"]["json_schema"]["schema"]).to_string()
        }
        (None, _) => heard(last),
    };
    Saying {
        content: Some(content),
        calls: Vec::new(),
    }
}

/// What was said, back again, so that a test sees both ways at once.
fn heard(message: &Value) -> String {
    let Some(parts) = message["content"].as_array() else {
        return format!(
            "You said: {}",
            message["content"].as_str().unwrap_or_default()
        );
    };
    let of = |kind: &str| parts.iter().filter(|part| part["type"] == kind).count();
    format!(
        "You showed {} images and {} texts",
        of("image_url"),
        of("text")
    )
}

/// A value that fits a schema's required properties.
pub(super) fn sample(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(7),
        Some("boolean") => json!(true),
        Some("array") => json!([sample(&schema["items"])]),
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties
                .map(|(name, property)| (name.clone(), sample(property)))
                .collect()
        }
        _ => schema["enum"][0].as_str().unwrap_or("Paris").into(),
    }
}
