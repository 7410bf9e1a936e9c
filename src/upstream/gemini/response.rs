//! Answers, whole: Gemini's candidates as choices.
//!
//! What Gemini says beside the turn goes on under LiteLLM's names (`vertex_ai_grounding_metadata`,
//! …), one member of the list for each candidate that has it.

use serde_json::{Map, Value, json};

use crate::call::Dialect;
use crate::call::Usage;
use crate::call::chat::{Answer, Choice, Finish, Media, Part, Source, Text, Thinking, ToolCall};
use crate::upstream::protocol::{Task, Unreadable};
use crate::wire::gemini::{self, Candidate, FunctionCall, LogprobsResult, Response, TokenLogprob};

/// Members of a candidate that go on beside the turn, and what LiteLLM calls them.
const BESIDE: [(&str, &str); 3] = [
    ("urlContextMetadata", "vertex_ai_url_context_metadata"),
    ("safetyRatings", "vertex_ai_safety_results"),
    ("citationMetadata", "vertex_ai_citation_metadata"),
];
const GROUNDING: &str = "vertex_ai_grounding_metadata";
/// What LiteLLM calls the signatures of words.
pub(super) const SIGNATURES: &str = "thought_signatures";

/// Reads an answer, or a count of tokens.
pub(super) fn read(task: Task, body: &[u8]) -> Result<Answer, Unreadable> {
    if task == Task::CountTokens {
        return count(body);
    }
    let response: Response = serde_json::from_slice(body)
        .map_err(|_| Unreadable::new("It is no answer of generateContent."))?;
    let mut answer = Answer {
        usage: usage(&response),
        id: response.response_id,
        model: response.model_version,
        ..Answer::default()
    };
    for candidate in &response.candidates {
        beside(candidate, &mut answer.rest);
    }
    let id = answer.id.as_deref();
    answer.choices = response
        .candidates
        .into_iter()
        .map(|candidate| choice(candidate, id))
        .collect();
    if answer.choices.is_empty() {
        let blocked = response
            .prompt_feedback
            .and_then(|feedback| feedback.block_reason)
            .ok_or_else(|| Unreadable::new("It offers no candidate."))?;
        answer.choices.push(Choice {
            finish: Some(Finish::ContentFilter),
            rest: blocked_rest(blocked),
            ..Choice::default()
        });
    }
    Ok(answer)
}

/// What a choice says when the prompt was refused.
pub(super) fn blocked_rest(reason: String) -> Map<String, Value> {
    Map::from_iter([("block_reason".to_owned(), reason.into())])
}

fn count(body: &[u8]) -> Result<Answer, Unreadable> {
    let counted: Value =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no count of tokens."))?;
    let prompt = counted["totalTokens"]
        .as_u64()
        .ok_or_else(|| Unreadable::new("It is no count of tokens."))?;
    let cache_read = counted["cachedContentTokenCount"].as_u64().unwrap_or(0);
    Ok(Answer {
        usage: Some(Usage {
            prompt,
            cache_read,
            ..Usage::default()
        }),
        ..Answer::default()
    })
}

fn choice(candidate: Candidate, answer: Option<&str>) -> Choice {
    let mut choice = Choice {
        logprobs: candidate.logprobs_result.as_ref().map(logprobs),
        ..Choice::default()
    };
    let mut said = String::new();
    let mut calls = 0;
    let mut signatures = Vec::new();
    for part in candidate.content.unwrap_or_default().parts {
        let Some(read) = part_of(part, answer, candidate.index, calls) else {
            continue;
        };
        calls += u32::from(matches!(read, Part::Call(_)));
        if let Part::Text(text) = &read {
            said.push_str(&text.text);
            signatures.extend(text.signature.clone());
        }
        join(&mut choice.parts, read);
    }
    if let Some(grounding) = &candidate.grounding_metadata {
        let sources = annotations(grounding, &said);
        if let Some(Part::Text(last)) = choice
            .parts
            .iter_mut()
            .rev()
            .find(|part| matches!(part, Part::Text(_)))
        {
            last.annotations = sources;
        }
    }
    if !signatures.is_empty() {
        choice.rest.insert(SIGNATURES.to_owned(), signatures.into());
    }
    choice.finish = candidate
        .finish_reason
        .map(|reason| finish(&reason, calls > 0));
    choice
}

/// Adds a part; words go to the words before them, as they do in a stream.
fn join(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Text(last)), Part::Text(more)) => {
            last.text.push_str(&more.text);
            last.signature = more.signature.or(last.signature.take());
        }
        (Some(Part::Thinking(last)), Part::Thinking(more)) if last.signature.is_none() => {
            last.text.push_str(&more.text);
            last.signature = more.signature;
        }
        (_, part) => parts.push(part),
    }
}

/// A part in the one form; `None` if it says nothing.
pub(super) fn part_of(
    part: gemini::Part,
    answer: Option<&str>,
    choice: u32,
    calls: u32,
) -> Option<Part> {
    let signature = part.thought_signature.clone();
    if let Some(call) = part.function_call {
        return Some(Part::Call(ToolCall {
            id: call_id(&call, answer, choice, calls),
            arguments: Value::Object(call.args).to_string(),
            name: call.name,
            signature,
            cache: None,
        }));
    }
    if let Some(blob) = part.inline_data {
        let source = Source::Base64(blob.data);
        return Some(media(source, Some(blob.mime_type)));
    }
    if let Some(file) = part.file_data {
        return Some(media(Source::Url(file.file_uri), file.mime_type));
    }
    if part.rest.is_empty()
        && part.function_response.is_none()
        && let Some(text) = part.text
    {
        if part.thought == Some(true) {
            return Some(Part::Thinking(Thinking {
                text,
                signature,
                redacted: None,
            }));
        }
        if text.is_empty() && signature.is_none() {
            return None;
        }
        return Some(Part::Text(Text {
            text,
            signature,
            ..Text::default()
        }));
    }
    // Code that Google ran, and whatever comes later.
    let value = serde_json::to_value(&part).ok()?;
    value
        .as_object()
        .is_some_and(|part| !part.is_empty())
        .then_some(Part::Other {
            dialect: Dialect::Gemini,
            value,
        })
}

fn media(source: Source, mime: Option<String>) -> Part {
    let kind = mime
        .as_deref()
        .unwrap_or("")
        .split('/')
        .next()
        .unwrap_or("");
    let part = match kind {
        "image" => Part::Image,
        "audio" => Part::Audio,
        "video" => Part::Video,
        _ => Part::Document,
    };
    part(Media {
        source,
        mime,
        ..Media::default()
    })
}

/// An id for the calls of models that give none: the same whenever the answer is read, and another
/// for each call of a conversation.
fn call_id(call: &FunctionCall, answer: Option<&str>, choice: u32, index: u32) -> String {
    use std::hash::{Hash, Hasher};

    if let Some(id) = call.id.as_ref().filter(|id| !id.is_empty()) {
        return id.clone();
    }
    let mut hasher = rustc_hash::FxHasher::default();
    (answer, &call.name, choice, index).hash(&mut hasher);
    if answer.is_none() {
        for (name, value) in &call.args {
            (name, value.to_string()).hash(&mut hasher);
        }
    }
    format!("call_{:016x}", hasher.finish())
}

/// Why a turn ends.
pub(super) fn finish(reason: &str, calls: bool) -> Finish {
    match reason {
        "STOP" if calls => Finish::ToolCalls,
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Finish::ContentFilter,
        other => Finish::Other(other.to_ascii_lowercase()),
    }
}

/// Adds what a candidate says beside its turn.
pub(super) fn beside(candidate: &Candidate, rest: &mut Map<String, Value>) {
    let mut add = |name: &str, value: Value| {
        let list = rest.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
    };
    if let Some(grounding) = &candidate.grounding_metadata {
        add(GROUNDING, Value::Object(grounding.clone()));
    }
    for (theirs, ours) in BESIDE {
        if let Some(value) = candidate.rest.get(theirs) {
            add(ours, value.clone());
        }
    }
}

/// What an answer took. Thought is counted apart from what is said, and both are billed alike; what
/// Google's tools read is part of the prompt.
pub(super) fn usage(response: &Response) -> Option<Usage> {
    let said = response.usage_metadata.as_ref()?;
    let of = |details: &[gemini::ModalityCount], kind: &str| {
        details
            .iter()
            .filter(|one| one.modality == kind)
            .map(|one| one.token_count)
            .sum()
    };
    let searches = response
        .candidates
        .iter()
        .filter_map(|candidate| {
            candidate
                .grounding_metadata
                .as_ref()?
                .get("webSearchQueries")
        })
        .filter_map(Value::as_array)
        .map(|queries| queries.len() as u64)
        .sum();
    let prompt = said.prompt_token_count + said.tool_use_prompt_token_count;
    // Some answers of Vertex AI count thought among what is said.
    let counted = prompt + said.candidates_token_count == said.total_token_count;
    let completion = if counted {
        said.candidates_token_count
    } else {
        said.candidates_token_count + said.thoughts_token_count
    };
    Some(Usage {
        prompt,
        completion,
        cache_read: said.cached_content_token_count,
        reasoning: said.thoughts_token_count.min(completion),
        audio_input: of(&said.prompt_tokens_details, "AUDIO"),
        audio_output: of(&said.candidates_tokens_details, "AUDIO"),
        image_input: of(&said.prompt_tokens_details, "IMAGE"),
        image_output: of(&said.candidates_tokens_details, "IMAGE"),
        searches,
        ..Usage::default()
    })
}

/// Sources in OpenAI's form. Gemini counts bytes of what was said, OpenAI characters; where the
/// words are not known (`said` is shorter), the places are left out.
pub(super) fn annotations(grounding: &Map<String, Value>, said: &str) -> Vec<Value> {
    let list = |name: &str| {
        grounding
            .get(name)
            .and_then(Value::as_array)
            .map_or(&[] as &[Value], Vec::as_slice)
    };
    let chunks = list("groundingChunks");
    let place = |at: &Value| {
        let at = usize::try_from(at.as_u64().unwrap_or(0)).ok()?;
        said.get(..at).map(|before| before.chars().count())
    };
    let mut found = Vec::new();
    for support in list("groundingSupports") {
        let segment = &support["segment"];
        let places = place(&segment["startIndex"]).zip(place(&segment["endIndex"]));
        let indices = support["groundingChunkIndices"].as_array();
        for index in indices.into_iter().flatten().filter_map(Value::as_u64) {
            let web = usize::try_from(index)
                .ok()
                .and_then(|index| chunks.get(index)?.get("web"));
            let Some(web) = web else { continue };
            let mut citation = Map::new();
            if let Some((start, end)) = places {
                citation.insert("start_index".to_owned(), start.into());
                citation.insert("end_index".to_owned(), end.into());
            }
            for (theirs, ours) in [("uri", "url"), ("title", "title")] {
                if let Some(value) = web.get(theirs) {
                    citation.insert(ours.to_owned(), value.clone());
                }
            }
            found.push(json!({"type": "url_citation", "url_citation": citation}));
        }
    }
    found
}

/// Likelihoods in OpenAI's form.
pub(super) fn logprobs(result: &LogprobsResult) -> Value {
    let one = |token: &TokenLogprob| json!({"token": token.token, "bytes": token.token.as_bytes(), "logprob": token.log_probability});
    let content: Vec<Value> = result
        .chosen_candidates
        .iter()
        .enumerate()
        .map(|(at, token)| {
            let mut written = one(token);
            let top = result.top_candidates.get(at);
            let top = top.into_iter().flat_map(|top| &top.candidates).map(one);
            written["top_logprobs"] = top.collect();
            written
        })
        .collect();
    json!({ "content": content, "refusal": null })
}
