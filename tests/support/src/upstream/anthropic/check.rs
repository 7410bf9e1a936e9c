//! What Anthropic objects to.

use super::super::types::Table;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// What is wrong with a request's body by the types of a version; `betas` are those that it asks for.
pub(in super::super) fn body(
    types: &Table,
    body: &Value,
    betas: &str,
    counts: bool,
) -> Vec<String> {
    let mut wrong = Wrong {
        said: types.check(request(betas, counts), body),
        betas,
    };
    if body["max_tokens"] == 0 {
        wrong.say("max_tokens is 0");
    }
    for name in ["temperature", "top_p"] {
        let value = &body[name];
        if !value.is_null()
            && !value
                .as_f64()
                .is_some_and(|value| (0.0..=1.0).contains(&value))
        {
            wrong.say(&format!("{name} is not between 0 and 1"));
        }
    }
    for block in list(&body["system"]) {
        wrong.block(block, "system", &["text"]);
    }
    for stop in list(&body["stop_sequences"]) {
        if stop.as_str().is_none_or(|stop| stop.trim().is_empty()) {
            wrong.say("a stop sequence is blank");
        }
    }
    wrong.tools(body);
    wrong.messages(&body["messages"]);
    wrong.thinking(body);
    let calls = list(&body["messages"])
        .any(|message| list(&message["content"]).any(|block| block["type"] == "tool_use"));
    if calls && !body["tools"].is_array() {
        wrong.say("tools: there are calls, and no tools");
    }
    let format = &body["output_config"]["format"];
    if !format.is_null() {
        wrong.closed(&format["schema"]);
    }
    wrong.said
}

/// What the table of types calls it: what asks for a beta may use those of all betas.
fn request(betas: &str, counts: bool) -> &'static str {
    match (betas.is_empty(), counts) {
        (true, false) => "message",
        (true, true) => "count",
        (false, false) => "beta message",
        (false, true) => "beta count",
    }
}

struct Wrong<'a> {
    said: Vec<String>,
    betas: &'a str,
}

impl Wrong<'_> {
    fn say(&mut self, what: &str) {
        self.said.push(what.to_owned());
    }

    fn messages(&mut self, messages: &Value) {
        let mut open: Vec<&str> = Vec::new();
        if list(messages).next().is_none() {
            self.say("messages: at least one message is required");
        }
        for (at, message) in list(messages).enumerate() {
            let role = if at % 2 == 0 { "user" } else { "assistant" };
            if message["role"] != role {
                self.say(&format!("messages.{at}: roles do not alternate"));
            }
            let kinds: &[&str] = if role == "user" {
                &["text", "image", "document", "tool_result"]
            } else {
                &[
                    "text",
                    "thinking",
                    "redacted_thinking",
                    "tool_use",
                    "server_tool_use",
                    "web_search_tool_result",
                ]
            };
            // Words alone may stand without a block.
            let words = message["content"]
                .as_str()
                .is_some_and(|words| !words.is_empty());
            if !words && list(&message["content"]).next().is_none() {
                self.say(&format!("messages.{at}: has no content"));
            }
            for block in list(&message["content"]) {
                self.block(block, role, kinds);
            }
            let ids = |kind: &str, name: &str| {
                list(&message["content"])
                    .filter(|block| block["type"] == kind)
                    .map(|block| block[name].as_str().unwrap_or_default())
                    .collect::<Vec<_>>()
            };
            let results = ids("tool_result", "tool_use_id");
            let told: HashSet<_> = results.iter().collect();
            if told.len() != results.len() || told != open.iter().collect() {
                self.say(&format!(
                    "messages.{at}: results {results:?} of the calls {open:?}"
                ));
            }
            let first = list(&message["content"]).take(results.len());
            if first
                .into_iter()
                .any(|block| block["type"] != "tool_result")
            {
                self.say(&format!("messages.{at}: results do not come first"));
            }
            open = ids("tool_use", "id");
        }
        if !open.is_empty() {
            self.say("calls without results");
        }
    }

    fn block(&mut self, block: &Value, of: &str, kinds: &[&str]) {
        let kind = block["type"].as_str().unwrap_or_default();
        if !kinds.contains(&kind) {
            return self.say(&format!("a block of the type {kind:?} in {of}"));
        }
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        match kind {
            "text" if text("text").trim().is_empty() => self.say("a text is blank"),
            "thinking" if text("signature").is_empty() => self.say("thought without a signature"),
            "redacted_thinking" if text("data").is_empty() => {
                self.say("redacted thought without data");
            }
            "image" | "document"
                if block["source"]["type"] == "file" && !self.betas.contains("files-api") =>
            {
                self.say("a file without its beta");
            }
            "tool_use" => {
                self.id(text("id"));
                if text("name").is_empty() {
                    self.say("a call without a name");
                }
            }
            "tool_result" => {
                self.id(text("tool_use_id"));
                for inner in list(&block["content"]) {
                    self.block(inner, "tool_result", &["text", "image", "document"]);
                }
            }
            _ => {}
        }
    }

    fn id(&mut self, id: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if id.is_empty() || !id.chars().all(allowed) {
            self.say(&format!("the id {id:?} of a call"));
        }
    }

    fn tools(&mut self, body: &Value) {
        let mut names = HashSet::new();
        for tool in list(&body["tools"]) {
            let name = tool["name"].as_str().unwrap_or_default();
            if name.is_empty() || !names.insert(name) {
                self.say(&format!("a tool's name {name:?}"));
            }
            if tool["type"].as_str().is_some_and(|kind| kind != "custom") {
                continue;
            }
            if tool["strict"] == true {
                self.closed(&tool["input_schema"]);
            }
        }
        let choice = &body["tool_choice"];
        if choice.is_null() {
            return;
        }
        if names.is_empty() {
            self.say("tool_choice without tools");
        }
        let wanted = choice["name"].as_str();
        if wanted.is_some_and(|name| !names.contains(name)) {
            self.say(&format!("the tool_choice {choice}"));
        }
    }

    fn thinking(&mut self, body: &Value) {
        let thinking = &body["thinking"];
        match thinking["type"].as_str() {
            None if thinking.is_null() => return,
            Some("disabled") => return,
            Some("enabled") => {
                let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
                if budget < 1024 || budget >= body["max_tokens"].as_u64().unwrap_or(u64::MAX) {
                    self.say("thinking.budget_tokens is out of its bounds");
                }
            }
            _ => {}
        }
        if matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
            self.say("thinking while a call is forced");
        }
        let temperature = body["temperature"].as_f64().unwrap_or(1.0);
        if temperature < 1.0 || !body["top_k"].is_null() {
            self.say("thinking with sampling");
        }
    }

    /// Every object of the schema must be closed, and without what is not kept.
    fn closed(&mut self, schema: &Value) {
        if schema["type"] == "object" && schema["additionalProperties"] != false {
            self.say("an object of a strict schema is open");
        }
        for name in [
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "pattern",
            "oneOf",
        ] {
            if schema.get(name).is_some() {
                self.say(&format!("`{name}` in a strict schema"));
            }
        }
        let properties = schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(Map::values);
        for inner in properties
            .chain(list(&schema["anyOf"]))
            .chain(schema.get("items"))
        {
            self.closed(inner);
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::super::types::ANTHROPIC_2023_06_01;
    use super::*;
    use serde_json::json;

    fn wrong(more: &Value) -> Vec<String> {
        let mut request = json!({"model": "m", "max_tokens": 5,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        body(&ANTHROPIC_2023_06_01, &request, "", false)
    }

    #[test]
    fn a_plain_request_is_right() {
        assert_eq!(wrong(&json!({})), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_found() {
        let user = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
        let called = json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "a", "name": "f", "input": {}}]});
        for fault in [
            json!({"seed": 1}),
            json!({"max_tokens": 0}),
            json!({"temperature": 1.5}),
            json!({"messages": []}),
            json!({"messages": [user, user]}),
            json!({"messages": [user, called, user], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}),
            json!({"tools": [{"name": "f", "input_schema": {}}]}),
            json!({"tool_choice": {"type": "auto"}}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!({"stop_sequences": ["\n"]}),
        ] {
            assert!(!wrong(&fault).is_empty(), "{fault}");
        }
    }
}
