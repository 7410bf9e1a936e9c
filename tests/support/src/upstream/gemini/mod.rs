//! Google's Gemini API, as strict as Google's parser and stricter.

mod answer;
mod check;

use super::api::{Api, Asked};
use super::check as common;
use super::reply::Reply;
use super::types::GEMINI;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

pub(super) use check::{body, plain};

/// The Gemini API.
#[derive(Debug)]
pub(super) struct Gemini;

/// The model and the method of a path such as `/v1beta/models/m:generateContent`.
fn parts(path: &str) -> Option<(&str, &str)> {
    let name = path.strip_prefix("/v1beta/models/")?;
    name.rsplit_once(':')
}

impl Api for Gemini {
    fn serves(&self, path: &str) -> bool {
        parts(path).is_some()
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &["x-goog-api-key"]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = common::strict(asked.body);
        if asked.headers.contains_key("authorization") {
            wrong.push("the header authorization is not for this API".into());
        }
        let (model, method) = parts(asked.path).unwrap_or_default();
        let body = plain(&GEMINI, &body, method);
        if body.is_object() {
            wrong.extend(check::body(&GEMINI, &body, model, method));
        }
        (body, wrong)
    }

    fn model(&self, path: &str, _: &Value) -> String {
        parts(path).map_or("", |(model, _)| model).to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        headers.get("x-goog-api-key")?.to_str().ok()
    }

    fn usual(&self, path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let whole = |value: Value| ("application/json", vec![Bytes::from(value.to_string())]);
        let (model, method) = parts(path).unwrap_or_default();
        match method {
            "countTokens" => whole(json!({"totalTokens": 20})),
            "embedContent" => whole(json!({"embedding": answer::embedding()})),
            "batchEmbedContents" => {
                let inputs = body["requests"].as_array().map_or(0, Vec::len);
                let all: Vec<_> = (0..inputs).map(|_| answer::embedding()).collect();
                whole(json!({"embeddings": all}))
            }
            "streamGenerateContent" => {
                let events = answer::events(model, body);
                let pieces = events.iter().map(|event| self.event(event, reply));
                (self.stream_type(), pieces.collect())
            }
            _ => whole(answer::whole(model, body)),
        }
    }

    fn error(&self, status: u16, message: &str) -> Value {
        let name = match status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        json!({"error": {"code": status, "message": message, "status": name}})
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, reply: &Reply) -> Bytes {
        let end = reply.line_end.text();
        format!("data: {data}{end}{end}").into()
    }
}
