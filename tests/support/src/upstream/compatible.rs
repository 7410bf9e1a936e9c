//! Vendors that speak OpenAI's protocol with types of their own, by their own SDKs.

use super::api::{Api, Asked};
use super::reply::Reply;
use super::types::{GROQ, MISTRAL};
use super::{answer, check, serve};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// A vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compatible {
    Groq,
    Mistral,
}

impl Compatible {
    /// What the table of types calls what a path asks for.
    fn request(self, path: &str) -> Option<&'static str> {
        let base = match self {
            Self::Groq => "/openai/v1",
            Self::Mistral => "/v1",
        };
        match path.strip_prefix(base)? {
            "/chat/completions" => Some("chat"),
            "/embeddings" => Some("embedding"),
            _ => None,
        }
    }
}

impl Api for Compatible {
    fn serves(&self, path: &str) -> bool {
        self.request(path).is_some()
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let table = match self {
            Self::Groq => &GROQ,
            Self::Mistral => &MISTRAL,
        };
        let request = self.request(asked.path).unwrap_or_default();
        check::body(asked.body, table, request)
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        serve::openai_credential(headers)
    }

    fn usual(&self, path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let value = match self.request(path) {
            Some("embedding") => answer::embeddings(body),
            _ if body["stream"] == true => {
                return serve::stream(&answer::chat_events(body, reply), reply);
            }
            _ => answer::chat(body, None),
        };
        ("application/json", vec![value.to_string().into()])
    }

    fn error(&self, status: u16, message: &str) -> Value {
        answer::error(status, message)
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        format!("data: {data}\n\n").into()
    }
}
