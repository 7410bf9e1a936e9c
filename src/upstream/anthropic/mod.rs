//! Anthropic's messages: <https://docs.anthropic.com/en/api/messages>.
//!
//! Also where other clouds sell the models, whose bodies differ in a few members.

mod betas;
mod blocks;
mod generation;
mod request;
mod response;
pub(crate) mod same;
mod sampling;
mod schema;
pub mod stream;
#[cfg(test)]
mod tests;
mod thought;

use http::{HeaderName, HeaderValue, StatusCode};

pub(crate) use self::generation::Generation;
pub(crate) use self::request::{Host, any_object, object, write};
pub(crate) use self::response::{finish, kind as refusal, read};
pub(crate) use self::sampling::Sampling;
pub(crate) use self::schema::subset;
pub(crate) use self::stream::Reader;
pub(crate) use self::thought::Thinks;
use crate::call::{Dialect, chat};
use crate::upstream::protocol::{Ask, Decoder, Protocol, Task, Told, Unfit, Unreadable, Written};
use crate::wire::anthropic;

/// The function that gives an answer its form where the model cannot be held to a schema, by
/// LiteLLM's name. What it is called with is the answer.
pub(crate) const JSON_TOOL: &str = "json_tool_call";

/// Anthropic's protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anthropic;

impl Protocol for Anthropic {
    fn dialect(&self, _: &str) -> Option<Dialect> {
        Some(Dialect::Anthropic)
    }

    fn path(&self, task: Task, _model: &str) -> Option<String> {
        match task {
            Task::Chat | Task::Stream => Some("/v1/messages".to_owned()),
            Task::CountTokens => Some("/v1/messages/count_tokens".to_owned()),
            Task::Embed | Task::Rerank => None,
        }
    }

    fn headers(&self, _ask: &Ask<'_>) -> Vec<(HeaderName, HeaderValue)> {
        vec![(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static(anthropic::VERSION),
        )]
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &chat::Request) -> Result<Written, Unfit> {
        write(ask, chat, Host::Anthropic)
    }

    /// Anthropic fetches from `https:` alone: its documentation, "Vision".
    fn wants_bytes(&self, _: &Ask<'_>, _: &chat::Part, url: &str) -> bool {
        !url.starts_with("https://")
    }

    fn read_chat(&self, ask: &Ask<'_>, body: &[u8]) -> Result<chat::Answer, Unreadable> {
        read(ask.task, body)
    }

    fn decoder(&self, _ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(stream::Decoder::default())
    }

    fn told(&self, _status: StatusCode, body: &[u8]) -> Told {
        response::told(body)
    }
}

/// A conversation as Vertex AI takes it for Anthropic's models: the path names the model
/// (`…/publishers/anthropic/models/MODEL:rawPredict`, or `:streamRawPredict`), the body the version.
/// Answers, streams and errors are read as [`Anthropic`] reads them.
pub fn write_for_vertex(ask: &Ask<'_>, chat: &chat::Request) -> Result<Written, Unfit> {
    write(ask, chat, Host::Vertex)
}
