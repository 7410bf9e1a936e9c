//! `mock_response`: the gateway itself answers, as LiteLLM's own test feature does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pointsman_routes::table::Mock;
use serde_json::{Value, json};

use super::protocol::{Broken, Decoder};
use super::{Relay, fault, now, passage};
use crate::call::chat::{self, Choice, Delta, Event, Finish, Part};
use crate::call::vectors::{EmbedAnswer, Vector};
use crate::call::{Answer, AnswerBody, Attempt, Dialect, Field, Usage};
use crate::dialect;
use crate::error::{Failure, NoDeployment, UpstreamKind};

/// LiteLLM's figures for a mock: they depend on nothing.
const PROMPT_TOKENS: u64 = 10;
const COMPLETION_TOKENS: u64 = 20;
/// Length of a mock's vectors.
const DIMENSIONS: usize = 8;

/// The words that a mock still has to say.
#[derive(Debug)]
pub(super) struct Script {
    words: std::vec::IntoIter<Bytes>,
}

impl Script {
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        self.words.next()
    }
}

/// Answers an attempt at a mocked deployment.
pub(super) fn answer(attempt: &Attempt, mock: &Mock) -> Result<Answer<Relay>, Failure> {
    let text = match mock {
        Mock::Text(text) => text,
        Mock::Error(class) => return Err(failure(attempt, class)),
    };
    let call = &attempt.call;
    if !(call.route.speaks() || call.route.embeds()) || call.route.wants_keeper() {
        return Err(Failure::NoDeployment {
            group: call.group_name().to_owned(),
            why: NoDeployment::Route,
        });
    }
    let body = if call.route.embeds() {
        AnswerBody::Whole {
            bytes: embeddings(attempt)?,
            usage: Some(Usage {
                prompt: PROMPT_TOKENS,
                ..Usage::default()
            }),
        }
    } else if call.peek.stream {
        let words = text.split_inclusive(' ');
        let words: Vec<_> = words
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        let script = Script {
            words: words.into_iter(),
        };
        let passage = passage(attempt, Box::new(Words));
        let relay = Relay::mock(script, Arc::clone(call), attempt.deployment, passage);
        AnswerBody::Stream(relay)
    } else {
        let answer = chat::Answer {
            choices: vec![Choice {
                parts: vec![Part::text(&**text)],
                finish: Some(Finish::Stop),
                ..Choice::default()
            }],
            usage: Some(USAGE),
            ..chat::Answer::default()
        };
        AnswerBody::Whole {
            bytes: dialect::write(call, &answer, now()),
            usage: answer.usage,
        }
    };
    Ok(Answer {
        deployment: attempt.deployment,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        latency: Duration::ZERO,
        dropped: Vec::new(),
        body,
    })
}

const USAGE: Usage = Usage {
    prompt: PROMPT_TOKENS,
    completion: COMPLETION_TOKENS,
    cache_read: 0,
    cache_write: 0,
    cache_write_hour: 0,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    image_input: 0,
    image_output: 0,
    searches: 0,
    queries: 0,
    images: 0,
    audio_millis: 0,
    characters: 0,
    cost: None,
};

/// Reads a script.
#[derive(Debug)]
struct Words;

impl Decoder for Words {
    fn push(&mut self, word: Bytes, events: &mut Vec<Event>) -> Result<(), Broken> {
        let text = String::from_utf8_lossy(&word).into_owned();
        events.push(Event::Delta {
            choice: 0,
            delta: Delta::Text(text),
        });
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        events.push(Event::Finish {
            choice: 0,
            finish: Finish::Stop,
            stop_sequence: None,
        });
        events.push(Event::Usage(USAGE));
        Ok(())
    }
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

fn embeddings(attempt: &Attempt) -> Result<Bytes, Failure> {
    let call = &attempt.call;
    if call.route.dialect() == Dialect::Gemini {
        let deployment = call.live.deployment(attempt.deployment);
        let asked = dialect::vectors::read_embed(call, deployment)?;
        let answer = EmbedAnswer {
            vectors: vec![Vector::Floats(unit()); asked.inputs.len()],
            ..EmbedAnswer::default()
        };
        let written = dialect::vectors::write_embed(call, asked.encoding, &answer);
        return written.ok_or(Failure::Internal);
    }
    let body = json!({
        "object": "list", "model": call.name(),
        "data": vectors(attempt),
        "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    });
    Ok(Bytes::from(body.to_string()))
}

fn unit() -> Vec<f32> {
    (0..DIMENSIONS)
        .map(|at| if at == 0 { 1.0 } else { 0.0 })
        .collect()
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
    let floats = unit();
    (0..count)
        .map(|index| {
            let embedding = if base64 { json!(packed) } else { json!(floats) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect()
}
