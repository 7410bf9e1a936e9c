//! What tells one provider's API from another's: OpenAI's is the usual one, others stand here.

use super::reply::Reply;
use super::{anthropic, bedrock, gemini, vendors, vertex};
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// A request, as an API sees it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// A provider's API.
pub(super) trait Api: Sync + std::fmt::Debug {
    /// Whether this path is one of its.
    fn serves(&self, path: &str) -> bool;

    /// Headers that are its own, though they would be strange at another provider.
    fn own_headers(&self) -> &'static [&'static str];

    /// What a request's body must say that it is.
    fn content_type(&self, _path: &str) -> &'static str {
        "application/json"
    }

    /// What it is asked for, and what is wrong with that.
    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>);

    /// The model that is asked.
    fn model(&self, path: &str, body: &Value) -> String;

    /// The key that a request shows.
    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str>;

    /// The content type and the pieces of the usual answer.
    fn usual(&self, path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>);

    /// An error.
    fn error(&self, status: u16, message: &str) -> Value;

    /// The content type of a stream.
    fn stream_type(&self) -> &'static str;

    /// The data of an event of a script, as it goes over the wire.
    fn event(&self, data: &str, reply: &Reply) -> Bytes;
}

/// The API that has this path; `None` is OpenAI's.
pub(super) fn of(path: &str) -> Option<&'static dyn Api> {
    const ALL: &[&dyn Api] = &[
        &anthropic::Anthropic,
        &gemini::Gemini,
        &vertex::Vertex,
        &bedrock::Bedrock,
        &super::cohere::Cohere,
        &super::ollama::Ollama,
        &super::media::Media,
        &super::responses::Responses,
    ];
    let vendor = vendors::below(path).filter(|vendor| vendor.serves(path));
    vendor.or_else(|| ALL.iter().copied().find(|api| api.serves(path)))
}
