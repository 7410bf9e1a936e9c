//! Writes the events of a message, in Anthropic's order: `message_start`, then for each block
//! `content_block_start`, its deltas and `content_block_stop`, then `message_delta` with the stop
//! reason and the usage, and `message_stop`.

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::write::{id, reason, usage_value};
use crate::call::chat::{Delta, Event};
use crate::call::{Call, Dialect, Shown, Usage};
use crate::wire::json::push_string;

/// Writes the events of one message.
#[derive(Debug)]
pub struct Encoder {
    id: String,
    model: String,
    usage: Usage,
    started: bool,
    /// The block that is open, and blocks so far.
    open: Option<Block>,
    blocks: u32,
    stop: (&'static str, Option<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Call(u32),
}

impl Encoder {
    /// Writes the events that answer a call.
    pub fn new(call: &Call) -> Self {
        Self {
            id: id(call, None),
            model: call.name().to_owned(),
            usage: Usage::default(),
            started: false,
            open: None,
            blocks: 0,
            stop: ("end_turn", None),
        }
    }

    /// Writes on what broke where the caller has `shown` of it: the same message, and the same block
    /// if one of words is open.
    pub fn resumed(call: &Call, shown: &Shown) -> Self {
        let mut encoder = Self::new(call);
        if let Some(id) = shown.id.as_ref().filter(|id| !id.is_empty()) {
            encoder.id.clone_from(id);
        }
        encoder.model.clone_from(&shown.model);
        encoder.started = shown.begun;
        encoder.blocks = shown.blocks;
        encoder.open = shown.open.then_some(Block::Text);
        encoder
    }

    /// What the caller has, but for the words; `None` within a block that only whoever began it can
    /// end.
    pub fn shown(&self) -> Option<Shown> {
        let open = match self.open {
            None => false,
            Some(Block::Text) => true,
            Some(Block::Thinking | Block::Call(_)) => return None,
        };
        Some(Shown {
            id: Some(self.id.clone()),
            begun: self.started,
            blocks: self.blocks,
            open,
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
                self.usage = usage.unwrap_or(self.usage);
            }
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Finish {
                choice: 0,
                finish,
                stop_sequence,
            } => self.stop = (reason(Some(finish)), stop_sequence.clone()),
            Event::Usage(usage) => self.usage = *usage,
            Event::Delta { .. } | Event::Finish { .. } | Event::Rest(_) => {}
        }
    }

    /// Writes the end.
    pub fn finish(&mut self, out: &mut BytesMut) {
        self.start(out);
        self.close(out);
        let (reason, sequence) = &self.stop;
        let end = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage_value(&self.usage),
        });
        push_event("message_delta", &end, out);
        push_event("message_stop", &json!({"type": "message_stop"}), out);
    }

    fn start(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let mut usage = usage_value(&self.usage);
        // Nothing was said yet, whatever the provider counts.
        usage["output_tokens"] = 0.into();
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
        });
        push_event(
            "message_start",
            &json!({"type": "message_start", "message": message}),
            out,
        );
        push_event("ping", &json!({"type": "ping"}), out);
    }

    fn close(&mut self, out: &mut BytesMut) {
        if self.open.take().is_some() {
            self.stop_block(out);
        }
    }

    fn stop_block(&mut self, out: &mut BytesMut) {
        let stop = json!({"type": "content_block_stop", "index": self.blocks});
        push_event("content_block_stop", &stop, out);
        self.blocks += 1;
    }

    fn start_block(&mut self, content: &Value, out: &mut BytesMut) {
        self.start(out);
        self.close(out);
        let start = json!({
            "type": "content_block_start", "index": self.blocks, "content_block": content,
        });
        push_event("content_block_start", &start, out);
    }

    /// Sees to it that a block of this kind is open.
    fn enter(&mut self, block: Block, out: &mut BytesMut) {
        if self.open == Some(block) {
            return;
        }
        let content = match block {
            Block::Text => json!({"type": "text", "text": ""}),
            Block::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Block::Call(_) => return,
        };
        self.start_block(&content, out);
        self.open = Some(block);
    }

    /// A block that is told whole.
    fn whole(&mut self, content: &Value, out: &mut BytesMut) {
        self.start_block(content, out);
        self.stop_block(out);
    }

    fn delta(&mut self, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => {
                self.enter(Block::Text, out);
                self.piece("text_delta", "text", text, out);
            }
            Delta::Thinking(text) => {
                self.enter(Block::Thinking, out);
                self.piece("thinking_delta", "thinking", text, out);
            }
            Delta::Signature(signature) => {
                self.enter(Block::Thinking, out);
                self.piece("signature_delta", "signature", signature, out);
                // A signature ends its thought; another thought is another block.
                self.close(out);
            }
            Delta::Redacted(data) => {
                self.whole(&json!({"type": "redacted_thinking", "data": data}), out);
            }
            Delta::Call {
                index, id, name, ..
            } => {
                let content = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                self.start_block(&content, out);
                self.open = Some(Block::Call(*index));
            }
            Delta::Arguments { index, text } if self.open == Some(Block::Call(*index)) => {
                self.piece("input_json_delta", "partial_json", text, out);
            }
            Delta::Other {
                dialect: Dialect::Anthropic,
                value,
            } => self.whole(value, out),
            Delta::Arguments { .. }
            | Delta::Annotation(_)
            | Delta::Logprobs(_)
            | Delta::Media(_)
            | Delta::Other { .. }
            | Delta::Rest(_) => {}
        }
    }

    /// More of the block that is open. Written by hand, since this is done for every few words.
    fn piece(&self, kind: &str, name: &str, text: &str, out: &mut BytesMut) {
        out.put_slice(
            b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
        );
        out.put_slice(itoa::Buffer::new().format(self.blocks).as_bytes());
        out.put_slice(b",\"delta\":{\"type\":\"");
        out.put_slice(kind.as_bytes());
        out.put_slice(b"\",\"");
        out.put_slice(name.as_bytes());
        out.put_slice(b"\":");
        push_string(out, text);
        out.put_slice(b"}}\n\n");
    }
}

/// Writes an event with its name.
fn push_event(name: &str, data: &Value, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\ndata: ");
    // Writing to memory does not fail, and a value has nothing that JSON has not.
    let _ = serde_json::to_writer(out.writer(), data);
    out.put_slice(b"\n\n");
}
