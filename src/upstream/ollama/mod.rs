//! Ollama's own API: chat and embeddings.
//!
//! Source: Ollama's API reference, "Generate a chat completion" and "Generate embeddings", and the
//! types of its Python library.

mod chat;
mod embed;
mod response;
mod stream;

use http::StatusCode;
use serde_json::Value;

use super::protocol::{Ask, Decoder, Protocol, Refusal, Task, Told, Unfit, Unreadable, Written};
use crate::call::chat as form;
use crate::call::vectors::{EmbedAnswer, EmbedRequest};

/// Ollama.
#[derive(Clone, Copy, Debug)]
pub struct Ollama;

impl Protocol for Ollama {
    fn path(&self, task: Task, _model: &str) -> Option<String> {
        let path = match task {
            Task::Chat | Task::Stream => "/api/chat",
            Task::Embed => "/api/embed",
            Task::Rerank | Task::CountTokens => return None,
        };
        Some(path.to_owned())
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &form::Request) -> Result<Written, Unfit> {
        chat::write(ask, chat)
    }

    fn wants_bytes(&self, _ask: &Ask<'_>, part: &form::Part, _url: &str) -> bool {
        matches!(part, form::Part::Image(_))
    }

    fn read_chat(&self, _ask: &Ask<'_>, body: &[u8]) -> Result<form::Answer, Unreadable> {
        response::read(body)
    }

    fn decoder(&self, _ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(stream::Pieces::default())
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        embed::write(ask, embed)
    }

    fn read_embed(
        &self,
        _ask: &Ask<'_>,
        body: &[u8],
        asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        embed::read(body, asked)
    }

    fn told(&self, _status: StatusCode, body: &[u8]) -> Told {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        told(&value)
    }
}

/// `{"error": "…"}`, with a status or within a stream.
fn told(value: &Value) -> Told {
    let error = &value["error"];
    let message = error.as_str().or_else(|| error["message"].as_str());
    Told {
        message: message.map(str::to_owned),
        kind: message.and_then(|message| {
            let message = message.to_ascii_lowercase();
            let long = message.contains("context length") || message.contains("context size");
            long.then_some(Refusal::ContextWindow)
        }),
        ..Told::default()
    }
}

#[cfg(test)]
mod tests;
