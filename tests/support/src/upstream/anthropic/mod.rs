//! Anthropic's messages, as strict as Anthropic and stricter.

mod answer;
mod check;

pub(super) use answer::{events, message};
pub(super) use check::body as check_body;

use super::api::{Api, Asked};
use super::check as common;
use super::reply::Reply;
use super::types::{ANTHROPIC, ANTHROPIC_2023_06_01};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Anthropic.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Api for Anthropic {
    fn serves(&self, path: &str) -> bool {
        path == "/v1/messages" || path == "/v1/messages/count_tokens"
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &["x-api-key"]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = common::strict(asked.body);
        let header = |name| {
            let value: Option<&http::HeaderValue> = asked.headers.get(name);
            value.and_then(|value| value.to_str().ok())
        };
        let types = match header("anthropic-version") {
            Some("2023-06-01") => &ANTHROPIC_2023_06_01,
            Some("2026-10-21") => &ANTHROPIC,
            other => {
                wrong.push(format!(
                    "no version {other:?} in the header anthropic-version"
                ));
                &ANTHROPIC
            }
        };
        if header("authorization").is_some() {
            wrong.push("the header authorization is not for this API".into());
        }
        let betas = header("anthropic-beta").unwrap_or_default();
        let counts = asked.path.ends_with("/count_tokens");
        if body.is_object() {
            wrong.extend(check::body(types, &body, betas, counts));
        }
        (body, wrong)
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        headers.get("x-api-key")?.to_str().ok()
    }

    fn usual(&self, path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let whole = |value: Value| ("application/json", vec![Bytes::from(value.to_string())]);
        if path.ends_with("/count_tokens") {
            return whole(json!({"input_tokens": 20}));
        }
        let message = message(body);
        if body["stream"] == true {
            let events = events(&message);
            let pieces = events.iter().map(|data| self.event(data, reply)).collect();
            return (self.stream_type(), pieces);
        }
        whole(message)
    }

    fn error(&self, status: u16, message: &str) -> Value {
        let kind = match status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        json!({"type": "error", "error": {"type": kind, "message": message},
            "request_id": "req_fake"})
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, reply: &Reply) -> Bytes {
        let end = reply.line_end.text();
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        let name = value["type"].as_str().unwrap_or("unnamed");
        let comment = if reply.comments {
            format!(": keep-alive{end}{end}")
        } else {
            String::new()
        };
        format!("{comment}event: {name}{end}data: {data}{end}{end}").into()
    }
}
