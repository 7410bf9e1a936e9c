//! Writes an answer.

use serde_json::{Map, Value, json};

use crate::call::Usage;
use crate::call::chat::{Answer, Choice, Finish, Media, Part, Source};
use crate::wire::gemini::{
    self, Blob, Candidate, Content, FileData, FunctionCall, LogprobsResult, ModalityCount,
    Response, TokenLogprob, TopCandidates, UsageMetadata,
};

/// Reasons that Gemini has for the end of a turn, beside those that the one form names.
const REASONS: [&str; 8] = [
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
];

/// An answer as `generateContent` gives it; `model` is the name that the caller asked for.
pub fn chat(model: &str, id: &str, answer: &Answer) -> Vec<u8> {
    let mut candidates = Vec::with_capacity(answer.choices.len());
    for (index, choice) in (0..).zip(&answer.choices) {
        candidates.push(candidate(index, choice));
    }
    let response = Response {
        candidates,
        usage_metadata: answer.usage.as_ref().map(usage),
        model_version: Some(model.to_owned()),
        response_id: Some(answer.id.as_deref().unwrap_or(id).to_owned()),
        ..Response::default()
    };
    serde_json::to_vec(&response).unwrap_or_default()
}

/// A count as `countTokens` gives it.
pub fn count(usage: Option<&Usage>) -> Vec<u8> {
    let total = usage.map_or(0, |usage| usage.prompt);
    let mut body = json!({ "totalTokens": total });
    if let Some(cached) = usage
        .map(|usage| usage.cache_read)
        .filter(|cached| *cached > 0)
    {
        body["cachedContentTokenCount"] = cached.into();
    }
    body.to_string().into_bytes()
}

fn candidate(index: u32, choice: &Choice) -> Candidate {
    let mut parts = Vec::with_capacity(choice.parts.len());
    let mut sources = Sources::default();
    let mut malformed = false;
    for piece in &choice.parts {
        if let Part::Text(text) = piece {
            sources.said(&text.text);
            text.annotations
                .iter()
                .for_each(|source| sources.add(source));
        }
        match part(piece) {
            Written::Part(part) => parts.push(*part),
            Written::Nothing => {}
            Written::Malformed => malformed = true,
        }
    }
    let reason = if malformed {
        Some("MALFORMED_FUNCTION_CALL".to_owned())
    } else {
        choice.finish.as_ref().map(reason)
    };
    Candidate {
        content: Some(Content {
            role: Some("model".to_owned()),
            parts,
        }),
        finish_reason: reason,
        index,
        grounding_metadata: sources.metadata(),
        logprobs_result: choice.logprobs.as_ref().and_then(logprobs),
        ..Candidate::default()
    }
}

/// A part in Gemini's form.
pub(super) enum Written {
    /// It has one.
    Part(Box<gemini::Part>),
    /// It has none.
    Nothing,
    /// It is a call whose arguments are no object.
    Malformed,
}

pub(super) fn part(part: &Part) -> Written {
    let written = match part {
        Part::Text(text) => gemini::Part {
            thought_signature: text.signature.clone().filter(|text| is_base64(text)),
            ..words(&text.text)
        },
        Part::Refusal(text) => words(text),
        Part::Thinking(thinking) if thinking.redacted.is_none() => gemini::Part {
            thought: Some(true),
            thought_signature: thinking.signature.clone().filter(|text| is_base64(text)),
            ..words(&thinking.text)
        },
        Part::Call(call) => {
            let arguments = if call.arguments.trim().is_empty() {
                "{}"
            } else {
                &call.arguments
            };
            let Ok(args) = serde_json::from_str(arguments) else {
                return Written::Malformed;
            };
            gemini::Part {
                thought_signature: call.signature.clone().filter(|text| is_base64(text)),
                function_call: Some(FunctionCall {
                    id: Some(call.id.clone()).filter(|id| !id.is_empty()),
                    name: call.name.clone(),
                    args,
                    ..FunctionCall::default()
                }),
                ..gemini::Part::default()
            }
        }
        Part::Image(what) => media(what, "image/png"),
        Part::Document(what) => media(what, "application/pdf"),
        Part::Audio(what) => media(what, "audio/wav"),
        Part::Video(what) => media(what, "video/mp4"),
        Part::Other {
            dialect: crate::call::Dialect::Gemini,
            value,
        } => match serde_json::from_value(value.clone()) {
            Ok(part) => part,
            Err(_) => return Written::Nothing,
        },
        Part::Thinking(_) | Part::Result(_) | Part::Other { .. } => return Written::Nothing,
    };
    Written::Part(Box::new(written))
}

pub(super) fn words(text: &str) -> gemini::Part {
    gemini::Part {
        text: Some(text.to_owned()),
        ..gemini::Part::default()
    }
}

fn media(media: &Media, usual: &str) -> gemini::Part {
    let mime = || media.mime.clone().unwrap_or_else(|| usual.to_owned());
    match &media.source {
        Source::Base64(data) => gemini::Part {
            inline_data: Some(Blob {
                mime_type: mime(),
                data: data.clone(),
                ..Blob::default()
            }),
            ..gemini::Part::default()
        },
        Source::Url(uri) | Source::File(uri) => gemini::Part {
            file_data: Some(FileData {
                mime_type: Some(mime()),
                file_uri: uri.clone(),
                ..FileData::default()
            }),
            ..gemini::Part::default()
        },
        Source::Text(text) => words(text),
    }
}

/// Signatures are bytes to Google's clients, which stumble over anything else.
pub(super) fn is_base64(text: &str) -> bool {
    let plain = text.trim_end_matches('=');
    !plain.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - plain.len() <= 2
        && plain
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'))
}

/// Gemini's name for why a turn ends.
pub(super) fn reason(finish: &Finish) -> String {
    let name = match finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolCalls | Finish::Pause => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
        Finish::Other(other) => {
            let upper = other.to_ascii_uppercase();
            return if REASONS.contains(&upper.as_str()) {
                upper
            } else {
                "OTHER".to_owned()
            };
        }
    };
    name.to_owned()
}

/// Thought is told apart from what is said.
pub(super) fn usage(usage: &Usage) -> UsageMetadata {
    let by_kind = |audio: u64, image: u64, all: u64| {
        let text = all.saturating_sub(audio).saturating_sub(image);
        let kinds = [("TEXT", text), ("AUDIO", audio), ("IMAGE", image)];
        let one = |(modality, token_count): (&str, u64)| ModalityCount {
            modality: modality.to_owned(),
            token_count,
        };
        let told = kinds
            .into_iter()
            .filter(|(_, count)| audio + image > 0 && *count > 0);
        told.map(one).collect()
    };
    let said = usage.completion.saturating_sub(usage.reasoning);
    UsageMetadata {
        prompt_token_count: usage.prompt,
        cached_content_token_count: usage.cache_read,
        candidates_token_count: said,
        thoughts_token_count: usage.reasoning,
        total_token_count: usage.total(),
        prompt_tokens_details: by_kind(usage.audio_input, usage.image_input, usage.prompt),
        candidates_tokens_details: by_kind(usage.audio_output, usage.image_output, said),
        ..UsageMetadata::default()
    }
}

/// Sources of words in OpenAI's form, gathered into Gemini's, which counts bytes.
#[derive(Debug, Default)]
pub(super) struct Sources {
    said: String,
    chunks: Vec<Value>,
    supports: Vec<Value>,
}

impl Sources {
    /// Longest turn whose words are held.
    const MAX_SAID_BYTES: usize = 64 << 10;
    /// Most sources of a turn.
    const MAX: usize = 256;

    pub(super) fn said(&mut self, text: &str) {
        if self.said.len() + text.len() <= Self::MAX_SAID_BYTES {
            self.said.push_str(text);
        }
    }

    pub(super) fn add(&mut self, annotation: &Value) {
        let citation = &annotation["url_citation"];
        let Some(url) = citation["url"].as_str() else {
            return;
        };
        if self.supports.len() == Self::MAX {
            return;
        }
        let known = self
            .chunks
            .iter()
            .position(|chunk| chunk["web"]["uri"] == url);
        let index = known.unwrap_or_else(|| {
            let mut web = Map::from_iter([("uri".to_owned(), url.into())]);
            if let Some(title) = citation.get("title").filter(|title| title.is_string()) {
                web.insert("title".to_owned(), title.clone());
            }
            self.chunks.push(json!({ "web": web }));
            self.chunks.len() - 1
        });
        let place = |name: &str| {
            let chars = usize::try_from(citation[name].as_u64()?).ok()?;
            let places = self.said.char_indices().map(|(at, _)| at);
            places.chain([self.said.len()]).nth(chars)
        };
        if let Some((start, end)) = place("start_index").zip(place("end_index")) {
            let mut segment = json!({"startIndex": start, "endIndex": end});
            if let Some(text) = self.said.get(start..end) {
                segment["text"] = text.into();
            }
            self.supports
                .push(json!({"segment": segment, "groundingChunkIndices": [index]}));
        }
    }

    pub(super) fn metadata(self) -> Option<Map<String, Value>> {
        if self.chunks.is_empty() {
            return None;
        }
        let mut metadata = Map::new();
        metadata.insert("groundingChunks".to_owned(), self.chunks.into());
        metadata.insert("groundingSupports".to_owned(), self.supports.into());
        Some(metadata)
    }
}

/// Likelihoods from OpenAI's form.
pub(super) fn logprobs(value: &Value) -> Option<LogprobsResult> {
    let content = value["content"].as_array()?;
    let one = |token: &Value| TokenLogprob {
        token: token["token"].as_str().unwrap_or_default().to_owned(),
        token_id: None,
        log_probability: token["logprob"].as_f64().unwrap_or_default(),
    };
    let top = |token: &Value| TopCandidates {
        candidates: token["top_logprobs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(one)
            .collect(),
    };
    Some(LogprobsResult {
        chosen_candidates: content.iter().map(one).collect(),
        top_candidates: content.iter().map(top).collect(),
    })
}
