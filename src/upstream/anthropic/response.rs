//! Whole messages and errors.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::JSON_TOOL;
use crate::call::chat::{Answer, Choice, Finish, Part, Text, Thinking, ToolCall};
use crate::call::{Dialect, Usage};
use crate::upstream::protocol::{Refusal, Task, Told, Unreadable};
use crate::wire::anthropic::{self, Content, Fault, Message, Refused};

/// Reads a whole message; of a count of tokens, the count.
pub(crate) fn read(task: Task, body: &[u8]) -> Result<Answer, Unreadable> {
    if task == Task::CountTokens {
        return count(body);
    }
    let message: Message<'_> = serde_json::from_slice(body)
        .map_err(|_| Unreadable::new("It is no message of Anthropic's."))?;
    let mut said = Said::default();
    for raw in message.content {
        said.take(raw.get())?;
    }
    let finish = message.stop_reason.as_deref().map(|why| said.finish(why));
    let mut rest = Map::new();
    keep(&mut rest, "container", message.container);
    keep(&mut rest, "context_management", message.context_management);
    Ok(Answer {
        id: message.id,
        model: message.model,
        usage: message.usage.map(|figures| usage(&figures)),
        choices: vec![Choice {
            parts: said.parts,
            finish,
            stop_sequence: message.stop_sequence,
            logprobs: None,
            rest: citations(said.citations),
        }],
        rest,
    })
}

fn count(body: &[u8]) -> Result<Answer, Unreadable> {
    #[derive(serde::Deserialize)]
    struct Counted {
        input_tokens: anthropic::Count,
    }
    let counted: Counted =
        serde_json::from_slice(body).map_err(|_| Unreadable::new("It is no count of tokens."))?;
    Ok(Answer {
        usage: Some(Usage {
            prompt: counted.input_tokens.0,
            ..Usage::default()
        }),
        ..Answer::default()
    })
}

pub(super) fn keep(rest: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value.filter(|value| !value.is_null()) {
        rest.insert(name.to_owned(), value);
    }
}

/// What a message says, as it is read.
#[derive(Debug, Default)]
struct Said {
    parts: Vec<Part>,
    citations: Vec<Value>,
    /// Characters of text so far.
    length: usize,
    calls: usize,
    /// Whether the answer came by way of the tool that gives it its form.
    formed: bool,
}

impl Said {
    fn take(&mut self, raw: &str) -> Result<(), Unreadable> {
        let Ok(content) = serde_json::from_str::<Content<'_>>(raw) else {
            return self.other(raw);
        };
        match content.r#type.as_str() {
            "text" => self.text(content),
            "thinking" => self.parts.push(Part::Thinking(Thinking {
                text: content.thinking.unwrap_or_default(),
                signature: content.signature.filter(|proof| !proof.is_empty()),
                redacted: None,
            })),
            "redacted_thinking" => self.parts.push(Part::Thinking(Thinking {
                redacted: content.data,
                ..Thinking::default()
            })),
            "tool_use" => {
                let input = content.input.map_or("{}", |input| input.get());
                if content.name.as_deref() == Some(JSON_TOOL) {
                    self.formed = true;
                    self.parts.push(Part::text(input));
                } else {
                    self.calls += 1;
                    self.parts.push(Part::Call(ToolCall {
                        id: content.id.unwrap_or_default(),
                        name: content.name.unwrap_or_default(),
                        arguments: input.to_owned(),
                        ..ToolCall::default()
                    }));
                }
            }
            _ => return self.other(raw),
        }
        Ok(())
    }

    fn text(&mut self, content: Content<'_>) {
        let text = content.text.unwrap_or_default();
        let from = self.length;
        self.length += text.chars().count();
        let sources = content.citations.unwrap_or_default();
        let annotations = sources
            .iter()
            .filter_map(|source| annotation(source, from, self.length))
            .collect();
        if !sources.is_empty() {
            self.citations.push(supported(sources, &text));
        }
        self.parts.push(Part::Text(Text {
            text,
            annotations,
            ..Text::default()
        }));
    }

    fn other(&mut self, raw: &str) -> Result<(), Unreadable> {
        let value = serde_json::from_str(raw)
            .map_err(|_| Unreadable::new("A piece of the message cannot be read."))?;
        self.parts.push(Part::Other {
            dialect: Dialect::Anthropic,
            value,
        });
        Ok(())
    }

    fn finish(&self, why: &str) -> Finish {
        finish(why, self.formed && self.calls == 0)
    }
}

/// Sources with the words that they support, as LiteLLM tells them.
fn supported(mut sources: Vec<Value>, text: &str) -> Value {
    for source in &mut sources {
        if let Some(members) = source.as_object_mut() {
            members.insert("supported_text".to_owned(), json!(text));
        }
    }
    Value::Array(sources)
}

fn citations(citations: Vec<Value>) -> Map<String, Value> {
    let mut rest = Map::new();
    if !citations.is_empty() {
        rest.insert("citations".to_owned(), Value::Array(citations));
    }
    rest
}

/// A source on the web as one of OpenAI's annotations; places in documents have no such form.
pub(super) fn annotation(source: &Value, from: usize, to: usize) -> Option<Value> {
    let url = source["url"].as_str()?;
    let title = source["title"].as_str().unwrap_or_default();
    Some(json!({"type": "url_citation", "url_citation":
        {"url": url, "title": title, "start_index": from, "end_index": to}}))
}

/// Why a message ends. `formed`: it called nothing but the tool that gives it its form.
pub(crate) fn finish(why: &str, formed: bool) -> Finish {
    match why {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" if formed => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "pause_turn" => Finish::Pause,
        "refusal" => Finish::Refusal,
        other => Finish::Other(other.to_owned()),
    }
}

/// What a message took. Anthropic counts what the cache gave and took apart from the prompt.
pub(crate) fn usage(figures: &anthropic::Usage) -> Usage {
    let (read, write) = (
        figures.cache_read_input_tokens.0,
        figures.cache_creation_input_tokens.0,
    );
    let hour = figures.cache_creation.unwrap_or_default();
    let tools = figures.server_tool_use.unwrap_or_default();
    Usage {
        prompt: figures.input_tokens.0 + read + write,
        completion: figures.output_tokens.0,
        cache_read: read,
        cache_write: write,
        cache_write_hour: hour.ephemeral_1h_input_tokens.0.min(write),
        searches: tools.web_search_requests.0,
        ..Usage::default()
    }
}

/// What an answer without success says.
pub(crate) fn told(body: &[u8]) -> Told {
    let Ok(Refused { error }) = serde_json::from_slice::<Refused>(body) else {
        return Told::default();
    };
    Told {
        status: None,
        ..fault(error)
    }
}

/// What an error says, with the status that it has outside of streams.
///
/// Source: Anthropic's API reference, "Errors".
pub(crate) fn fault(error: Fault) -> Told {
    let status = match error.r#type.as_str() {
        "invalid_request_error" => Some(400),
        "authentication_error" => Some(401),
        "billing_error" => Some(402),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" => Some(429),
        "api_error" => Some(500),
        "timeout_error" => Some(504),
        "overloaded_error" => Some(529),
        _ => None,
    };
    Told {
        kind: kind(&error.message),
        message: Some(error.message).filter(|text| !text.is_empty()),
        code: Some(error.r#type).filter(|text| !text.is_empty()),
        status: status.and_then(|status| StatusCode::from_u16(status).ok()),
        ..Told::default()
    }
}

/// Refusals are told in words only.
pub(crate) fn kind(message: &str) -> Option<Refusal> {
    const LONG: &[&str] = &[
        "prompt is too long",
        "exceed context limit",
        "exceeds the context",
        "input is too long",
        "too many input tokens",
    ];
    const FORBIDDEN: &[&str] = &["content filtering policy", "usage policy"];
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(LONG) {
        Some(Refusal::ContextWindow)
    } else {
        says(FORBIDDEN).then_some(Refusal::ContentPolicy)
    }
}
