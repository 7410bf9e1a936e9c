//! Cohere's v2 API.

use super::api::{Api, Asked};
use super::check::strict;
use super::reply::Reply;
use super::shape::list;
use super::types::COHERE;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Cohere.
#[derive(Debug)]
pub(super) struct Cohere;

impl Api for Cohere {
    fn serves(&self, path: &str) -> bool {
        matches!(path, "/v2/chat" | "/v2/embed" | "/v2/rerank")
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = strict(asked.body);
        wrong.extend(match asked.path {
            "/v2/chat" => chat(&body),
            "/v2/embed" => embed(&body),
            _ => COHERE.check("rerank", &body),
        });
        (body, wrong)
    }

    fn model(&self, _path: &str, body: &Value) -> String {
        body["model"].as_str().unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let shown = headers.get("authorization")?.to_str().ok()?;
        shown.strip_prefix("Bearer ")
    }

    fn usual(&self, path: &str, body: &Value, reply: &Reply) -> (&'static str, Vec<Bytes>) {
        let whole = |value: Value| ("application/json", vec![Bytes::from(value.to_string())]);
        match path {
            "/v2/embed" => whole(embeddings(body)),
            "/v2/rerank" => whole(ranking(body)),
            _ if body["stream"] == true => {
                let events = events(body);
                let pieces = events
                    .iter()
                    .map(|data| self.event(&data.to_string(), reply));
                (self.stream_type(), pieces.collect())
            }
            _ => whole(answer(body)),
        }
    }

    fn error(&self, _status: u16, message: &str) -> Value {
        json!({"id": "err-1", "message": message})
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        let name = value["type"].as_str().unwrap_or("unnamed");
        format!("event: {name}\ndata: {data}\n\n").into()
    }
}

fn embed(body: &Value) -> Vec<String> {
    let mut wrong = COHERE.check("embed", body);
    let sources = ["texts", "images", "inputs"].map(|name| !body[name].is_null());
    if sources.into_iter().filter(|is_there| *is_there).count() != 1 {
        wrong.push("not one of texts, images and inputs".into());
    }
    wrong
}

fn chat(body: &Value) -> Vec<String> {
    let mut wrong = COHERE.check("chat", body);
    for message in list(&body["messages"]) {
        let content = &message["content"];
        let blank = !content.is_string() && list(content).is_empty();
        if blank && message["tool_calls"].is_null() {
            wrong.push("a message without content".into());
        }
    }
    wrong
}

/// What it says: a call of the first function, or how many words it heard.
fn said(body: &Value) -> (Option<&str>, String) {
    let messages = list(&body["messages"]);
    let answered = messages.last().is_some_and(|last| last["role"] == "tool");
    let function = body["tools"][0]["function"]["name"].as_str();
    let called = function.filter(|_| !answered && body["tool_choice"] != "NONE");
    let schema = &body["response_format"]["json_schema"];
    let text = if schema.is_object() {
        super::answer::sample(schema).to_string()
    } else {
        format!("Heard {} messages.", messages.len())
    };
    (called, text)
}

fn usage() -> Value {
    json!({"billed_units": {"input_tokens": 12, "output_tokens": 5},
        "tokens": {"input_tokens": 80, "output_tokens": 9}})
}

fn answer(body: &Value) -> Value {
    let (called, text) = said(body);
    let mut message = json!({"role": "assistant"});
    if let Some(name) = called {
        message["tool_plan"] = "I will call it.".into();
        message["tool_calls"] = json!([{"id": "call_1", "type": "function",
            "function": {"name": name, "arguments": "{\"city\":\"Paris\"}"}}]);
    } else {
        message["content"] = json!([{"type": "text", "text": text}]);
    }
    if !list(&body["documents"]).is_empty() && called.is_none() {
        message["citations"] = json!([{"start": 0, "end": 5, "text": "Heard", "type": "TEXT_CONTENT",
            "sources": [{"type": "document", "id": "doc:0", "document": {"title": "Atlas"}}]}]);
    }
    let reason = if called.is_some() {
        "TOOL_CALL"
    } else {
        "COMPLETE"
    };
    json!({"id": "cohere-1", "finish_reason": reason, "message": message, "usage": usage()})
}

fn events(body: &Value) -> Vec<Value> {
    let (called, text) = said(body);
    let start = json!({"type": "message-start", "id": "cohere-1",
        "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
            "citations": []}}});
    let mut events = vec![start];
    let mut push = |kind: &str, message: Value| {
        events.push(json!({"type": kind, "index": 0, "delta": {"message": message}}));
    };
    if let Some(name) = called {
        push("tool-plan-delta", json!({"tool_plan": "I will call it."}));
        let function = json!({"name": name, "arguments": ""});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        push("tool-call-start", json!({"tool_calls": call}));
        for piece in ["{\"city\":", "\"Paris\"}"] {
            let call = json!({"function": {"arguments": piece}});
            push("tool-call-delta", json!({"tool_calls": call}));
        }
        push("tool-call-end", json!({}));
    } else {
        push(
            "content-start",
            json!({"content": {"type": "text", "text": ""}}),
        );
        for word in text.split_inclusive(' ') {
            push("content-delta", json!({"content": {"text": word}}));
        }
        push("content-end", json!({}));
    }
    let reason = if called.is_some() {
        "TOOL_CALL"
    } else {
        "COMPLETE"
    };
    events.push(json!({"type": "message-end",
        "delta": {"finish_reason": reason, "usage": usage()}}));
    events
}

fn embeddings(body: &Value) -> Value {
    let sources = ["texts", "images", "inputs"];
    let asked: usize = sources.iter().map(|name| list(&body[*name]).len()).sum();
    let vectors = match body["embedding_types"][0].as_str() {
        // Of 0.5 and −1.
        Some("base64") => json!({"base64": vec!["AAAAPwAAgL8="; asked]}),
        _ => json!({"float": vec![json!([0.5, -1.0]); asked]}),
    };
    json!({"id": "embed-1", "response_type": "embeddings_by_type", "embeddings": vectors,
        "texts": body["texts"], "meta": {"billed_units": {"input_tokens": 4}}})
}

/// The longest document is the best.
fn ranking(body: &Value) -> Value {
    let mut places: Vec<(usize, usize)> = list(&body["documents"])
        .iter()
        .map(|document| document.as_str().map_or(0, str::len))
        .enumerate()
        .collect();
    places.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    let most = body["top_n"].as_u64().unwrap_or(u64::MAX);
    places.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let results = places
        .iter()
        .map(|(index, _)| json!({"index": index, "relevance_score": 0.75}));
    json!({"id": "rank-1", "results": results.collect::<Vec<_>>(),
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}})
}
