//! Google's Gemini: `generateContent` and its neighbours, with an API key or on Vertex AI.
//!
//! Sources: Google's API reference for the Gemini API (v1beta) and for Vertex AI (v1beta1), and
//! Google's guides on function calling, thinking, thought signatures and structured outputs.
//!
//! What cannot be said to it is refused or, where it changes nothing in an answer (`user`,
//! `metadata`, `prompt_cache_key`, …), left out. Lost without a word are:
//!
//! - `strict` of a function, names of speakers, `cache_control` and titles of documents;
//! - `detail` of an image, for models before Gemini 3;
//! - signatures of thought, since Gemini signs calls and words, and thought that is hidden;
//! - keywords of JSON Schema that Gemini does not know, and for models before Gemini 2 whatever
//!   the subset of `OpenAPI` lacks.

mod contents;
mod embed;
mod media;
mod model;
mod request;
mod response;
pub(super) mod same;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod told;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use smallvec::SmallVec;

use crate::call::chat;
use crate::call::vectors::{EmbedAnswer, EmbedRequest};
use crate::call::{Call, Dialect};
use crate::upstream::protocol::{
    Ask, Decoder, Gives, Protocol, Task, Told, Unfit, Unreadable, Written,
};

/// Google's API for its own models, by where they run and what differs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// The Gemini API, with a key.
    Api,
    /// Vertex AI. Its base URL ends in project and location.
    Vertex,
}

/// The name of a model as a resource of the Gemini API.
fn resource(model: &str) -> String {
    if model.starts_with("models/") || model.starts_with("tunedModels/") {
        model.to_owned()
    } else {
        format!("models/{model}")
    }
}

/// A name as steps of a path.
pub(super) fn in_path(name: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'/')
        .remove(b'@');
    percent_encoding::utf8_percent_encode(name, PLAIN).to_string()
}

/// What a model gives, by its name: those that speak do nothing else.
///
/// Source: Google's guides "Speech generation" and "Image generation".
fn gives(media: Gives, model: &str) -> bool {
    match media {
        Gives::Speech => model.contains("-tts"),
        Gives::Images => model.contains("gemini") && model.contains("-image"),
    }
}

fn method(task: Task) -> Option<&'static str> {
    match task {
        Task::Chat => Some("generateContent"),
        Task::Stream => Some("streamGenerateContent?alt=sse"),
        Task::CountTokens => Some("countTokens"),
        Task::Embed | Task::Rerank => None,
    }
}

impl Protocol for Flavour {
    fn dialect(&self, _: &str) -> Option<Dialect> {
        Some(Dialect::Gemini)
    }

    fn path(&self, task: Task, model: &str) -> Option<String> {
        let method = match (task, self) {
            (Task::Embed, Self::Api) => "batchEmbedContents",
            (Task::Embed, Self::Vertex) => "predict",
            _ => method(task)?,
        };
        let of_ones_own = !model.is_empty() && model.bytes().all(|byte| byte.is_ascii_digit());
        let resource = match self {
            Self::Api => format!("v1beta/{}", in_path(&resource(model))),
            // It is an endpoint, known by its number.
            Self::Vertex if of_ones_own => format!("endpoints/{model}"),
            Self::Vertex => {
                let name = model.strip_prefix("gemini/").unwrap_or(model);
                format!("publishers/google/models/{}", in_path(name))
            }
        };
        Some(format!("/{resource}:{method}"))
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &chat::Request) -> Result<Written, Unfit> {
        request::chat(ask, *self, chat)
    }

    fn wants_bytes(&self, ask: &Ask<'_>, part: &chat::Part, url: &str) -> bool {
        media::wants_bytes(part, url, *self, model::Model::named(ask.model))
    }

    fn read_chat(&self, ask: &Ask<'_>, body: &[u8]) -> Result<chat::Answer, Unreadable> {
        response::read(ask.task, body)
    }

    fn decoder(&self, _: &Ask<'_>) -> Box<dyn Decoder> {
        decoder()
    }

    fn gives(&self, media: Gives, model: &str) -> bool {
        gives(media, model)
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        embed::write(ask, *self, embed)
    }

    fn read_embed(
        &self,
        _: &Ask<'_>,
        body: &[u8],
        asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        embed::read(*self, body, asked)
    }

    fn told(&self, status: StatusCode, body: &[u8]) -> Told {
        told::told(Some(status), body)
    }
}

/// Path and body of a request of Gemini's callers that goes as it is, but for the model's name and
/// what speaks to the gateway. `defaults` is a request with what the file gives. `None` if it has to
/// be translated.
pub(super) fn as_it_is(
    on_vertex: bool,
    call: &Call,
    model: &str,
    defaults: Map<String, Value>,
) -> Option<(String, SmallVec<[Bytes; 4]>)> {
    let flavour = if on_vertex {
        Flavour::Vertex
    } else {
        Flavour::Api
    };
    let path = same::path(flavour, call, model)?;
    Some((path, same::body(flavour, call, model, defaults)))
}

/// Reads a stream of either.
pub fn decoder() -> Box<dyn Decoder> {
    Box::new(stream::Reader::new())
}
