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
        if asked.method == "POST" && matches!(kept, "compact" | "input_tokens") {
            let (mut body, mut wrong) = common::strict(asked.body);
            wrong.extend(check::beside(kept, &body));
            body["beside"] = kept.into();
            return (body, wrong);
        }
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
        let query: Vec<_> = asked.query.split('&').collect();
        let after = query.iter().find_map(|pair| {
            let after = pair.strip_prefix("starting_after=")?;
            after.parse::<u64>().ok()
        });
        let asked = json!({"kept": id, "tail": tail, "method": asked.method.as_str(),
            "stream": query.contains(&"stream=true"), "after": after});
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
        match asked["beside"].as_str() {
            Some("compact") => return whole(answer::compacted(asked)),
            Some(_) => return whole(json!({"object": "response.input_tokens", "input_tokens": 7})),
            None => {}
        }
        let response = match asked["kept"].as_str() {
            Some(id) => answer::kept(id, asked),
            None if asked["background"] == true && asked["stream"] != true => {
                return whole(answer::queued(asked));
            }
            None => answer::response(asked),
        };
        if asked["stream"] == true {
            let events = answer::events(&response);
            let after = asked["after"].as_u64().map_or(0, |after| after + 1);
            let later = events.iter().skip(usize::try_from(after).unwrap_or(0));
            let pieces = later.map(|data| self.event(data, reply)).collect();
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
