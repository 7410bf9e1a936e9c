//! A whole answer.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::call::chat::{Answer, Choice, Finish, Media, Part, Source, Text, Thinking, ToolCall};
use crate::call::{Dialect, Usage};
use crate::upstream::openai::quirks::{Vendor, words};
use crate::upstream::protocol::Unreadable;
use crate::wire::openai;

/// Reads it.
pub(super) fn read(vendor: Vendor, body: &[u8]) -> Result<Answer, Unreadable> {
    let body: Body<'_> =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no chat completion."))?;
    let extras = Extras {
        system_fingerprint: body.system_fingerprint,
        service_tier: body.service_tier,
        citations: body.citations,
        search_results: body.search_results,
    };
    let sources = extras.annotations();
    let choices = body.choices.into_iter().map(|choice| {
        let mut parts = Vec::new();
        choice.message.read(&sources, &mut parts);
        let finish = choice.finish_reason.as_deref().map(finish);
        let calls = parts.iter().any(|part| matches!(part, Part::Call(_)));
        Choice {
            finish: settle(finish, calls),
            parts,
            logprobs: choice.logprobs.filter(|logprobs| !logprobs.is_null()),
            ..Choice::default()
        }
    });
    Ok(Answer {
        id: body.id,
        model: body.model,
        choices: choices.collect(),
        usage: body.usage.and_then(|raw| usage(vendor, raw)),
        rest: extras.rest(),
    })
}

#[derive(Deserialize)]
struct Body<'a> {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<ChoiceIn>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    system_fingerprint: Option<String>,
    service_tier: Option<String>,
    citations: Option<Vec<Value>>,
    search_results: Option<Value>,
}

/// Members of an answer or of a chunk that stand beside the choices.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) system_fingerprint: Option<String>,
    pub(super) service_tier: Option<String>,
    /// Perplexity's.
    pub(super) citations: Option<Vec<Value>>,
    pub(super) search_results: Option<Value>,
}

impl Extras {
    pub(super) fn rest(self) -> Map<String, Value> {
        let mut rest = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                rest.insert(name.to_owned(), value);
            }
        };
        put(
            "system_fingerprint",
            self.system_fingerprint.map(Value::from),
        );
        put("service_tier", self.service_tier.map(Value::from));
        put("citations", self.citations.map(Value::from));
        put("search_results", self.search_results);
        rest
    }

    /// Perplexity's citations as OpenAI's annotations.
    fn annotations(&self) -> Vec<Value> {
        let urls = self.citations.iter().flatten().filter_map(Value::as_str);
        let source =
            |url| json!({"type": "url_citation", "url_citation": {"url": url, "title": url}});
        urls.map(source).collect()
    }
}

#[derive(Deserialize)]
struct ChoiceIn {
    #[serde(default)]
    message: MessageIn,
    finish_reason: Option<String>,
    logprobs: Option<Value>,
}

/// A message, or what is new in one.
#[derive(Default, Deserialize)]
pub(super) struct MessageIn {
    #[serde(default)]
    pub(super) content: Value,
    pub(super) reasoning_content: Option<String>,
    /// What OpenRouter, Groq and vLLM call it.
    pub(super) reasoning: Option<Value>,
    pub(super) refusal: Option<String>,
    pub(super) tool_calls: Option<Vec<CallIn>>,
    pub(super) function_call: Option<FunctionIn>,
    pub(super) annotations: Option<Vec<Value>>,
    pub(super) audio: Option<AudioIn>,
    pub(super) images: Option<Vec<ImageIn>>,
}

#[derive(Deserialize)]
pub(super) struct CallIn {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionIn>,
    pub(super) custom: Option<Value>,
}

#[derive(Default, Deserialize)]
pub(super) struct FunctionIn {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) arguments: Value,
}

#[derive(Deserialize)]
pub(super) struct AudioIn {
    data: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ImageIn {
    image_url: Address,
}

#[derive(Deserialize)]
struct Address {
    url: String,
}

impl MessageIn {
    fn read(self, sources: &[Value], parts: &mut Vec<Part>) {
        let (said, mut thought) = words(&self.content);
        if let Some(text) = self.reasoning_content.or(text_of(self.reasoning)) {
            thought.push_str(&text);
        }
        if !thought.is_empty() {
            parts.push(Part::Thinking(Thinking {
                text: thought,
                ..Thinking::default()
            }));
        }
        if !said.is_empty() {
            let mut annotations = self.annotations.unwrap_or_default();
            annotations.extend_from_slice(sources);
            parts.push(Part::Text(Text {
                text: said,
                annotations,
                ..Text::default()
            }));
        }
        if let Some(refusal) = self.refusal.filter(|refusal| !refusal.is_empty()) {
            parts.push(Part::Refusal(refusal));
        }
        parts.extend(self.audio.and_then(AudioIn::read).map(Part::Audio));
        let images = self.images.into_iter().flatten();
        parts.extend(images.map(|image| Part::Image(image.read())));
        for (index, call) in self.tool_calls.into_iter().flatten().enumerate() {
            parts.extend(call.read(index));
        }
        if let Some(function) = self.function_call {
            let id = function.name.clone().unwrap_or_default();
            parts.push(Part::Call(function.read(id)));
        }
    }
}

impl CallIn {
    fn read(self, index: usize) -> Option<Part> {
        let id = self.id.unwrap_or_else(|| format!("call_{index}"));
        if let Some(custom) = self.custom {
            return Some(Part::Other {
                dialect: Dialect::OpenAi,
                value: json!({"id": id, "type": "custom", "custom": custom}),
            });
        }
        Some(Part::Call(self.function?.read(id)))
    }
}

impl FunctionIn {
    fn read(self, id: String) -> ToolCall {
        ToolCall {
            id,
            arguments: text_of(Some(self.arguments)).unwrap_or_default(),
            name: self.name.unwrap_or_default(),
            ..ToolCall::default()
        }
    }
}

impl AudioIn {
    pub(super) fn read(self) -> Option<Media> {
        Some(Media {
            source: Source::Base64(self.data?),
            ..Media::default()
        })
    }
}

impl ImageIn {
    pub(super) fn read(self) -> Media {
        let (source, mime) = crate::dialect::openai::read::source(self.image_url.url);
        Media {
            source,
            mime,
            ..Media::default()
        }
    }
}

/// A text, or the JSON of what some servers send in its place.
pub(super) fn text_of(value: Option<Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Why a turn ended, by OpenAI's word.
pub(super) fn finish(word: &str) -> Finish {
    match word {
        // xAI says nothing where functions are to be called.
        "stop" | "eos" | "end_turn" | "" => Finish::Stop,
        "length" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}

/// Some servers say that a turn is complete where functions are to be called.
pub(super) fn settle(finish: Option<Finish>, calls: bool) -> Option<Finish> {
    match finish {
        Some(Finish::Stop) if calls => Some(Finish::ToolCalls),
        finish => finish,
    }
}

/// What it took.
pub(super) fn usage(vendor: Vendor, raw: &RawValue) -> Option<Usage> {
    let text = raw.get().as_bytes();
    let read = openai::Usage::read(text).map(Usage::from)?;
    Some(Usage {
        cost: vendor.cost(text),
        ..read
    })
}
