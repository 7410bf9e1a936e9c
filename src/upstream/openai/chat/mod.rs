//! OpenAI's chat completions, and its embeddings, for callers who speak another dialect.
//!
//! Sources: OpenAI's API reference, "Chat completions" and "Streaming", and its guide to reasoning
//! models; `DeepSeek`'s, Mistral's and Perplexity's API references for what they add.
//!
//! What single vendors have otherwise is in [`quirks`](super::quirks).
//!
//! **What is lost.** `cache_control`, since OpenAI's caches need no marks; signatures of thoughts, and
//! thoughts themselves but for `DeepSeek`, which wants them back; that a function failed, of which only
//! its words remain.

mod decoder;
mod request;
mod response;
#[cfg(test)]
mod tests;

use http::StatusCode;

use super::quirks::Vendor;
use crate::call::vectors::{EmbedAnswer, EmbedRequest};
use crate::call::{Dialect, chat};
use crate::upstream::protocol::{Ask, Decoder, Protocol, Task, Told, Unfit, Unreadable, Written};

/// OpenAI's protocol, spoken by OpenAI, by Azure and by many others.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Protocol for OpenAi {
    fn dialect(&self, _: &str) -> Option<Dialect> {
        Some(Dialect::OpenAi)
    }

    fn path(&self, task: Task, _model: &str) -> Option<String> {
        match task {
            Task::Chat | Task::Stream => Some("/chat/completions".to_owned()),
            Task::Embed => Some("/embeddings".to_owned()),
            Task::Rerank | Task::CountTokens => None,
        }
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &chat::Request) -> Result<Written, Unfit> {
        request::write(ask, chat)
    }

    /// Images are fetched by whoever speaks it; of documents chat knows bytes and ids alone.
    fn wants_bytes(&self, _ask: &Ask<'_>, part: &chat::Part, _url: &str) -> bool {
        matches!(part, chat::Part::Document(_))
    }

    fn read_chat(&self, ask: &Ask<'_>, body: &[u8]) -> Result<chat::Answer, Unreadable> {
        response::read(Vendor::of(&ask.deployment.provider), body)
    }

    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder> {
        let vendor = Vendor::of(&ask.deployment.provider);
        Box::new(decoder::Chunks::new(vendor))
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        super::embed::write(ask, embed)
    }

    fn read_embed(
        &self,
        _ask: &Ask<'_>,
        body: &[u8],
        asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        super::embed::read(body, asked)
    }

    fn told(&self, _status: StatusCode, body: &[u8]) -> Told {
        super::response::told(body)
    }
}
