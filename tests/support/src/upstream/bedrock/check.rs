//! What Converse objects to, by the service model that AWS publishes with botocore.

use super::super::types::BEDROCK;
use serde_json::{Map, Value};

/// What is wrong with a request of this operation's.
pub(super) fn body(operation: &str, body: &Value) -> Vec<String> {
    let mut wrong = Wrong(BEDROCK.check(operation, body));
    let turn = match operation {
        "CountTokens" => &body["input"]["converse"],
        _ => body,
    };
    if operation != "CountTokens" || turn.is_object() {
        wrong.tools(&turn["toolConfig"]);
        wrong.messages(turn);
    }
    wrong.0
}

/// What is wrong with a request for embeddings.
pub(super) fn embedding(model: &str, body: &Value) -> Vec<String> {
    let mut wrong = Wrong(Vec::new());
    if model.contains("titan-embed-text-v1") {
        wrong.members(body, &["inputText"], "the body");
    } else if model.contains("titan-embed") {
        wrong.members(
            body,
            &["inputText", "dimensions", "normalize", "embeddingTypes"],
            "the body",
        );
    } else if model.starts_with("cohere.") {
        let known = [
            "texts",
            "images",
            "input_type",
            "truncate",
            "embedding_types",
            "output_dimension",
        ];
        wrong.members(body, &known, "the body");
        if !body["input_type"].is_string() {
            wrong.say("input_type is required");
        }
    } else {
        wrong.say(&format!("the model {model:?} embeds nothing"));
    }
    wrong.0
}

struct Wrong(Vec<String>);

impl Wrong {
    fn say(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }

    fn members(&mut self, value: &Value, known: &[&str], of: &str) {
        for name in value.as_object().into_iter().flat_map(Map::keys) {
            if !known.contains(&name.as_str()) {
                self.say(&format!("unknown member {name} of {of}"));
            }
        }
    }

    fn messages(&mut self, body: &Value) {
        let mut open: Vec<&str> = Vec::new();
        let mut calls = false;
        if list(&body["messages"]).next().is_none() {
            self.say("no messages");
        }
        for (at, message) in list(&body["messages"]).enumerate() {
            if message["role"] != (if at % 2 == 0 { "user" } else { "assistant" }) {
                self.say(&format!("message {at}: roles do not alternate"));
            }
            let (mut called, mut told) = (Vec::new(), Vec::new());
            for block in list(&message["content"]) {
                let member = block.as_object().and_then(|block| block.iter().next());
                let Some((kind, value)) = member else {
                    continue;
                };
                let id = value["toolUseId"].as_str().unwrap_or_default();
                match kind.as_str() {
                    "toolUse" => called.push(id),
                    "toolResult" => told.push(id),
                    _ => {}
                }
                self.block(kind, value);
            }
            if list(&message["content"]).next().is_none() {
                self.say("a message without content");
            }
            calls |= !called.is_empty();
            told.sort_unstable();
            open.sort_unstable();
            if told != open {
                self.say(&format!(
                    "message {at}: results {told:?} of the calls {open:?}"
                ));
            }
            open = called;
        }
        if calls && body["toolConfig"].is_null() {
            self.say("the toolConfig field must be defined when using toolUse and toolResult");
        }
    }

    fn block(&mut self, kind: &str, value: &Value) {
        match kind {
            "text" if value.as_str().is_none_or(|text| text.trim().is_empty()) => {
                self.say("a text is blank");
            }
            "document" => {
                let name = value["name"].as_str().unwrap_or_default();
                let allowed = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
                if !name.chars().all(allowed) {
                    self.say(&format!("the name {name:?} of a document"));
                }
            }
            "toolUse" if !value["input"].is_object() => self.say("a call without arguments"),
            _ => {}
        }
    }

    fn tools(&mut self, config: &Value) {
        for tool in list(&config["tools"]) {
            let spec = &tool["toolSpec"];
            if spec.is_object() && spec["inputSchema"]["json"]["type"] != "object" {
                self.say("the schema of a tool is no object's");
            }
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
