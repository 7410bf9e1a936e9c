//! Writes a stream: each event is an answer that holds what is new.
//!
//! Source: Google's API reference, `streamGenerateContent`: server-sent events with `alt=sse`,
//! otherwise one JSON list whose elements come as they are made. A call of a function comes whole.
//! There is no closing event; the last one has the finish reasons and the usage.

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use super::write::{Sources, Written, is_base64, logprobs, part, reason, usage, words};
use crate::call::Usage;
use crate::call::chat::{Delta, Event, Part, ToolCall};
use crate::wire::gemini::{self, Candidate, Content, Response};

/// Longest arguments of a call that are held until they are whole.
const MAX_ARGUMENTS_BYTES: usize = 8 << 20;

/// Writes the events of one stream.
#[derive(Debug)]
pub struct Encoder {
    is_list: bool,
    model: String,
    id: String,
    begun: bool,
    choices: SmallVec<[Choice; 1]>,
    usage: Option<Usage>,
}

/// A turn that is not over.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    call: Option<ToolCall>,
    sources: Sources,
    finish: Option<String>,
}

impl Encoder {
    /// Writes the stream of an answer. `model` is the name that the caller asked for, `id` stands
    /// for the provider's where it gives none; `is_list` is for callers without `alt=sse`.
    pub fn new(model: String, id: String, is_list: bool) -> Self {
        Self {
            is_list,
            model,
            id,
            begun: false,
            choices: SmallVec::new(),
            usage: None,
        }
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
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice, finish, .. } => {
                self.flush(*choice, out);
                let choice = self.choice(*choice);
                if choice.finish.is_none() {
                    choice.finish = Some(reason(finish));
                }
            }
            Event::Delta { choice, delta } => self.delta(*choice, delta, out),
            // What other dialects say beside the turn has no name in this one.
            Event::Rest(_) => {}
        }
    }

    /// Writes the end of a stream that is complete.
    pub fn finish(&mut self, out: &mut BytesMut) {
        let open: SmallVec<[u32; 1]> = self.choices.iter().map(|choice| choice.index).collect();
        for index in open {
            self.flush(index, out);
        }
        let candidates = self
            .choices
            .iter_mut()
            .map(|choice| Candidate {
                content: Some(Content {
                    role: Some("model".to_owned()),
                    parts: vec![words("")],
                }),
                finish_reason: choice.finish.take().or_else(|| Some("STOP".to_owned())),
                index: choice.index,
                grounding_metadata: std::mem::take(&mut choice.sources).metadata(),
                ..Candidate::default()
            })
            .collect();
        self.write(candidates, out);
        if self.is_list {
            out.put_u8(b']');
        }
    }

    /// Writes an error as the last element of a stream.
    pub fn fail(&mut self, error: &[u8], out: &mut BytesMut) {
        self.separate(out);
        out.put_slice(error);
        out.put_slice(if self.is_list { b"]" } else { b"\r\n\r\n" });
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = self.choices.iter().position(|choice| choice.index == index);
        let at = at.unwrap_or_else(|| {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    fn delta(&mut self, index: u32, delta: &Delta, out: &mut BytesMut) {
        if !matches!(delta, Delta::Arguments { .. }) {
            self.flush(index, out);
        }
        let choice = self.choice(index);
        let written = match delta {
            Delta::Text(text) => {
                choice.sources.said(text);
                words(text)
            }
            Delta::Refusal(text) => words(text),
            Delta::Thinking(text) => gemini::Part {
                thought: Some(true),
                ..words(text)
            },
            Delta::Signature(signature) if is_base64(signature) => gemini::Part {
                thought: Some(true),
                thought_signature: Some(signature.clone()),
                ..words("")
            },
            Delta::Call {
                id,
                name,
                signature,
                ..
            } => {
                choice.call = Some(ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    signature: signature.clone(),
                    ..ToolCall::default()
                });
                return;
            }
            Delta::Arguments { text, .. } => {
                if let Some(call) = &mut choice.call
                    && call.arguments.len() + text.len() <= MAX_ARGUMENTS_BYTES
                {
                    call.arguments.push_str(text);
                }
                return;
            }
            Delta::Annotation(source) => return choice.sources.add(source),
            Delta::Media(media) => match part(media) {
                Written::Part(part) => *part,
                Written::Nothing | Written::Malformed => return,
            },
            Delta::Other { dialect, value } => {
                let other = Part::Other {
                    dialect: *dialect,
                    value: value.clone(),
                };
                match part(&other) {
                    Written::Part(part) => *part,
                    Written::Nothing | Written::Malformed => return,
                }
            }
            Delta::Logprobs(value) => {
                let Some(result) = logprobs(value) else {
                    return;
                };
                let candidate = Candidate {
                    index,
                    logprobs_result: Some(result),
                    ..Candidate::default()
                };
                return self.write(vec![candidate], out);
            }
            Delta::Signature(_) | Delta::Redacted(_) | Delta::Rest(_) => return,
        };
        self.part(index, written, out);
    }

    /// Writes the call that is whole now.
    fn flush(&mut self, index: u32, out: &mut BytesMut) {
        let choice = self.choice(index);
        let Some(call) = choice.call.take() else {
            return;
        };
        match part(&Part::Call(call)) {
            Written::Part(part) => self.part(index, *part, out),
            Written::Malformed => {
                choice.finish = Some("MALFORMED_FUNCTION_CALL".to_owned());
            }
            Written::Nothing => {}
        }
    }

    fn part(&mut self, index: u32, part: gemini::Part, out: &mut BytesMut) {
        let candidate = Candidate {
            content: Some(Content {
                role: Some("model".to_owned()),
                parts: vec![part],
            }),
            index,
            ..Candidate::default()
        };
        self.write(vec![candidate], out);
    }

    fn write(&mut self, candidates: Vec<Candidate>, out: &mut BytesMut) {
        let response = Response {
            candidates,
            usage_metadata: self.usage.as_ref().map(usage),
            model_version: Some(self.model.clone()),
            response_id: Some(self.id.clone()),
            ..Response::default()
        };
        self.separate(out);
        // Writing to bytes in memory does not fail.
        let _ = serde_json::to_writer((&mut *out).writer(), &response);
        if !self.is_list {
            out.put_slice(b"\r\n\r\n");
        }
    }

    fn separate(&mut self, out: &mut BytesMut) {
        let begun = std::mem::replace(&mut self.begun, true);
        out.put_slice(match (self.is_list, begun) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        });
    }
}
