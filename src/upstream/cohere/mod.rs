//! Cohere's v2 API: chat, embeddings, rerank.
//!
//! Source: Cohere's API reference, v2, "Chat", "Chat with Streaming", "Embed", "Rerank", and the
//! types of its Python SDK.

mod chat;
mod citations;
mod response;
mod stream;
mod vectors;

use http::StatusCode;
use serde_json::Value;

use super::protocol::{Ask, Decoder, Protocol, Refusal, Task, Told, Unfit, Unreadable, Written};
use crate::call::vectors::{EmbedAnswer, EmbedRequest, RerankAnswer, RerankRequest};
use crate::call::{Dialect, Usage, chat as form};

/// Cohere v2.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

impl Protocol for Cohere {
    fn dialect(&self, _: &str) -> Option<Dialect> {
        Some(Dialect::Cohere)
    }

    fn path(&self, task: Task, _model: &str) -> Option<String> {
        let path = match task {
            Task::Chat | Task::Stream => "/v2/chat",
            Task::Embed => "/v2/embed",
            Task::Rerank => "/v2/rerank",
            Task::CountTokens => return None,
        };
        Some(path.to_owned())
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &form::Request) -> Result<Written, Unfit> {
        chat::write(ask, chat)
    }

    fn read_chat(&self, _ask: &Ask<'_>, body: &[u8]) -> Result<form::Answer, Unreadable> {
        response::read(body)
    }

    fn decoder(&self, _ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(stream::Events::default())
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        vectors::write_embed(ask, embed)
    }

    fn read_embed(
        &self,
        _ask: &Ask<'_>,
        body: &[u8],
        asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        vectors::read_embed(body, asked)
    }

    fn write_rerank(&self, ask: &Ask<'_>, rerank: &RerankRequest) -> Result<Written, Unfit> {
        vectors::write_rerank(ask, rerank)
    }

    fn read_rerank(&self, _ask: &Ask<'_>, body: &[u8]) -> Result<RerankAnswer, Unreadable> {
        vectors::read_rerank(body)
    }

    fn told(&self, status: StatusCode, body: &[u8]) -> Told {
        /// "Invalid token", a status of Cohere's own.
        const INVALID_TOKEN: u16 = 498;
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = value["message"].as_str().map(str::to_owned);
        Told {
            kind: message.as_deref().and_then(refusal),
            message,
            status: (status == INVALID_TOKEN).then_some(StatusCode::UNAUTHORIZED),
            ..Told::default()
        }
    }
}

/// Cohere tells these apart in words only.
fn refusal(message: &str) -> Option<Refusal> {
    let message = message.to_ascii_lowercase();
    if message.contains("too many tokens") || message.contains("context length") {
        Some(Refusal::ContextWindow)
    } else if message.contains("blocked") {
        Some(Refusal::ContentPolicy)
    } else {
        None
    }
}

/// `usage` of a conversation: what is billed, which leaves out the tokens of Cohere's own
/// instructions; all tokens, where it does not say what it bills.
fn usage(usage: &Value) -> Option<Usage> {
    let count = |of: &str, name: &str| usage[of][name].as_f64().map(units);
    let both = |of| {
        let (prompt, completion) = (count(of, "input_tokens"), count(of, "output_tokens"));
        (prompt.is_some() || completion.is_some()).then(|| Usage {
            prompt: prompt.unwrap_or_default(),
            completion: completion.unwrap_or_default(),
            cache_read: usage["cached_tokens"].as_f64().map_or(0, units),
            ..Usage::default()
        })
    };
    both("billed_units").or_else(|| both("tokens"))
}

/// Cohere writes counts as numbers with a fraction. Nonsense is nothing, as in
/// [`Usage::read`](crate::wire::openai::Usage::read).
fn units(count: f64) -> u64 {
    /// More than any model takes or gives in one answer.
    const MOST: f64 = 1e9;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between zero and a billion"
    )]
    if (0.0..=MOST).contains(&count) {
        count as u64
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
