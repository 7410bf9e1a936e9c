//! How long a prompt is, where its provider does not count.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::call::chat::{self, Part, Tool};
use crate::call::{Answer, AnswerBody, Attempt, Usage};
use crate::dialect;
use crate::error::Failure;

/// Bytes of English and of program text that are about a token.
const BYTES_PER_TOKEN: usize = 4;
/// What a turn costs beside its words.
const PER_TURN: usize = 4;
/// About what an image costs, by Anthropic's own account of one of the usual size.
const PER_IMAGE: usize = 1_600;

/// Estimates the prompt of an attempt.
pub(super) fn answer<S>(attempt: &Attempt) -> Result<Answer<S>, Failure> {
    let call = &attempt.call;
    let prompt = estimate(&*dialect::read(call)?);
    let counted = chat::Answer {
        usage: Some(Usage {
            prompt: prompt.try_into().unwrap_or(u64::MAX),
            ..Usage::default()
        }),
        ..chat::Answer::default()
    };
    Ok(Answer {
        deployment: attempt.deployment,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        latency: Duration::ZERO,
        dropped: Vec::new(),
        body: AnswerBody::Whole {
            bytes: dialect::write(call, &counted, 0),
            usage: None,
        },
    })
}

fn estimate(request: &chat::Request) -> usize {
    let turns = request.messages.iter();
    let said = turns.map(|turn| PER_TURN + turn.parts.iter().map(part).sum::<usize>());
    let tools = request.tools.iter().map(|tool| match tool {
        Tool::Function(function) => {
            let schema = function.parameters.as_ref().map(ToString::to_string);
            let described = function.description.as_ref().map_or(0, String::len);
            words(function.name.len() + described + schema.map_or(0, |schema| schema.len()))
        }
        Tool::Builtin { value, .. } => words(value.to_string().len()),
    });
    said.sum::<usize>() + tools.sum::<usize>()
}

fn part(part: &Part) -> usize {
    match part {
        Part::Text(text) => words(text.text.len()),
        Part::Thinking(thinking) => words(thinking.text.len()),
        Part::Refusal(text) => words(text.len()),
        Part::Call(call) => words(call.name.len() + call.arguments.len()),
        Part::Result(result) => result.parts.iter().map(self::part).sum(),
        Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::Video(_) => PER_IMAGE,
        Part::Other { value, .. } => words(value.to_string().len()),
    }
}

fn words(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN)
}
