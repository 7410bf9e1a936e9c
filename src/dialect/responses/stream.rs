//! Writes the events of a response, in OpenAI's order: `response.created`, `response.in_progress`;
//! for each item `response.output_item.added`, its parts and their deltas, and
//! `response.output_item.done`; last the whole response.
//!
//! What was said is held to the end, since the last events repeat it.

use std::io::Write as _;

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::write::{
    Ended, Head, ItemIds, State, annotation, function_call, item, likelihoods, message,
    output_text, push_value, reasoning, refusal, separate,
};
use crate::call::chat::{Delta, Event, Finish, Part, Thinking, ToolCall};
use crate::call::{Call, Usage};
use crate::error::Failure;
use crate::wire::json::push_string;

/// Writes the events of one response.
#[derive(Debug)]
pub struct Encoder {
    head: Head,
    ids: ItemIds,
    /// The number of the next event.
    sequence: u64,
    begun: bool,
    /// The item that is open, and how many stand before it.
    open: Option<Open>,
    items: u32,
    /// The items that are done, with commas between.
    output: Vec<u8>,
    usage: Option<Usage>,
    finish: Option<Finish>,
}

/// An item that has begun.
#[derive(Debug)]
struct Open {
    id: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Message {
        /// The parts that are done.
        content: Vec<Value>,
        part: Option<Saying>,
    },
    Thought(Thinking),
    Call {
        index: u32,
        call: ToolCall,
    },
}

/// A part of a message that has begun.
#[derive(Debug, Default)]
struct Saying {
    refuses: bool,
    text: String,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

impl Saying {
    fn value(&self) -> Value {
        if self.refuses {
            refusal(&self.text)
        } else {
            output_text(&self.text, &self.annotations, &self.logprobs)
        }
    }
}

impl Encoder {
    /// Writes the events that answer a call. `created` is the time of it, in seconds since 1970.
    pub fn new(call: &Call, created: u64) -> Self {
        Self {
            head: Head::of(call, created),
            ids: ItemIds::of(call),
            sequence: 0,
            begun: false,
            open: None,
            items: 0,
            output: Vec::new(),
            usage: None,
            finish: None,
        }
    }

    /// Writes what happened.
    pub fn push(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { usage, .. } => {
                self.usage = usage.or(self.usage);
                self.begin(out);
            }
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Finish {
                choice: 0, finish, ..
            } => self.finish = Some(finish.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Rest(rest) => self.head.note(rest),
            Event::Delta { .. } | Event::Finish { .. } => {}
        }
    }

    /// Writes the end.
    pub fn finish(&mut self, out: &mut BytesMut) {
        self.begin(out);
        let ended = Ended::of(self.finish.as_ref());
        self.close(ended.status(), out);
        let name = match ended {
            Ended::Complete => "response.completed",
            Ended::Incomplete(_) => "response.incomplete",
        };
        self.snapshot(name, &State::Ended(ended), out);
    }

    /// Writes the end of a stream that broke.
    pub fn fail(&mut self, failure: &Failure, out: &mut BytesMut) {
        self.begin(out);
        self.close("incomplete", out);
        self.snapshot("response.failed", &State::Failed(failure), out);
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.begun, true) {
            self.snapshot("response.created", &State::InProgress, out);
            self.snapshot("response.in_progress", &State::InProgress, out);
        }
    }

    /// An event that holds the response as it is now.
    fn snapshot(&mut self, name: &str, state: &State<'_>, out: &mut BytesMut) {
        self.event(name, out);
        out.put_slice(b",\"response\":");
        let usage = self
            .usage
            .as_ref()
            .filter(|_| !matches!(state, State::InProgress));
        self.head.push(out, state, &self.output, usage);
        out.put_slice(b"}\n\n");
    }

    /// Begins an event, up to its number.
    fn event(&mut self, name: &str, out: &mut BytesMut) {
        out.put_slice(b"event: ");
        out.put_slice(name.as_bytes());
        out.put_slice(b"\ndata: {\"type\":\"");
        out.put_slice(name.as_bytes());
        out.put_slice(b"\",\"sequence_number\":");
        out.put_slice(itoa::Buffer::new().format(self.sequence).as_bytes());
        self.sequence += 1;
    }

    /// An event about the item that is open, or about a part of it. `members` are further ones, with
    /// a comma before each.
    fn about(&mut self, name: &str, id: &str, members: &[(&str, Value)], out: &mut BytesMut) {
        self.event(name, out);
        out.put_slice(b",\"item_id\":");
        push_string(out, id);
        // Writing to memory does not fail.
        let _ = write!(out.writer(), ",\"output_index\":{}", self.items);
        for (name, value) in members {
            // The names are the ones in this file.
            let _ = write!(out.writer(), ",\"{name}\":");
            push_value(&mut out.writer(), value);
        }
        out.put_slice(b"}\n\n");
    }

    fn item_event(&mut self, name: &str, item: &[u8], out: &mut BytesMut) {
        self.event(name, out);
        let _ = write!(out.writer(), ",\"output_index\":{},\"item\":", self.items);
        out.put_slice(item);
        out.put_slice(b"}\n\n");
    }

    /// More of what is open. Written by hand, since this is done for every few words.
    fn piece(&mut self, name: &str, at: &str, text: &str, out: &mut BytesMut) {
        let Some(open) = self.open.take() else {
            return;
        };
        self.event(name, out);
        out.put_slice(b",\"item_id\":\"");
        out.put_slice(open.id.as_bytes());
        out.put_slice(b"\",\"output_index\":");
        out.put_slice(itoa::Buffer::new().format(self.items).as_bytes());
        out.put_slice(at.as_bytes());
        out.put_slice(b",\"delta\":");
        push_string(out, text);
        out.put_slice(b"}\n\n");
        self.open = Some(open);
    }

    fn add_item(&mut self, id: String, kind: Kind, added: &Value, out: &mut BytesMut) {
        self.begin(out);
        self.close("completed", out);
        let added = added.to_string();
        self.item_event("response.output_item.added", added.as_bytes(), out);
        self.open = Some(Open { id, kind });
    }

    /// An item that is told whole, with the events that OpenAI has for one of its kind.
    fn whole(&mut self, item: &Value, out: &mut BytesMut) {
        self.begin(out);
        self.close("completed", out);
        let id = item["id"].as_str().unwrap_or_default();
        let mut added = item.clone();
        let mut steps: &[&str] = &[];
        match item["type"].as_str() {
            Some("web_search_call") => {
                added["status"] = "in_progress".into();
                steps = &[
                    "response.web_search_call.in_progress",
                    "response.web_search_call.searching",
                    "response.web_search_call.completed",
                ];
            }
            Some("image_generation_call") => {
                added["status"] = "in_progress".into();
                added["result"] = Value::Null;
                steps = &[
                    "response.image_generation_call.in_progress",
                    "response.image_generation_call.completed",
                ];
            }
            Some("custom_tool_call") => added["input"] = "".into(),
            _ => {}
        }
        let added = added.to_string();
        self.item_event("response.output_item.added", added.as_bytes(), out);
        for step in steps {
            self.about(step, id, &[], out);
        }
        if item["type"] == "custom_tool_call" {
            let input = &item["input"];
            for (name, member) in [("delta", "delta"), ("done", "input")] {
                let name = format!("response.custom_tool_call_input.{name}");
                self.about(&name, id, &[(member, input.clone())], out);
            }
        }
        self.done(item.to_string().as_bytes(), out);
    }

    fn done(&mut self, item: &[u8], out: &mut BytesMut) {
        self.item_event("response.output_item.done", item, out);
        separate(&mut self.output);
        self.output.extend_from_slice(item);
        self.items = self.items.saturating_add(1);
    }

    /// Ends the item that is open, if one is.
    fn close(&mut self, status: &str, out: &mut BytesMut) {
        let Some(Open { id, kind }) = self.open.take() else {
            return;
        };
        let item = match kind {
            Kind::Message { mut content, part } => {
                if let Some(part) = part {
                    content.push(self.end_part(&id, content.len(), &part, out));
                }
                message(&id, &content, status)
            }
            Kind::Thought(thinking) => {
                if !thinking.text.is_empty() {
                    self.end_summary(&id, &thinking.text, out);
                }
                reasoning(&id, &thinking)
            }
            Kind::Call { call, .. } => {
                let item = function_call(&id, &call, status);
                let members = [
                    ("name", item["name"].clone()),
                    ("arguments", item["arguments"].clone()),
                ];
                self.about("response.function_call_arguments.done", &id, &members, out);
                item
            }
        };
        self.done(item.to_string().as_bytes(), out);
    }

    fn end_part(&mut self, id: &str, at: usize, part: &Saying, out: &mut BytesMut) -> Value {
        let value = part.value();
        let at = Value::from(at);
        if part.refuses {
            let members = [
                ("content_index", at.clone()),
                ("refusal", value["refusal"].clone()),
            ];
            self.about("response.refusal.done", id, &members, out);
        } else {
            let members = [
                ("content_index", at.clone()),
                ("text", value["text"].clone()),
                ("logprobs", value["logprobs"].clone()),
            ];
            self.about("response.output_text.done", id, &members, out);
        }
        let members = [("content_index", at), ("part", value.clone())];
        self.about("response.content_part.done", id, &members, out);
        value
    }

    fn end_summary(&mut self, id: &str, text: &str, out: &mut BytesMut) {
        let first = ("summary_index", Value::from(0));
        let members = [first.clone(), ("text", text.into())];
        self.about("response.reasoning_summary_text.done", id, &members, out);
        let part = json!({"type": "summary_text", "text": text});
        let members = [first, ("part", part)];
        self.about("response.reasoning_summary_part.done", id, &members, out);
    }

    /// Sees to it that a part of a message of this kind is open, and gives it with its place.
    fn enter(&mut self, refuses: bool, out: &mut BytesMut) {
        let in_message = matches!(
            &self.open,
            Some(Open {
                kind: Kind::Message { .. },
                ..
            })
        );
        if !in_message {
            let id = self.ids.next("msg");
            let added = message(&id, &[], "in_progress");
            let kind = Kind::Message {
                content: Vec::new(),
                part: None,
            };
            self.add_item(id, kind, &added, out);
        }
        let Some(Open {
            id,
            kind: Kind::Message { mut content, part },
        }) = self.open.take()
        else {
            return;
        };
        let part = match part {
            Some(part) if part.refuses == refuses => part,
            before => {
                if let Some(before) = before {
                    content.push(self.end_part(&id, content.len(), &before, out));
                }
                let part = Saying {
                    refuses,
                    ..Saying::default()
                };
                let at = Value::from(content.len());
                let members = [("content_index", at), ("part", part.value())];
                self.about("response.content_part.added", &id, &members, out);
                part
            }
        };
        let kind = Kind::Message {
            content,
            part: Some(part),
        };
        self.open = Some(Open { id, kind });
    }

    /// The part of a message that is open, and its place.
    fn saying(&mut self) -> Option<(usize, &mut Saying)> {
        match &mut self.open {
            Some(Open {
                kind: Kind::Message { content, part },
                ..
            }) => Some((content.len(), part.as_mut()?)),
            _ => None,
        }
    }

    fn say(&mut self, refuses: bool, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.enter(refuses, out);
        let Some((at, saying)) = self.saying() else {
            return;
        };
        saying.text.push_str(text);
        if refuses {
            let at = format!(",\"content_index\":{at}");
            self.piece("response.refusal.delta", &at, text, out);
        } else {
            let at = match at {
                0 => ",\"content_index\":0,\"logprobs\":[]".to_owned(),
                at => format!(",\"content_index\":{at},\"logprobs\":[]"),
            };
            self.piece("response.output_text.delta", &at, text, out);
        }
    }

    /// Sees to it that a thought is open, with its summary begun if it has words.
    fn think(&mut self, words: bool, out: &mut BytesMut) {
        if !matches!(
            &self.open,
            Some(Open {
                kind: Kind::Thought(_),
                ..
            })
        ) {
            let id = self.ids.next("rs");
            let added = reasoning(&id, &Thinking::default());
            self.add_item(id, Kind::Thought(Thinking::default()), &added, out);
        }
        if let Some(Open {
            id,
            kind: Kind::Thought(thinking),
        }) = &self.open
            && words
            && thinking.text.is_empty()
        {
            let id = id.clone();
            let part = json!({"type": "summary_text", "text": ""});
            let members = [("summary_index", 0.into()), ("part", part)];
            self.about("response.reasoning_summary_part.added", &id, &members, out);
        }
    }

    /// Changes the thought that is open.
    fn thought(&mut self, change: impl FnOnce(&mut Thinking)) {
        if let Some(Open {
            kind: Kind::Thought(thinking),
            ..
        }) = &mut self.open
        {
            change(thinking);
        }
    }

    fn delta(&mut self, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Text(text) => self.say(false, text, out),
            Delta::Refusal(text) => self.say(true, text, out),
            Delta::Thinking(text) if text.is_empty() => {}
            Delta::Thinking(text) => {
                self.think(true, out);
                self.thought(|thinking| thinking.text.push_str(text));
                let name = "response.reasoning_summary_text.delta";
                self.piece(name, ",\"summary_index\":0", text, out);
            }
            Delta::Signature(signature) => {
                self.think(false, out);
                self.thought(|thinking| thinking.signature = Some(signature.clone()));
                // A signature ends its thought; another thought is another item.
                self.close("completed", out);
            }
            Delta::Redacted(data) => {
                let thinking = Thinking {
                    redacted: Some(data.clone()),
                    ..Thinking::default()
                };
                self.part(&Part::Thinking(thinking), out);
            }
            Delta::Call {
                index,
                id,
                name,
                signature,
            } => {
                let call = ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    signature: signature.clone(),
                    ..ToolCall::default()
                };
                let id = self.ids.next("fc");
                let added = function_call(&id, &call, "in_progress");
                let kind = Kind::Call {
                    index: *index,
                    call,
                };
                self.add_item(id, kind, &added, out);
            }
            Delta::Arguments { index, text } => {
                let of_this = match &mut self.open {
                    Some(Open {
                        kind: Kind::Call { index: open, call },
                        ..
                    }) if open == index => {
                        call.arguments.push_str(text);
                        true
                    }
                    _ => false,
                };
                if of_this {
                    self.piece("response.function_call_arguments.delta", "", text, out);
                }
            }
            Delta::Annotation(source) => self.annotate(source, out),
            Delta::Logprobs(logprobs) => {
                if let Some((_, saying)) = self.saying() {
                    saying.logprobs.extend_from_slice(likelihoods(logprobs));
                }
            }
            Delta::Media(part) => self.part(part, out),
            Delta::Other { dialect, value } => {
                let part = Part::Other {
                    dialect: *dialect,
                    value: value.clone(),
                };
                self.part(&part, out);
            }
            Delta::Rest(rest) => self.head.note_of_choice(rest),
        }
    }

    /// A part that is an item of its own, if it has a place.
    fn part(&mut self, part: &Part, out: &mut BytesMut) {
        // The number of an item follows the one that is open.
        if let Some(whole) = item(part, &mut self.ids) {
            self.whole(&whole, out);
        }
    }

    fn annotate(&mut self, source: &Value, out: &mut BytesMut) {
        let source = annotation(source);
        let Some((at, saying)) = self.saying().filter(|(_, saying)| !saying.refuses) else {
            return;
        };
        saying.annotations.push(source.clone());
        let number = saying.annotations.len() - 1;
        let members = [
            ("content_index", at.into()),
            ("annotation_index", number.into()),
            ("annotation", source),
        ];
        let id = self.open.as_ref().map(|open| open.id.clone());
        let name = "response.output_text.annotation.added";
        self.about(name, &id.unwrap_or_default(), &members, out);
    }
}
