//! Google's Vertex AI: Gemini and Anthropic's models, each in its own protocol, at one place.
//!
//! Sources: Vertex AI's API reference, `generateContent`, `predict` and `rawPredict`; Anthropic's
//! documentation, "Claude on Vertex AI". The base URL ends in project and location
//! (`live/google.rs`); models of other makers are not spoken to.

use http::StatusCode;

use super::anthropic::{self, Anthropic};
use super::gemini::{self, Flavour};
use crate::call::Dialect;
use crate::call::chat;
use crate::call::vectors::{EmbedAnswer, EmbedRequest};
use crate::upstream::protocol::{
    Ask, Decoder, Gives, Protocol, Task, Told, Unfit, Unreadable, Written,
};

/// Vertex AI.
#[derive(Clone, Copy, Debug)]
pub struct Vertex;

/// Whether a model is Anthropic's, by its name.
fn is_claude(model: &str) -> bool {
    model.contains("claude")
}

impl Protocol for Vertex {
    fn dialect(&self, model: &str) -> Option<Dialect> {
        (!is_claude(model)).then_some(Dialect::Gemini)
    }

    fn path(&self, task: Task, model: &str) -> Option<String> {
        if !is_claude(model) {
            return Flavour::Vertex.path(task, model);
        }
        let method = match task {
            Task::Chat => "rawPredict",
            Task::Stream => "streamRawPredict",
            Task::CountTokens | Task::Embed | Task::Rerank => return None,
        };
        let name = model.strip_prefix("anthropic/").unwrap_or(model);
        let name = gemini::in_path(name);
        Some(format!("/publishers/anthropic/models/{name}:{method}"))
    }

    fn write_chat(&self, ask: &Ask<'_>, chat: &chat::Request) -> Result<Written, Unfit> {
        if is_claude(ask.model) {
            anthropic::write_for_vertex(ask, chat)
        } else {
            Flavour::Vertex.write_chat(ask, chat)
        }
    }

    /// Anthropic's models on Vertex AI take no address: Anthropic's documentation, "Vision".
    fn wants_bytes(&self, ask: &Ask<'_>, part: &chat::Part, url: &str) -> bool {
        is_claude(ask.model) || Flavour::Vertex.wants_bytes(ask, part, url)
    }

    fn read_chat(&self, ask: &Ask<'_>, body: &[u8]) -> Result<chat::Answer, Unreadable> {
        if is_claude(ask.model) {
            Anthropic.read_chat(ask, body)
        } else {
            Flavour::Vertex.read_chat(ask, body)
        }
    }

    fn decoder(&self, ask: &Ask<'_>) -> Box<dyn Decoder> {
        if is_claude(ask.model) {
            Anthropic.decoder(ask)
        } else {
            Flavour::Vertex.decoder(ask)
        }
    }

    fn gives(&self, media: Gives, model: &str) -> bool {
        !is_claude(model) && Flavour::Vertex.gives(media, model)
    }

    fn write_embed(&self, ask: &Ask<'_>, embed: &EmbedRequest) -> Result<Written, Unfit> {
        Flavour::Vertex.write_embed(ask, embed)
    }

    fn read_embed(
        &self,
        ask: &Ask<'_>,
        body: &[u8],
        asked: usize,
    ) -> Result<EmbedAnswer, Unreadable> {
        Flavour::Vertex.read_embed(ask, body, asked)
    }

    /// Google tells its own errors, and passes Anthropic's on as they are.
    fn told(&self, status: StatusCode, body: &[u8]) -> Told {
        let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        if said["type"] == "error" {
            Anthropic.told(status, body)
        } else {
            Flavour::Vertex.told(status, body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_maker_has_its_paths() {
        for (task, model, path) in [
            (
                Task::Chat,
                "gemini-2.5-pro",
                "/publishers/google/models/gemini-2.5-pro:generateContent",
            ),
            (
                Task::Stream,
                "claude-sonnet-4-5@20250929",
                "/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
            ),
            (
                Task::Chat,
                "claude-opus-4",
                "/publishers/anthropic/models/claude-opus-4:rawPredict",
            ),
            (
                Task::Embed,
                "text-embedding-005",
                "/publishers/google/models/text-embedding-005:predict",
            ),
        ] {
            assert_eq!(Vertex.path(task, model).as_deref(), Some(path));
        }
        assert_eq!(Vertex.path(Task::Embed, "claude-opus-4"), None);
    }

    #[test]
    fn errors_are_googles_or_anthropics() {
        let told = |body: &str| Vertex.told(StatusCode::BAD_REQUEST, body.as_bytes());
        let google = told(r#"{"error":{"message":"a","status":"INVALID_ARGUMENT"}}"#);
        assert_eq!(
            (google.message.as_deref(), google.code.as_deref()),
            (Some("a"), Some("INVALID_ARGUMENT"))
        );
        let anthropic =
            told(r#"{"type":"error","error":{"type":"invalid_request_error","message":"b"}}"#);
        assert_eq!(anthropic.message.as_deref(), Some("b"));
    }
}
