//! Ollama's own API.

use super::api::{Api, Asked};
use super::check::strict;
use super::reply::Reply;
use super::shape::list;
use super::types::OLLAMA;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

/// Ollama.
#[derive(Debug)]
pub(super) struct Ollama;

impl Api for Ollama {
    fn serves(&self, path: &str) -> bool {
        matches!(path, "/api/chat" | "/api/embed")
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let (body, mut wrong) = strict(asked.body);
        wrong.extend(if asked.path == "/api/chat" {
            chat(&body)
        } else {
            OLLAMA.check("embed", &body)
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
        if path == "/api/embed" {
            let vectors = vec![json!([0.5, -1.0]); list(&body["input"]).len()];
            return whole(json!({"model": body["model"], "embeddings": vectors,
                "total_duration": 1, "load_duration": 1, "prompt_eval_count": 4}));
        }
        let pieces = pieces(body);
        // It streams unless it is told not to.
        if body["stream"] == false {
            return whole(together(&pieces));
        }
        let lines = pieces
            .iter()
            .map(|line| self.event(&line.to_string(), reply));
        (self.stream_type(), lines.collect())
    }

    fn error(&self, _status: u16, message: &str) -> Value {
        json!({"error": message})
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        format!("{data}\n").into()
    }
}

fn chat(body: &Value) -> Vec<String> {
    let mut wrong = OLLAMA.check("chat", body);
    for message in list(&body["messages"]) {
        if !["system", "user", "assistant", "tool"]
            .map(Value::from)
            .contains(&message["role"])
        {
            wrong.push(format!("no role {}", message["role"]));
        }
    }
    let think = &body["think"];
    let level = matches!(think.as_str(), Some("low" | "medium" | "high"));
    if !(think.is_null() || think.is_boolean() || level) {
        wrong.push(format!("think is {think}"));
    }
    wrong
}

/// What it says, piece by piece.
fn pieces(body: &Value) -> Vec<Value> {
    let messages = list(&body["messages"]);
    let answered = messages.last().is_some_and(|last| last["role"] == "tool");
    let function = body["tools"][0]["function"]["name"].as_str();
    let thinks = body["think"] == true || body["think"].is_string();
    let images: usize = messages.iter().map(|one| list(&one["images"]).len()).sum();
    let mut said = Vec::new();
    if thinks {
        said.push(json!({"role": "assistant", "content": "", "thinking": "Hm."}));
    }
    if let Some(name) = function.filter(|_| !answered) {
        let call = json!({"function": {"name": name, "arguments": {"city": "Paris"}}});
        said.push(json!({"role": "assistant", "content": "", "tool_calls": [call]}));
    } else {
        let text = if body["format"].is_null() {
            format!("Heard {} messages, saw {images} images.", messages.len())
        } else if body["format"].is_object() {
            super::answer::sample(&body["format"]).to_string()
        } else {
            r#"{"ok": true}"#.to_owned()
        };
        let words = text.split_inclusive(' ');
        said.extend(words.map(|word| json!({"role": "assistant", "content": word})));
    }
    let mut lines: Vec<_> = said
        .into_iter()
        .map(|message| {
            json!({"model": body["model"], "created_at": "2026-01-01T00:00:00.1Z",
            "message": message, "done": false})
        })
        .collect();
    lines.push(
        json!({"model": body["model"], "created_at": "2026-01-01T00:00:00.2Z",
        "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "total_duration": 1, "prompt_eval_count": 12, "eval_count": 5}),
    );
    lines
}

/// The same in one piece.
fn together(pieces: &[Value]) -> Value {
    let mut whole = pieces.last().cloned().unwrap_or_default();
    let text = |name: &str| -> String {
        let texts = pieces
            .iter()
            .filter_map(|piece| piece["message"][name].as_str());
        texts.collect()
    };
    whole["message"]["content"] = text("content").into();
    if !text("thinking").is_empty() {
        whole["message"]["thinking"] = text("thinking").into();
    }
    let calls = pieces
        .iter()
        .flat_map(|piece| list(&piece["message"]["tool_calls"]));
    let calls: Vec<_> = calls.cloned().collect();
    if !calls.is_empty() {
        whole["message"]["tool_calls"] = calls.into();
    }
    whole
}
