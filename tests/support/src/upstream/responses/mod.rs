//! OpenAI's responses, as strict as OpenAI and stricter.

mod answer;
mod check;

use super::api::{Api, Asked};
use super::check as common;
use super::reply::Reply;
use bytes::Bytes;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

/// OpenAI, or Azure by its own paths.
#[derive(Debug)]
pub(super) struct Responses;

/// What stands behind `/responses` in a path.
fn behind(path: &str) -> Option<&str> {
    let below = ["/v1", "/openai/v1", "/openai"]
        .into_iter()
        .find_map(|base| path.strip_prefix(base)?.strip_prefix("/responses"))?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

impl Api for Responses {
    fn serves(&self, path: &str) -> bool {
        behind(path).is_some()
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let below = behind(asked.path).unwrap_or_default();
        let Some(kept) = below.strip_prefix('/') else {
            let (body, mut wrong) = common::strict(asked.body);
            if body.is_object() {
                wrong.extend(check::request(&body));
            }
            return (body, wrong);
        };
        let (id, tail) = kept.split_once('/').unwrap_or((kept, ""));
        let mut wrong = Vec::new();
        if !answer::is_own(id) {
            wrong.push(format!("there is no response {id}"));
        }
        let known = match tail {
            "" => asked.method == "GET" || asked.method == "DELETE",
            "input_items" => asked.method == "GET",
            "cancel" => asked.method == "POST",
            _ => false,
        };
        if !known {
            wrong.push(format!("no {} of /{tail}", asked.method));
        }
        if !asked.body.is_empty() {
            wrong.push("a body where none belongs".into());
        }
        let asked = json!({"kept": id, "tail": tail, "method": asked.method.as_str()});
        (asked, wrong)
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        bearer.or_else(|| headers.get("api-key")?.to_str().ok())
    }

    fn usual(&self, _path: &str, asked: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let whole = |value: Value| ("application/json", vec![Bytes::from(value.to_string())]);
        if let Some(id) = asked["kept"].as_str() {
            return whole(answer::kept(id, asked));
        }
        let response = answer::response(asked);
        if asked["stream"] == true {
            let events = answer::events(&response);
            let pieces = events.iter().map(|data| self.event(data, reply)).collect();
            return (self.stream_type(), pieces);
        }
        whole(response)
    }

    fn error(&self, status: u16, message: &str) -> Value {
        super::answer::error(status, message)
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, reply: &Reply) -> Bytes {
        let end = reply.line_end.text();
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        let name = value["type"].as_str().unwrap_or("unnamed");
        format!("event: {name}{end}data: {data}{end}{end}").into()
    }
}
