//! Writes a stream of chunks.
//!
//! Written by hand and not through a tree of values: this is done for every few words of every
//! answer.

use std::io::Write as _;

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::write::{id, image, reason, thinking_block, usage_value};
use crate::call::chat::{Delta, Event, Media, Part, Source, Thinking};
use crate::call::{Call, Dialect, Route, Shown, Usage};
use crate::wire::json::push_string;

/// Writes the chunks of one stream.
#[derive(Debug)]
pub struct Encoder {
    completion: bool,
    created: u64,
    /// The call's own id, until the provider's is known.
    id: String,
    model: String,
    wants_usage: bool,
    /// What every chunk begins with, up to its choices; made with the first one.
    head: Vec<u8>,
    /// Choices that have begun.
    begun: SmallVec<[u32; 2]>,
    usage: Option<Usage>,
}

impl Encoder {
    /// Writes the chunks that answer a call.
    pub fn new(call: &Call, created: u64, usage: bool) -> Self {
        let completion = call.route == Route::Completions;
        let kind = if completion { "cmpl" } else { "chatcmpl" };
        Self {
            completion,
            created,
            id: id(call, None, kind),
            model: call.name().to_owned(),
            wants_usage: usage,
            head: Vec::new(),
            begun: SmallVec::new(),
            usage: None,
        }
    }

    /// Writes on what broke where the caller has `shown` of it: under the same id, and without
    /// saying the role again.
    pub fn resumed(call: &Call, shown: &Shown, created: u64, usage: bool) -> Self {
        let mut encoder = Self::new(call, shown.created.unwrap_or(created), usage);
        if let Some(id) = shown.id.as_ref().filter(|id| !id.is_empty()) {
            encoder.id.clone_from(id);
        }
        encoder.model.clone_from(&shown.model);
        if shown.begun {
            encoder.begun.push(0);
        }
        encoder
    }

    /// What the caller has, but for the words; `None` if it has more than one choice.
    pub fn shown(&self) -> Option<Shown> {
        let alone = self.begun.iter().all(|choice| *choice == 0);
        alone.then(|| Shown {
            id: Some(self.id.clone()),
            created: Some(self.created),
            begun: !self.begun.is_empty(),
            ..Shown::default()
        })
    }

    /// Writes what happened.
    pub fn push(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { id, usage, .. } => {
                if let Some(id) = id.as_ref().filter(|id| !id.is_empty()) {
                    id.clone_into(&mut self.id);
                }
                self.usage = usage.or(self.usage);
            }
            Event::Delta { choice, delta } => self.delta(*choice, delta, out),
            Event::Finish { choice, finish, .. } => {
                self.open(*choice, out);
                self.close(reason(Some(finish)), out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Rest(rest) => {
                self.head();
                out.put_slice(&self.head);
                self.empty_choice(out);
                for (name, value) in rest {
                    out.put_u8(b',');
                    push_string(out, name);
                    out.put_u8(b':');
                    push_value(out, value);
                }
                out.put_slice(b"}\n\n");
            }
        }
    }

    /// Writes the end.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.wants_usage) {
            self.head();
            out.put_slice(&self.head);
            self.empty_choice(out);
            out.put_slice(b",\"usage\":");
            push_value(out, &usage_value(&usage));
            out.put_slice(b"}\n\n");
        }
        out.put_slice(b"data: [DONE]\n\n");
    }

    /// The choices of a chunk that says nothing in them, as LiteLLM writes them.
    fn empty_choice(&self, out: &mut BytesMut) {
        out.put_slice(if self.completion {
            b"{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":null}]"
        } else {
            b"{\"index\":0,\"delta\":{}}]"
        });
    }

    fn head(&mut self) {
        if !self.head.is_empty() {
            return;
        }
        let head = &mut self.head;
        head.put_slice(b"data: {\"id\":");
        push_string(head, &self.id);
        // Writing to a vector does not fail.
        let _ = write!(head, ",\"created\":{}", self.created);
        head.put_slice(b",\"model\":");
        push_string(head, &self.model);
        head.put_slice(if self.completion {
            b",\"object\":\"text_completion\",\"choices\":["
        } else {
            b",\"object\":\"chat.completion.chunk\",\"choices\":["
        });
    }

    /// Begins a chunk of one choice, up to what is new in it; the first of a choice has its role.
    fn open(&mut self, choice: u32, out: &mut BytesMut) {
        self.head();
        out.put_slice(&self.head);
        out.put_slice(b"{\"index\":");
        out.put_slice(itoa::Buffer::new().format(choice).as_bytes());
        if self.completion {
            out.put_slice(b",\"text\":\"");
            return;
        }
        out.put_slice(b",\"delta\":{");
        if !self.begun.contains(&choice) {
            self.begun.push(choice);
            out.put_slice(b"\"role\":\"assistant\",");
        }
    }

    /// Ends a chunk without anything new in it.
    fn close(&self, reason: &str, out: &mut BytesMut) {
        if self.completion {
            out.put_slice(b"\",\"logprobs\":null,\"finish_reason\":\"");
        } else {
            trim_comma(out);
            out.put_slice(b"},\"finish_reason\":\"");
        }
        out.put_slice(reason.as_bytes());
        out.put_slice(b"\"}]}\n\n");
    }

    fn delta(&mut self, choice: u32, delta: &Delta, out: &mut BytesMut) {
        if self.completion {
            if let Delta::Text(text) = delta {
                self.open(choice, out);
                // The opening quote is there.
                out.truncate(out.len() - 1);
                push_string(out, text);
                out.put_slice(b",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
            }
            return;
        }
        let field = match delta {
            Delta::Text(text) => return self.text(choice, b"\"content\":", text, out),
            Delta::Refusal(text) => return self.text(choice, b"\"refusal\":", text, out),
            Delta::Arguments { index, text } => {
                self.open(choice, out);
                out.put_slice(b"\"tool_calls\":[{\"index\":");
                out.put_slice(itoa::Buffer::new().format(*index).as_bytes());
                out.put_slice(b",\"function\":{\"arguments\":");
                push_string(out, text);
                out.put_slice(b"},\"type\":\"function\"}]");
                return end(out);
            }
            Delta::Thinking(text) => {
                self.open(choice, out);
                out.put_slice(b"\"reasoning_content\":");
                push_string(out, text);
                out.put_slice(b",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":");
                push_string(out, text);
                out.put_slice(b",\"signature\":\"\"}]");
                return end(out);
            }
            Delta::Signature(signature) => {
                let block = thinking_block(&Thinking {
                    signature: Some(signature.clone()),
                    ..Thinking::default()
                });
                json!({"thinking_blocks": [block]})
            }
            Delta::Redacted(data) => {
                let block = thinking_block(&Thinking {
                    redacted: Some(data.clone()),
                    ..Thinking::default()
                });
                json!({"thinking_blocks": [block]})
            }
            Delta::Call {
                index,
                id,
                name,
                signature,
            } => {
                let mut call = json!({
                    "index": index, "id": id, "type": "function",
                    "function": {"name": name, "arguments": ""},
                });
                if let Some(signature) = signature {
                    call["provider_specific_fields"] = json!({"thought_signature": signature});
                }
                json!({"tool_calls": [call]})
            }
            Delta::Media(Part::Image(media)) => json!({"images": [image(media, 0)]}),
            Delta::Media(Part::Audio(Media {
                source: Source::Base64(data),
                ..
            })) => json!({"audio": {"data": data}}),
            Delta::Annotation(source) => json!({"annotations": [source]}),
            Delta::Rest(rest) => json!({"provider_specific_fields": rest}),
            Delta::Logprobs(logprobs) => {
                self.open(choice, out);
                trim_comma(out);
                out.put_slice(b"},\"logprobs\":");
                push_value(out, logprobs);
                out.put_slice(b",\"finish_reason\":null}]}\n\n");
                return;
            }
            Delta::Other {
                dialect: Dialect::OpenAi,
                value,
            } if value["type"] == "custom" => json!({"tool_calls": [value]}),
            Delta::Media(_) | Delta::Other { .. } => return,
        };
        self.open(choice, out);
        if let Value::Object(members) = field {
            for (name, value) in members {
                push_string(out, &name);
                out.put_u8(b':');
                push_value(out, &value);
            }
        }
        end(out);
    }

    fn text(&mut self, choice: u32, name: &[u8], text: &str, out: &mut BytesMut) {
        self.open(choice, out);
        out.put_slice(name);
        push_string(out, text);
        end(out);
    }
}

/// Ends a chunk in whose delta something stands.
fn end(out: &mut BytesMut) {
    out.put_slice(b"},\"finish_reason\":null}]}\n\n");
}

fn trim_comma(out: &mut BytesMut) {
    if out.last() == Some(&b',') {
        out.truncate(out.len() - 1);
    }
}

fn push_value(out: &mut BytesMut, value: &Value) {
    // Writing to memory does not fail, and a value has nothing that JSON has not.
    let _ = serde_json::to_writer(out.writer(), value);
}
