//! A chat request as a vendor takes it.

use pointsman_routes::table::{Capabilities, Facts};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::Vendor;
use crate::upstream::protocol::{Params, Unfit};

/// Parameters of OpenAI's that Mistral refuses, as it does whatever it does not know.
const MISTRAL: &[&str] = &[
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "modalities",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "top_logprobs",
    "verbosity",
    "web_search_options",
];
const GROQ: &[&str] = &[
    "audio",
    "logit_bias",
    "logprobs",
    "modalities",
    "moderation",
    "n",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "top_k",
    "top_logprobs",
    "verbosity",
    "web_search_options",
];
const PERPLEXITY: &[&str] = &[
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "n",
    "parallel_tool_calls",
    "seed",
    "service_tier",
    "stop",
    "store",
    "tool_choice",
    "tools",
    "top_logprobs",
];
/// What xAI's models lack that think before they answer.
const XAI_THINKS: &[&str] = &["frequency_penalty", "presence_penalty", "stop"];

/// What of what a model said Mistral takes back, and what Groq does.
const MISTRAL_SAID: &[&str] = &["content", "prefix", "role", "tool_calls"];
const GROQ_SAID: &[&str] = &["content", "name", "reasoning", "role", "tool_calls"];

/// Letters and digits of a call's id at Mistral, and how many it has.
const ID_LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 9;

/// A request on its way to a vendor.
pub(super) struct Fitting<'a, 'p> {
    pub(super) vendor: Vendor,
    pub(super) model: &'a str,
    pub(super) facts: &'a Facts,
    pub(super) params: &'a Params<'p>,
    pub(super) dropped: &'a mut Vec<&'static str>,
    pub(super) changed: bool,
}

impl Fitting<'_, '_> {
    pub(super) fn fit(&mut self, body: &mut Map<String, Value>) -> Result<(), Unfit> {
        self.parameters(body)?;
        match self.vendor {
            Vendor::Mistral => self.mistral(body),
            Vendor::Groq => self.groq(body)?,
            Vendor::DeepSeek => self.deepseek(body),
            Vendor::OpenRouter => self.openrouter(body),
            Vendor::Xai => self.strip_strict(body),
            _ => {}
        }
        let Some(Value::Array(messages)) = body.get_mut("messages") else {
            return Ok(());
        };
        for message in messages.iter_mut().filter_map(Value::as_object_mut) {
            if self.vendor == Vendor::Groq {
                known_parts(message)?;
            }
            self.message(message);
        }
        if self.vendor == Vendor::Mistral {
            let before = messages.len();
            messages.retain(says_something);
            self.changed |= messages.len() != before;
        }
        Ok(())
    }

    /// Takes out what the vendor lacks, and says so.
    fn parameters(&mut self, body: &mut Map<String, Value>) -> Result<(), Unfit> {
        let (lacks, quiet): (&[&'static str], &[&'static str]) = match self.vendor {
            Vendor::Mistral => (MISTRAL, &["stream_options", "user"]),
            Vendor::Groq => (GROQ, &["stream_options"]),
            Vendor::Perplexity => (PERPLEXITY, &["user"]),
            // Its search is no longer part of chats, and it answers that it is gone.
            Vendor::Xai if thinks(self.model) => (XAI_THINKS, &["web_search_options"]),
            Vendor::Xai => (&[], &["web_search_options"]),
            _ => (&[], &[]),
        };
        for &name in quiet {
            if !self.is_allowed(name) && self.take(body, name).is_some() {
                self.dropped.push(name);
            }
        }
        for &name in lacks {
            self.lack(body, name)?;
        }
        let reasons = matches!(self.vendor, Vendor::Mistral | Vendor::Xai);
        if reasons && self.cannot_reason() {
            self.lack(body, "reasoning_effort")?;
        }
        Ok(())
    }

    fn lack(&mut self, body: &mut Map<String, Value>, name: &'static str) -> Result<(), Unfit> {
        let Some(value) = body.get(name) else {
            return Ok(());
        };
        if self.is_allowed(name) {
            return Ok(());
        }
        if !says_nothing(name, value) {
            self.params.lacks(name, self.dropped)?;
        }
        self.take(body, name);
        Ok(())
    }

    fn is_allowed(&self, name: &str) -> bool {
        self.params.allowed.iter().any(|known| *known == *name)
    }

    fn cannot_reason(&self) -> bool {
        self.facts.known && !self.facts.capabilities.has(Capabilities::REASONING)
    }

    fn take(&mut self, members: &mut Map<String, Value>, name: &str) -> Option<Value> {
        let taken = members.shift_remove(name);
        self.changed |= taken.is_some();
        taken
    }

    fn put(&mut self, members: &mut Map<String, Value>, name: &str, value: Value) {
        members.insert(name.to_owned(), value);
        self.changed = true;
    }

    /// A call that must be made is `any`; Magistral's thinking is a mode of the prompt.
    fn mistral(&mut self, body: &mut Map<String, Value>) {
        if body.get("tool_choice") == Some(&json!("required")) {
            self.put(body, "tool_choice", json!("any"));
        }
        if let Some(Value::Array(tools)) = body.get_mut("tools") {
            for function in tools.iter_mut().filter_map(|tool| tool.get_mut("function")) {
                let members = function.as_object_mut();
                if let Some(members) = members.filter(|all| !all.contains_key("parameters")) {
                    let none = json!({"type": "object", "properties": {}});
                    self.put(members, "parameters", none);
                }
            }
        }
        let magistral = self.model.rsplit('/').next().unwrap_or_default();
        if magistral.starts_with("magistral")
            && let Some(effort) = self.take(body, "reasoning_effort")
            && effort != "none"
            && !body.contains_key("prompt_mode")
        {
            self.put(body, "prompt_mode", json!("reasoning"));
        }
    }

    /// Its tiers have names of their own, and so has the least of its efforts.
    fn groq(&mut self, body: &mut Map<String, Value>) -> Result<(), Unfit> {
        match body.get("service_tier").and_then(Value::as_str) {
            Some("default") => self.put(body, "service_tier", json!("on_demand")),
            Some("priority" | "scale" | "fast") => self.lack(body, "service_tier")?,
            _ => {}
        }
        match body.get("reasoning_effort").and_then(Value::as_str) {
            Some("minimal") => self.put(body, "reasoning_effort", json!("low")),
            Some("xhigh" | "max") => self.put(body, "reasoning_effort", json!("high")),
            _ => {}
        }
        Ok(())
    }

    /// It knows whether to think, and no budget of it; only functions are tools.
    fn deepseek(&mut self, body: &mut Map<String, Value>) {
        if let Some(thinking) = body.get("thinking").and_then(Value::as_object)
            && thinking.len() > 1
        {
            let kind = thinking.get("type").cloned();
            let kind = kind.unwrap_or_else(|| json!("enabled"));
            self.put(body, "thinking", json!({ "type": kind }));
        } else if body.get("reasoning_effort") == Some(&json!("none")) {
            self.take(body, "reasoning_effort");
            self.put(body, "thinking", json!({"type": "disabled"}));
        }
        let Some(Value::Array(tools)) = body.get_mut("tools") else {
            return;
        };
        let before = tools.len();
        tools.retain(|tool| tool["type"] == "function");
        if tools.len() == before {
            return;
        }
        self.dropped.push("tools");
        self.changed = true;
        let names = tools.iter().map(|tool| tool["function"]["name"].clone());
        let names = names.collect::<Vec<_>>();
        let none = names.is_empty();
        let choice = body.get("tool_choice").filter(|choice| choice.is_object());
        let dangling = choice.is_some_and(|choice| !names.contains(&choice["function"]["name"]));
        if none {
            self.take(body, "tools");
            self.take(body, "parallel_tool_calls");
        }
        if none || dangling {
            self.take(body, "tool_choice");
        }
    }

    /// It tells the cost of those who ask for it.
    fn openrouter(&mut self, body: &mut Map<String, Value>) {
        if !body.contains_key("usage") {
            self.put(body, "usage", json!({"include": true}));
        }
    }

    fn strip_strict(&mut self, body: &mut Map<String, Value>) {
        let Some(Value::Array(tools)) = body.get_mut("tools") else {
            return;
        };
        for tool in tools {
            let function = tool.get_mut("function").and_then(Value::as_object_mut);
            let strict = function.and_then(|function| function.shift_remove("strict"));
            self.changed |= strict.is_some();
        }
    }

    fn message(&mut self, message: &mut Map<String, Value>) {
        if self.vendor == Vendor::Mistral && message.get("role") == Some(&json!("developer")) {
            self.put(message, "role", json!("system"));
        }
        let role = message.get("role").and_then(Value::as_str);
        let (said, tool) = (role == Some("assistant"), role == Some("tool"));
        match self.vendor {
            Vendor::Mistral => {
                if !tool {
                    self.take(message, "name");
                }
                if said {
                    self.think_back(message);
                    self.keep(message, MISTRAL_SAID);
                    self.calls(message);
                }
                self.ids(message);
                self.parts(message);
            }
            Vendor::Xai => {
                self.take(message, "name");
            }
            Vendor::Groq if said => {
                if let Some(thought) = message.get("reasoning_content").cloned()
                    && !message.contains_key("reasoning")
                {
                    self.put(message, "reasoning", thought);
                }
                self.keep(message, GROQ_SAID);
                self.calls(message);
            }
            Vendor::DeepSeek => self.join(message),
            Vendor::OpenRouter => self.mark(message),
            _ => {}
        }
    }

    /// Leaves what a vendor takes back of what a model said, if it says anything.
    fn keep(&mut self, message: &mut Map<String, Value>, known: &[&str]) {
        let before = message.len();
        message.retain(|name, value| {
            known.contains(&name.as_str()) && (!value.is_null() || name == "content")
        });
        self.changed |= message.len() != before;
    }

    /// What a model of Mistral's thought is part of what it said.
    fn think_back(&mut self, message: &mut Map<String, Value>) {
        let reasons = self.facts.capabilities.has(Capabilities::REASONING);
        let thought = message.get("reasoning_content").and_then(Value::as_str);
        let said = message.get("content").and_then(Value::as_str);
        let (Some(thought), said) = (
            thought.filter(|thought| reasons && !thought.is_empty()),
            said,
        ) else {
            return;
        };
        let thinking = [json!({"type": "text", "text": thought})];
        let mut parts = vec![json!({"type": "thinking", "thinking": thinking})];
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            parts.push(json!({"type": "text", "text": said}));
        }
        self.put(message, "content", parts.into());
    }

    /// Calls have no members but these, though chunks of a stream have their place.
    fn calls(&mut self, message: &mut Map<String, Value>) {
        let Some(Value::Array(calls)) = message.get_mut("tool_calls") else {
            return;
        };
        for call in calls.iter_mut().filter_map(Value::as_object_mut) {
            let before = call.len();
            call.retain(|name, _| matches!(name.as_str(), "function" | "id" | "type"));
            self.changed |= call.len() != before;
        }
    }

    /// Ids of calls have a form, which those that others made do not have.
    fn ids(&mut self, message: &mut Map<String, Value>) {
        if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
            for call in calls {
                if let Some(Value::String(id)) = call.get_mut("id") {
                    self.id(id);
                }
            }
        }
        if let Some(Value::String(id)) = message.get_mut("tool_call_id") {
            self.id(id);
        }
    }

    fn id(&mut self, id: &mut String) {
        if !(id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            *id = short(id);
            self.changed = true;
        }
    }

    /// Files by their ids, and sound, which Mistral writes without a second object.
    fn parts(&mut self, message: &mut Map<String, Value>) {
        let Some(Value::Array(parts)) = message.get_mut("content") else {
            return;
        };
        for part in parts.iter_mut().filter_map(Value::as_object_mut) {
            let (name, inner, outer) = match part.get("type").and_then(Value::as_str) {
                Some("file") => ("file", "file_id", "file_id"),
                Some("input_audio") => ("input_audio", "data", "input_audio"),
                _ => continue,
            };
            let Some(value) = part.get(name).and_then(|value| value.get(inner)).cloned() else {
                continue;
            };
            part.shift_remove(name);
            part.insert(outer.to_owned(), value);
            self.changed = true;
        }
    }

    /// A list of nothing but text is one text.
    fn join(&mut self, message: &mut Map<String, Value>) {
        let Some(Value::Array(parts)) = message.get("content") else {
            return;
        };
        let mut joined = String::new();
        for part in parts {
            match (part["type"].as_str(), part["text"].as_str()) {
                (Some("text"), Some(text)) => joined.push_str(text),
                _ => return,
            }
        }
        if !joined.is_empty() {
            self.put(message, "content", joined.into());
        }
    }

    /// A mark of the cache at a message belongs at its last part.
    fn mark(&mut self, message: &mut Map<String, Value>) {
        let Some(mark) = self.take(message, "cache_control") else {
            return;
        };
        match message.get_mut("content") {
            Some(Value::Array(parts)) => {
                if let Some(last) = parts.last_mut().and_then(Value::as_object_mut) {
                    last.insert("cache_control".to_owned(), mark);
                }
            }
            Some(Value::String(text)) => {
                let part = json!({"type": "text", "text": text, "cache_control": mark});
                message.insert("content".to_owned(), json!([part]));
            }
            _ => {}
        }
    }
}

/// What Groq's types of messages lack cannot be left out.
fn known_parts(message: &Map<String, Value>) -> Result<(), Unfit> {
    let parts = message.get("content").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        let what = match part["type"].as_str() {
            Some("file") => "takes no files in messages",
            Some("input_audio") => "takes no sound in messages",
            _ => continue,
        };
        return Err(Unfit::new(Some("messages"), what));
    }
    Ok(())
}

/// Whether a parameter asks for what there is anyway.
fn says_nothing(name: &str, value: &Value) -> bool {
    value.is_null()
        || match name {
            "n" => *value == 1,
            "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
            "logprobs" | "store" => *value == false,
            "tools" | "functions" | "stop" => value.as_array().is_some_and(Vec::is_empty),
            _ => false,
        }
}

/// Whether a turn has anything: Mistral takes none of its model's that is empty.
fn says_something(message: &Value) -> bool {
    if message["role"] != "assistant" {
        return true;
    }
    let content = &message["content"];
    let empty = content.is_null() || content == "";
    let calls = message["tool_calls"].as_array();
    !empty || calls.is_some_and(|calls| !calls.is_empty())
}

/// Whether a model of xAI's thinks before it answers.
fn thinks(model: &str) -> bool {
    let thinking = ["grok-3-mini", "grok-4", "grok-code-fast"];
    !model.contains("non-reasoning") && thinking.iter().any(|name| model.contains(name))
}

/// An id of Mistral's form, the same for the same id.
fn short(id: &str) -> String {
    let digest = digest(&SHA256, id.as_bytes());
    let letters = digest.as_ref().iter().take(ID_LENGTH);
    letters
        .map(|byte| char::from(ID_LETTERS[usize::from(*byte) % ID_LETTERS.len()]))
        .collect()
}
