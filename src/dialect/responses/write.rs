//! Writes a whole answer, and what whole answers and streams have alike.

use std::io::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::{REDACTED, SIGNED};
use crate::call::chat::{Answer, Choice, Finish, Media, Part, Source, Text, Thinking, ToolCall};
use crate::call::{Call, Dialect, Usage};
use crate::error::Failure;
use crate::wire::json::push_string;

/// An answer as a response. `created` is the time of it, in seconds since 1970.
pub fn response(call: &Call, answer: &Answer, created: u64) -> Bytes {
    let mut head = Head::of(call, created);
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let mut ids = ItemIds::of(call);
    let mut output = Vec::new();
    let ended = Ended::of(choice.finish.as_ref());
    for item in items(choice, ended, &mut ids) {
        separate(&mut output);
        push_value(&mut output, &item);
    }
    head.note(&answer.rest);
    head.note_of_choice(&choice.rest);
    let mut out = BytesMut::new();
    head.push(
        &mut out,
        &State::Ended(ended),
        &output,
        answer.usage.as_ref(),
    );
    out.freeze()
}

/// How many tokens a prompt has.
pub fn count(answer: &Answer) -> Bytes {
    let tokens = answer.usage.map_or(0, |usage| usage.prompt);
    let count = json!({"object": "response.input_tokens", "input_tokens": tokens});
    count.to_string().into()
}

/// The last event of a stream that broke: a response that failed. `head` is an object with what is
/// known of the response beside that; `sequence` the number of the event.
pub fn failed_event(
    head: &Map<String, Value>,
    sequence: u64,
    failure: &Failure,
    out: &mut BytesMut,
) {
    let mut response = head.clone();
    response.insert("status".to_owned(), "failed".into());
    response.insert("error".to_owned(), fault(failure));
    let event = json!({
        "type": "response.failed", "sequence_number": sequence, "response": response,
    });
    out.put_slice(b"event: response.failed\ndata: ");
    push_value(&mut out.writer(), &event);
    out.put_slice(b"\n\n");
}

/// What went wrong, in the words that a response has for it.
fn fault(failure: &Failure) -> Value {
    let code = match failure.status().as_u16() {
        429 => "rate_limit_exceeded",
        400..=499 => "invalid_prompt",
        _ => "server_error",
    };
    json!({"code": code, "message": failure.to_string()})
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it should.
    Complete,
    /// Too early, for this reason.
    Incomplete(&'static str),
}

impl Ended {
    pub(super) fn of(finish: Option<&Finish>) -> Self {
        match finish {
            Some(Finish::Length) => Self::Incomplete("max_output_tokens"),
            Some(Finish::ContentFilter | Finish::Refusal) => Self::Incomplete("content_filter"),
            // Those that OpenAI's clients have no word for ended as they should.
            Some(
                Finish::Stop
                | Finish::StopSequence
                | Finish::ToolCalls
                | Finish::Pause
                | Finish::Other(_),
            )
            | None => Self::Complete,
        }
    }

    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Complete => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// Where a response is.
#[derive(Debug)]
pub(super) enum State<'a> {
    /// Something is still to come.
    InProgress,
    /// Nothing more comes.
    Ended(Ended),
    /// It broke.
    Failed(&'a Failure),
}

/// Members of a request that its response repeats, and what stands there where the request has none.
const REPEATED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];
/// What is so of every response that nobody keeps.
const UNKEPT: &str = r#","background":false,"previous_response_id":null,"store":false}"#;

/// What every form of one response has alike.
#[derive(Debug)]
pub(super) struct Head {
    created: u64,
    id: String,
    model: String,
    /// The repeated members, as JSON with commas between.
    repeated: Vec<u8>,
    /// `service_tier` and what goes into `provider_specific_fields`.
    tier: Value,
    specific: Map<String, Value>,
}

impl Head {
    pub(super) fn of(call: &Call, created: u64) -> Self {
        // The body was read before it was answered.
        let asked: Map<String, Value> = serde_json::from_slice(&call.body).unwrap_or_default();
        let mut repeated = Vec::new();
        for (name, absent) in REPEATED {
            separate(&mut repeated);
            push_string(&mut repeated, name);
            repeated.push(b':');
            match asked.get(*name).filter(|value| !value.is_null()) {
                Some(value) => push_value(&mut repeated, value),
                None => repeated.extend_from_slice(absent.as_bytes()),
            }
        }
        let own = format!("resp_{:032x}", call.tab.id);
        // Nobody keeps it, so it is bound to no deployment; its owner can still be told so.
        let issued = call.live.ids().issue(call.principal.owner(), "", &own);
        Self {
            created,
            id: issued.unwrap_or(own),
            model: call.name().to_owned(),
            repeated,
            tier: "default".into(),
            specific: Map::new(),
        }
    }

    /// Notes what a provider tells beside the answer.
    pub(super) fn note(&mut self, rest: &Map<String, Value>) {
        for (name, value) in rest {
            if name == "service_tier" {
                self.tier = value.clone();
            } else {
                self.specific.insert(name.clone(), value.clone());
            }
        }
    }

    /// Notes what a provider tells beside the turn.
    pub(super) fn note_of_choice(&mut self, rest: &Map<String, Value>) {
        self.specific.extend(rest.clone());
    }

    /// Writes the response; `output` are its items with commas between.
    pub(super) fn push(
        &self,
        out: &mut BytesMut,
        state: &State<'_>,
        output: &[u8],
        usage: Option<&Usage>,
    ) {
        out.put_slice(b"{\"id\":");
        push_string(out, &self.id);
        let (status, error, details) = match state {
            State::InProgress => ("in_progress", Value::Null, Value::Null),
            State::Ended(ended) => {
                let details = match ended {
                    Ended::Complete => Value::Null,
                    Ended::Incomplete(reason) => json!({"reason": reason}),
                };
                (ended.status(), Value::Null, details)
            }
            State::Failed(failure) => ("failed", fault(failure), Value::Null),
        };
        // Writing to memory does not fail.
        let _ = write!(
            out.writer(),
            ",\"object\":\"response\",\"created_at\":{},\"status\":\"{status}\"",
            self.created
        );
        out.put_slice(b",\"error\":");
        push_value(&mut out.writer(), &error);
        out.put_slice(b",\"incomplete_details\":");
        push_value(&mut out.writer(), &details);
        out.put_slice(b",\"model\":");
        push_string(out, &self.model);
        out.put_slice(b",\"output\":[");
        out.put_slice(output);
        out.put_slice(b"],\"usage\":");
        let usage = usage.map_or(Value::Null, usage_value);
        push_value(&mut out.writer(), &usage);
        out.put_slice(b",\"service_tier\":");
        push_value(&mut out.writer(), &self.tier);
        if !self.specific.is_empty() {
            out.put_slice(b",\"provider_specific_fields\":");
            let _ = serde_json::to_writer(out.writer(), &self.specific);
        }
        out.put_u8(b',');
        out.put_slice(&self.repeated);
        out.put_slice(UNKEPT.as_bytes());
    }
}

/// Puts a comma behind what is there.
pub(super) fn separate(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

pub(super) fn push_value(out: &mut impl std::io::Write, value: &Value) {
    // Writing to memory does not fail, and a value has nothing that JSON has not.
    let _ = serde_json::to_writer(out, value);
}

/// Gives each item of a response an id of its own.
#[derive(Debug)]
pub(super) struct ItemIds {
    row: u128,
    next: u32,
}

impl ItemIds {
    pub(super) fn of(call: &Call) -> Self {
        Self {
            row: call.tab.id,
            next: 0,
        }
    }

    /// The next one of this kind, such as `msg`.
    pub(super) fn next(&mut self, kind: &str) -> String {
        let id = format!("{kind}_{:032x}{:04x}", self.row, self.next);
        self.next = self.next.saturating_add(1);
        id
    }
}

/// The items that a turn is made of. What is said between two others is one message.
fn items(choice: &Choice, ended: Ended, ids: &mut ItemIds) -> Vec<Value> {
    let mut items = Vec::new();
    let mut said: Vec<Value> = Vec::new();
    for part in &choice.parts {
        match part {
            Part::Text(text) => say(&mut said, text),
            Part::Refusal(text) => said.push(refusal(text)),
            _ => {
                let Some(item) = item(part, ids) else {
                    continue;
                };
                if !said.is_empty() {
                    let content = std::mem::take(&mut said);
                    items.push(message(&ids.next("msg"), &content, "completed"));
                }
                items.push(item);
            }
        }
    }
    if !said.is_empty() {
        add_logprobs(&mut said, choice.logprobs.as_ref());
        items.push(message(&ids.next("msg"), &said, ended.status()));
    }
    items
}

/// Words that follow words are the same part.
fn say(said: &mut Vec<Value>, text: &Text) {
    let sources = text.annotations.iter().map(annotation);
    if let Some(Value::Object(last)) = said.last_mut()
        && let Some(Value::String(words)) = last.get_mut("text")
    {
        words.push_str(&text.text);
        if let Some(Value::Array(known)) = last.get_mut("annotations") {
            known.extend(sources);
        }
    } else if !text.text.is_empty() {
        let sources: Vec<Value> = sources.collect();
        said.push(output_text(&text.text, &sources, &[]));
    }
}

fn add_logprobs(said: &mut [Value], logprobs: Option<&Value>) {
    let likelihoods = logprobs.map(|logprobs| likelihoods(logprobs).to_vec());
    let words = said.iter_mut().find(|part| part["type"] == "output_text");
    if let (Some(likelihoods), Some(words)) = (likelihoods, words) {
        words["logprobs"] = likelihoods.into();
    }
}

/// The likelihoods of the tokens that were said, of what chat has in `logprobs`.
pub(super) fn likelihoods(logprobs: &Value) -> &[Value] {
    logprobs["content"].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn message(id: &str, content: &[Value], status: &str) -> Value {
    json!({
        "id": id, "type": "message", "role": "assistant", "status": status, "content": content,
    })
}

pub(super) fn output_text(text: &str, annotations: &[Value], logprobs: &[Value]) -> Value {
    json!({
        "type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs,
    })
}

pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// What stands as an item of its own; `None` if it has no place in a response.
pub(super) fn item(part: &Part, ids: &mut ItemIds) -> Option<Value> {
    Some(match part {
        Part::Thinking(thinking) => reasoning(&ids.next("rs"), thinking),
        Part::Call(call) => function_call(&ids.next("fc"), call, "completed"),
        Part::Image(media) => image(&ids.next("ig"), media)?,
        Part::Other {
            dialect: Dialect::Responses,
            value,
        } => value.clone(),
        Part::Other {
            dialect: Dialect::OpenAi,
            value,
        } if value["type"] == "custom" => json!({
            "id": ids.next("ctc"), "type": "custom_tool_call", "call_id": value["id"],
            "name": value["custom"]["name"], "input": value["custom"]["input"],
        }),
        Part::Other {
            dialect: Dialect::Anthropic,
            value,
        } if value["type"] == "server_tool_use" && value["name"] == "web_search" => json!({
            "id": ids.next("ws"), "type": "web_search_call", "status": "completed",
            "action": {"type": "search", "query": value["input"]["query"].as_str().unwrap_or("")},
        }),
        Part::Text(_)
        | Part::Refusal(_)
        | Part::Document(_)
        | Part::Audio(_)
        | Part::Video(_)
        | Part::Result(_)
        | Part::Other { .. } => return None,
    })
}

pub(super) fn reasoning(id: &str, thinking: &Thinking) -> Value {
    let proof = match (&thinking.redacted, &thinking.signature) {
        (Some(data), _) => Some(format!("{REDACTED}{data}")),
        (None, Some(signature)) => Some(format!("{SIGNED}{signature}")),
        (None, None) => None,
    };
    let mut summary = Vec::new();
    if !thinking.text.is_empty() {
        summary.push(json!({"type": "summary_text", "text": thinking.text}));
    }
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if let Some(proof) = proof {
        item["encrypted_content"] = proof.into();
    }
    item
}

pub(super) fn function_call(id: &str, call: &ToolCall, status: &str) -> Value {
    let arguments = match &*call.arguments {
        "" if status == "completed" => "{}",
        text => text,
    };
    let mut item = json!({
        "id": id, "type": "function_call", "status": status, "call_id": call.id,
        "name": call.name, "arguments": arguments,
    });
    if let Some(signature) = &call.signature {
        item["provider_specific_fields"] = json!({"thought_signature": signature});
    }
    item
}

/// An image that the model made. Those at an address have no place.
fn image(id: &str, media: &Media) -> Option<Value> {
    let Source::Base64(data) = &media.source else {
        return None;
    };
    Some(json!({
        "id": id, "type": "image_generation_call", "status": "completed", "result": data,
    }))
}

/// A source, whose figures stand in a member of its kind's name in chat, and beside the kind here.
pub(super) fn annotation(source: &Value) -> Value {
    let Some(Value::Object(figures)) = source.get("url_citation") else {
        return source.clone();
    };
    let mut flat = figures.clone();
    flat.insert("type".to_owned(), "url_citation".into());
    for (name, absent) in [
        ("url", Value::from("")),
        ("title", "".into()),
        ("start_index", 0.into()),
        ("end_index", 0.into()),
    ] {
        flat.entry(name).or_insert(absent);
    }
    Value::Object(flat)
}

fn usage_value(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}
