//! Amazon Bedrock: <https://docs.aws.amazon.com/bedrock/latest/APIReference/>.
//!
//! Models are asked by `Converse`, which has one form for all makers; a name with `invoke/` before it
//! asks Anthropic's models in their own form, and embeddings are always in their maker's.

mod blocks;
mod embed;
mod request;
mod response;
pub mod stream;
#[cfg(test)]
mod tests;

use http::StatusCode;

use super::anthropic::{self, Host};
use super::protocol::{Ask, Decoder, Protocol, Task, Told, Unfit, Unreadable, Written};
use crate::call::chat;
use crate::call::vectors::{EmbedAnswer, EmbedRequest};
use crate::wire::bedrock::Model;

/// Bedrock's protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bedrock;

impl Protocol for Bedrock {
    fn path(&self, task: Task, model: &str) -> Option<String> {
        let model = Model::of(model);
        let action = match (task, model.invoked) {
            (Task::Chat, false) => "converse",
            (Task::Stream, false) => "converse-stream",
            (Task::Chat, true) | (Task::Embed, _) => "invoke",
            (Task::Stream, true) => "invoke-with-response-stream",
            (Task::CountTokens, false) => "count-tokens",
            (Task::CountTokens, true) | (Task::Rerank, _) => return None,
        };
        Some(format!("/model/{}/{action}", model.in_path()))
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &chat::Request) -> Result<Written, Unfit> {
        let model = Model::of(ask.model);
        if !model.invoked {
            return request::write(ask, chat);
        }
        request::is_anthropics(&model)?;
        anthropic::write(ask, chat, Host::Bedrock)
    }

    /// Neither `Converse` nor Anthropic's models on Bedrock take an address of the web.
    fn wants_bytes(&self, _ask: &Ask<'_>, _part: &chat::Part, _url: &str) -> bool {
        true
    }

    fn read_chat(&self, ask: &Ask<'_>, body: &[u8]) -> Result<chat::Answer, Unreadable> {
        if Model::of(ask.model).invoked {
            anthropic::read(ask.task, body)
        } else {
            response::read(ask.task, body)
        }
    }

    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder> {
        Box::new(if Model::of(ask.model).invoked {
            stream::Decoder::invoked()
        } else {
            stream::Decoder::converse()
        })
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
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
        response::told(body)
    }
}
