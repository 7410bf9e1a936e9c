//! `mock_response`: the gateway itself answers, as LiteLLM's own test feature does.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pointsman_routes::table::Mock;
use serde_json::{Value, json};

use super::openai::response;
use super::{Relay, fault};
use crate::call::{Answer, AnswerBody, Attempt, Field, Route};
use crate::error::{Failure, UpstreamKind};

/// LiteLLM's figures for a mock: they depend on nothing.
const PROMPT_TOKENS: u64 = 10;
const COMPLETION_TOKENS: u64 = 20;
/// Length of a mock's vectors.
const DIMENSIONS: usize = 8;

/// The chunks that a mock still has to say.
#[derive(Debug)]
pub(super) struct Script {
    chunks: std::vec::IntoIter<Bytes>,
}

impl Script {
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        self.chunks.next()
    }
}

/// Answers an attempt at a mocked deployment.
pub(super) fn answer(attempt: &Attempt, mock: &Mock) -> Result<Answer<Relay>, Failure> {
    let text = match mock {
        Mock::Text(text) => text,
        Mock::Error(class) => return Err(failure(attempt, class)),
    };
    let call = &attempt.call;
    let body = if call.peek.stream && call.route != Route::Embeddings {
        let script = Script {
            chunks: chunks(attempt, text).into_iter(),
        };
        let relay = Relay::mock(script, Arc::clone(call), attempt.deployment);
        AnswerBody::Stream(relay)
    } else {
        let bytes = Bytes::from(whole(attempt, text).to_string());
        response::whole(attempt, &HeaderMap::new(), bytes)?
    };
    Ok(Answer {
        deployment: attempt.deployment,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        latency: Duration::ZERO,
        body,
    })
}

fn failure(attempt: &Attempt, class: &str) -> Failure {
    let kind = match class.rsplit('.').next().unwrap_or(class) {
        "RateLimitError" => StatusCode::TOO_MANY_REQUESTS,
        "AuthenticationError" => StatusCode::UNAUTHORIZED,
        "NotFoundError" => StatusCode::NOT_FOUND,
        "Timeout" => return fault(attempt, UpstreamKind::Timeout(Duration::ZERO), ""),
        "ContextWindowExceededError" | "ContentPolicyViolationError" | "BadRequestError" => {
            StatusCode::BAD_REQUEST
        }
        "ServiceUnavailableError" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    fault(attempt, UpstreamKind::Status(kind), "This is a mock error")
}

fn whole(attempt: &Attempt, text: &str) -> Value {
    let model = attempt.call.name();
    let usage = usage();
    match attempt.call.route {
        Route::Chat => json!({
            "id": id(attempt, "chatcmpl"), "object": "chat.completion", "created": now(),
            "model": model, "usage": usage,
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }],
        }),
        Route::Completions => json!({
            "id": id(attempt, "cmpl"), "object": "text_completion", "created": now(),
            "model": model, "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "text": text, "logprobs": null}],
        }),
        Route::Embeddings => json!({
            "object": "list", "model": model,
            "data": vectors(attempt),
            "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
        }),
    }
}

fn usage() -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    })
}

/// One unit vector for each input, as floats or, where the caller asks for it, in base64.
fn vectors(attempt: &Attempt) -> Vec<Value> {
    let call = &attempt.call;
    let input: Value = call
        .peek
        .value(&call.body, Field::Input)
        .and_then(|input| serde_json::from_slice(input).ok())
        .unwrap_or_default();
    let count = match &input {
        Value::Array(items) if items.first().is_some_and(|item| !item.is_number()) => items.len(),
        _ => 1,
    };
    let base64 = serde_json::from_slice::<Value>(&call.body)
        .is_ok_and(|body| body["encoding_format"] == "base64");
    // 1.0 and seven zeros as little-endian 32-bit floats.
    let packed = format!("AACAPw{}=", "A".repeat(DIMENSIONS * 4 * 4 / 3 - 5));
    let floats: Vec<f32> = (0..DIMENSIONS)
        .map(|at| if at == 0 { 1.0 } else { 0.0 })
        .collect();
    (0..count)
        .map(|index| {
            let embedding = if base64 { json!(packed) } else { json!(floats) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect()
}

fn chunks(attempt: &Attempt, text: &str) -> Vec<Bytes> {
    let chat = attempt.call.route == Route::Chat;
    let (id, object) = if chat {
        (id(attempt, "chatcmpl"), "chat.completion.chunk")
    } else {
        (id(attempt, "cmpl"), "text_completion")
    };
    let created = now();
    let model = attempt.call.name();
    let event = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": id, "object": object, "created": created, "model": model, "choices": choices,
        });
        if !usage.is_null() {
            chunk["usage"] = usage;
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let choice = |content: Option<&str>, first: bool, finish: Value| {
        if !chat {
            return json!([{"index": 0, "text": content.unwrap_or(""), "finish_reason": finish}]);
        }
        let mut delta = json!({});
        if first {
            delta["role"] = "assistant".into();
        }
        if let Some(content) = content {
            delta["content"] = content.into();
        }
        json!([{"index": 0, "delta": delta, "finish_reason": finish}])
    };
    let mut chunks: Vec<Bytes> = text
        .split_inclusive(' ')
        .enumerate()
        .map(|(at, word)| event(choice(Some(word), at == 0, Value::Null), Value::Null))
        .collect();
    chunks.push(event(
        choice(None, chunks.is_empty(), "stop".into()),
        Value::Null,
    ));
    chunks.push(event(json!([]), usage()));
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    chunks
}

fn id(attempt: &Attempt, kind: &str) -> String {
    format!("{kind}-{}", attempt.call.id.to_str().unwrap_or("mock"))
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
