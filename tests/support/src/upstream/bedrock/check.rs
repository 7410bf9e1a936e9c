//! What Converse objects to, by the service model that AWS publishes with botocore.

use serde_json::{Map, Value};

const MEMBERS: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];
const BLOCKS: &[&str] = &[
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "cachePoint",
    "reasoningContent",
];

/// What is wrong with a request to Converse.
pub(super) fn body(body: &Value) -> Vec<String> {
    let mut wrong = Wrong(Vec::new());
    wrong.members(body, MEMBERS, "the body");
    let inference = &body["inferenceConfig"];
    wrong.members(
        inference,
        &["maxTokens", "temperature", "topP", "stopSequences"],
        "inferenceConfig",
    );
    for name in ["temperature", "topP"] {
        let value = &inference[name];
        if !value.is_null()
            && !value
                .as_f64()
                .is_some_and(|value| (0.0..=1.0).contains(&value))
        {
            wrong.say(&format!("{name} is not between 0 and 1"));
        }
    }
    for block in list(&body["system"]) {
        wrong.union(block, &["text", "cachePoint", "guardContent"], "system");
    }
    wrong.tools(&body["toolConfig"]);
    wrong.members(
        &body["outputConfig"],
        &["textFormat", "effort"],
        "outputConfig",
    );
    let format = &body["outputConfig"]["textFormat"];
    if !format.is_null() && !format["structure"]["jsonSchema"]["schema"].is_string() {
        wrong.say("textFormat without a schema as text");
    }
    wrong.messages(body);
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

    /// A union has exactly one member.
    fn union<'v>(
        &mut self,
        value: &'v Value,
        known: &[&str],
        of: &str,
    ) -> Option<(&'v str, &'v Value)> {
        self.members(value, known, of);
        let members = value.as_object()?;
        if members.len() != 1 {
            self.say(&format!("a union in {of} with {} members", members.len()));
        }
        members
            .iter()
            .next()
            .map(|(name, value)| (name.as_str(), value))
    }

    fn messages(&mut self, body: &Value) {
        let mut open: Vec<&str> = Vec::new();
        let mut calls = false;
        if list(&body["messages"]).next().is_none() {
            self.say("no messages");
        }
        for (at, message) in list(&body["messages"]).enumerate() {
            self.members(message, &["role", "content"], "a message");
            if message["role"] != (if at % 2 == 0 { "user" } else { "assistant" }) {
                self.say(&format!("message {at}: roles do not alternate"));
            }
            let (mut called, mut told) = (Vec::new(), Vec::new());
            for block in list(&message["content"]) {
                let Some((kind, value)) = self.union(block, BLOCKS, "a message") else {
                    self.say("a block is no union");
                    continue;
                };
                let id = value["toolUseId"].as_str().unwrap_or_default();
                match kind {
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
            "image" => {
                self.members(value, &["format", "source"], "an image");
                let known = ["png", "jpeg", "gif", "webp"].map(Value::from);
                if !known.contains(&value["format"]) {
                    self.say(&format!("the format {} of an image", value["format"]));
                }
                self.union(&value["source"], &["bytes", "s3Location"], "a source");
            }
            "document" => {
                self.members(
                    value,
                    &["format", "name", "source", "context", "citations"],
                    "a document",
                );
                let name = value["name"].as_str().unwrap_or_default();
                let allowed = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
                if name.is_empty() || !name.chars().all(allowed) {
                    self.say(&format!("the name {name:?} of a document"));
                }
                self.union(
                    &value["source"],
                    &["bytes", "s3Location", "text", "content"],
                    "a source",
                );
            }
            "toolUse" => {
                self.members(value, &["toolUseId", "name", "input", "type"], "toolUse");
                if !value["input"].is_object() {
                    self.say("a call without arguments");
                }
            }
            "toolResult" => {
                self.members(
                    value,
                    &["toolUseId", "content", "status", "type"],
                    "toolResult",
                );
                for inner in list(&value["content"]) {
                    self.union(
                        inner,
                        &["json", "text", "image", "document", "video"],
                        "toolResult",
                    );
                }
            }
            "reasoningContent" => {
                self.union(
                    value,
                    &["reasoningText", "redactedContent"],
                    "reasoningContent",
                );
            }
            "cachePoint" => self.cache_point(value),
            _ => {}
        }
    }

    fn cache_point(&mut self, value: &Value) {
        self.members(value, &["type", "ttl"], "cachePoint");
        if value["type"] != "default" {
            self.say("a cachePoint that is not the default");
        }
    }

    fn tools(&mut self, config: &Value) {
        if config.is_null() {
            return;
        }
        self.members(config, &["tools", "toolChoice"], "toolConfig");
        if list(&config["tools"]).next().is_none() {
            self.say("toolConfig without tools");
        }
        for tool in list(&config["tools"]) {
            match self.union(tool, &["toolSpec", "systemTool", "cachePoint"], "a tool") {
                Some(("toolSpec", spec)) => {
                    self.members(
                        spec,
                        &["name", "description", "inputSchema", "strict"],
                        "toolSpec",
                    );
                    if spec["inputSchema"]["json"]["type"] != "object" {
                        self.say("the schema of a tool is no object's");
                    }
                    if spec["description"] == "" {
                        self.say("an empty description");
                    }
                }
                Some(("cachePoint", value)) => self.cache_point(value),
                _ => {}
            }
        }
        if !config["toolChoice"].is_null() {
            self.union(
                &config["toolChoice"],
                &["auto", "any", "tool"],
                "toolChoice",
            );
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
