//! How long a prompt is, where its provider does not count.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use pointsman_routes::table::DeploymentId;

use super::passage::Passage;
use crate::call::chat::{self, Part, Tool};
use crate::call::length::Length;
use crate::call::tokens::{BYTES_PER_TOKEN, Tokens, Vocabulary, apart};
use crate::call::{Answer, AnswerBody, Attempt, Call, Route, Usage};
use crate::dialect;
use crate::error::Failure;

/// What a turn costs beside its words.
const PER_TURN: u64 = 4;
/// About what an image costs, by Anthropic's own account of one of the usual size.
const PER_IMAGE: u64 = 1_600;
/// Longest request whose tokens are counted when its stream has ended without a word of them.
const COUNTED_BYTES: usize = 256 << 10;

/// Estimates the prompt of an attempt.
pub(super) fn answer<S>(attempt: &Attempt) -> Result<Answer<S>, Failure> {
    let call = &attempt.call;
    let prompt = estimate(&*dialect::read(call)?, words);
    let counted = chat::Answer {
        usage: Some(Usage {
            prompt,
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

/// What a stream took of which nobody told all: as much as was told, and the rest by its words.
/// `None` if all of it was told, or if it is no stream of words.
pub(super) fn of_stream(call: &Call, deployment: DeploymentId, passage: &Passage) -> Option<Usage> {
    let progress = passage.progress();
    let of_words = matches!(
        call.route,
        Route::Chat
            | Route::Completions
            | Route::Messages
            | Route::Responses
            | Route::GenerateStream
    );
    if progress.counted || !progress.started || !of_words {
        return None;
    }
    let told = progress.usage.unwrap_or_default();
    let completion = |counted: &dyn Fn(&str) -> u64| passage.said().tokens(counted);
    Some(estimated(call, deployment, told, completion))
}

/// What an answer took that said these words, and nothing of what it took.
pub(super) fn of_words(call: &Call, deployment: DeploymentId, said: &str) -> Usage {
    let completion = |counted: &dyn Fn(&str) -> u64| counted(said);
    estimated(call, deployment, Usage::default(), completion)
}

/// What an answer took of which this much was told.
fn estimated(
    call: &Call,
    deployment: DeploymentId,
    told: Usage,
    completion: impl FnOnce(&dyn Fn(&str) -> u64) -> u64,
) -> Usage {
    let model = call.model_of(deployment);
    let vocabulary = Vocabulary::of(&model).filter(|_| call.body.len() <= COUNTED_BYTES);
    let counted = |text: &str| match vocabulary {
        Some(vocabulary) => vocabulary.count(text),
        None => words(text),
    };
    let (prompt, completion) = apart(|| {
        let prompt = match dialect::read(call) {
            _ if told.prompt > 0 => told.prompt,
            Ok(request) => estimate(&request, counted),
            Err(_) => call.body.len() as u64 / BYTES_PER_TOKEN,
        };
        let begun = call.resumed.as_ref().filter(|_| told.prompt == 0);
        let prompt = prompt + begun.map_or(0, |shown| PER_TURN + counted(&shown.words));
        (prompt, completion(&counted))
    });
    let length = Length::asked(call.route, &call.body, &call.peek);
    // What a budget still pays for is all that was asked for.
    let most = match (length.most, call.tab.most_output()) {
        (Some(asked), Some(paid)) => Some(asked.min(paid)),
        (asked, paid) => asked.or(paid),
    };
    let most = most.map(|most| most.saturating_mul(length.choices));
    Usage {
        prompt,
        // No provider gives more than it was asked for.
        completion: completion
            .min(most.unwrap_or(u64::MAX))
            .max(told.completion),
        ..told
    }
}

fn estimate(request: &chat::Request, count: impl Fn(&str) -> u64 + Copy) -> u64 {
    let turns = request.messages.iter();
    let of_turn = |parts: &[Part]| parts.iter().map(|one| part(one, count)).sum::<u64>();
    let said = turns.map(|turn| PER_TURN + of_turn(&turn.parts));
    let tools = request.tools.iter().map(|tool| match tool {
        Tool::Function(function) => {
            let schema = function
                .parameters
                .as_ref()
                .map(|schema| schema.read().to_string());
            let described = function.description.as_deref().unwrap_or_default();
            count(&function.name) + count(described) + count(&schema.unwrap_or_default())
        }
        Tool::Builtin { value, .. } => count(&value.to_string()),
    });
    said.sum::<u64>() + tools.sum::<u64>()
}

fn part(part: &Part, count: impl Fn(&str) -> u64 + Copy) -> u64 {
    match part {
        Part::Text(text) => count(&text.text),
        Part::Thinking(thinking) => count(&thinking.text),
        Part::Refusal(text) => count(text),
        Part::Call(call) => count(&call.name) + count(&call.arguments),
        Part::Result(result) => {
            let parts = result.parts.iter();
            parts.map(|one| self::part(one, count)).sum()
        }
        Part::Image(_) | Part::Document(_) | Part::Audio(_) | Part::Video(_) => PER_IMAGE,
        Part::Other { value, .. } => count(&value.to_string()),
    }
}

fn words(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::call::example;
    use crate::upstream::gemini::same::Restamp;

    const FILE: &str = "model_list:\n- {model_name: m, litellm_params: {model: openai/gpt-4o, \
                        api_key: os.environ/KEY}}\n";

    fn counted(call: &Call, deployment: DeploymentId, mut passage: Passage, text: &str) -> Usage {
        let chunk = Bytes::copy_from_slice(text.as_bytes());
        passage.push(chunk, &mut BytesMut::new()).unwrap();
        assert_eq!(passage.shown(), None);
        of_stream(call, deployment, &passage).unwrap_or_default()
    }

    #[test]
    fn a_stream_that_is_left_is_counted_at_every_front_door() {
        let body = r#"{"model":"m","contents":[{"role":"user","parts":[{"text":"Hi there"}]}]}"#;
        let of_gemini = example::attempt(FILE, Route::GenerateStream, body);
        let gemini = |text| {
            let passage = Passage::Contents(Restamp::new("m", false));
            counted(&of_gemini.call, of_gemini.deployment, passage, text)
        };
        let words = gemini(
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"one two three\"}]}}]}\n\n",
        );
        assert_eq!((words.prompt, words.completion), (PER_TURN + 2, 3));
        let thought = gemini(
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"12345678\",\"thought\":true},\
             {\"functionCall\":{}}]}}],\"usageMetadata\":{\"promptTokenCount\":9,\"totalTokenCount\":9}}\n\n",
        );
        assert_eq!((thought.prompt, thought.completion), (9, 3));
        let told = gemini(
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":\
             {\"promptTokenCount\":9,\"candidatesTokenCount\":1,\"totalTokenCount\":10}}\n\n",
        );
        assert_eq!(told, Usage::default());

        let body = r#"{"model":"m","input":"Hi there","stream":true}"#;
        let of_responses = example::attempt(FILE, Route::Responses, body);
        let passage = Passage::responses(&of_responses.call, of_responses.deployment);
        let text = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"one two three\"}\n\n\
                    data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"0123456789abc\"}\n\n";
        let told = counted(&of_responses.call, of_responses.deployment, passage, text);
        assert_eq!((told.prompt, told.completion), (PER_TURN + 2, 6));
    }
}
