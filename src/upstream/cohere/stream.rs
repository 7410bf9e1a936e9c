//! Cohere's events.
//!
//! Source: Cohere's API reference, v2, "Chat with Streaming". A message begins with
//! `message-start` and ends with `message-end`; between them each block of content, the plan, each
//! call and each citation has events of its own.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::citations::{annotations, is_of_words, logprobs};
use super::{refusal, response, usage};
use crate::call::chat::{Delta, Event};
use crate::upstream::protocol::{Broken, Decoder, Told};
use crate::wire::sse::{self, Splitter, TooLong};

/// Longest event that is held.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// Reads the events of one stream.
#[derive(Debug)]
pub(super) struct Events {
    splitter: Splitter,
    /// How many calls have begun.
    calls: u32,
    citations: Vec<Value>,
    ended: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            calls: 0,
            citations: Vec::new(),
            ended: false,
        }
    }
}

impl Decoder for Events {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), Broken> {
        self.splitter.push(chunk);
        while let Some(event) = self
            .splitter
            .next_event()
            .map_err(|TooLong| Broken::TooLong)?
        {
            self.read(&event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        if let Some(event) = self.splitter.finish() {
            self.read(&event, events)?;
        }
        if self.ended { Ok(()) } else { Err(Broken::Cut) }
    }
}

impl Events {
    fn read(&mut self, event: &sse::Event, events: &mut Vec<Event>) -> Result<(), Broken> {
        let Some(data) = event.data() else {
            return Ok(());
        };
        if self.ended || &*data == b"[DONE]" {
            return Ok(());
        }
        let mut value: Value = serde_json::from_slice(&data)
            .map_err(|_| Broken::Malformed("An event is no JSON.".into()))?;
        let Some(kind) = value["type"].as_str() else {
            return Err(untyped(&value));
        };
        let delta = &value["delta"];
        let message = &delta["message"];
        match kind {
            "message-start" => events.push(Event::Start {
                id: value["id"].as_str().map(str::to_owned),
                model: None,
                usage: None,
            }),
            "content-start" | "content-delta" => {
                content(&message["content"], events);
                if value["logprobs"].is_object() {
                    let logprobs = logprobs(std::iter::once(&value["logprobs"]));
                    events.push(said(Delta::Logprobs(logprobs)));
                }
            }
            "tool-plan-delta" => {
                let plan = message["tool_plan"].as_str().unwrap_or_default();
                push(events, plan, Delta::Thinking);
            }
            "tool-call-start" => {
                let call = &message["tool_calls"];
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let index = self.calls;
                self.calls += 1;
                events.push(said(Delta::Call {
                    index,
                    id: text(&call["id"]),
                    name: text(&call["function"]["name"]),
                    signature: None,
                }));
                arguments(index, &call["function"], events);
            }
            "tool-call-delta" => {
                let index = self.calls.checked_sub(1).ok_or(Broken::Malformed(
                    "Arguments come before the call that they are of.".into(),
                ))?;
                arguments(index, &message["tool_calls"]["function"], events);
            }
            "citation-start" => {
                let citation = value["delta"]["message"]["citations"].take();
                if is_of_words(&citation) {
                    let annotations = annotations(&citation).into_iter();
                    events.extend(annotations.map(|one| said(Delta::Annotation(one))));
                }
                self.citations.push(citation);
            }
            "message-end" => self.end(delta, events)?,
            // Ends of blocks say nothing new; nor does what Cohere may add.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, delta: &Value, events: &mut Vec<Event>) -> Result<(), Broken> {
        self.ended = true;
        if let Some(message) = delta["error"].as_str() {
            return Err(broken(message));
        }
        let reason = delta["finish_reason"].as_str().unwrap_or("COMPLETE");
        let finish = response::finish(reason).map_err(|unreadable| broken(&unreadable.0))?;
        if !self.citations.is_empty() {
            let citations = std::mem::take(&mut self.citations);
            let rest = Map::from_iter([("citations".to_owned(), json!(citations))]);
            events.push(said(Delta::Rest(rest)));
        }
        events.push(Event::Finish {
            choice: 0,
            finish,
            stop_sequence: None,
        });
        events.extend(usage(&delta["usage"]).map(Event::Usage));
        Ok(())
    }
}

fn said(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

fn push(events: &mut Vec<Event>, text: &str, delta: fn(String) -> Delta) {
    if !text.is_empty() {
        events.push(said(delta(text.to_owned())));
    }
}

fn content(block: &Value, events: &mut Vec<Event>) {
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    push(events, text("thinking"), Delta::Thinking);
    push(events, text("text"), Delta::Text);
}

fn arguments(index: u32, function: &Value, events: &mut Vec<Event>) {
    match function["arguments"].as_str() {
        None | Some("") => {}
        Some(text) => events.push(said(Delta::Arguments {
            index,
            text: text.to_owned(),
        })),
    }
}

/// An event without a type is an error's body, or nothing that can be read.
fn untyped(value: &Value) -> Broken {
    match value["message"].as_str() {
        Some(message) => broken(message),
        None => Broken::Malformed("An event has no type.".into()),
    }
}

fn broken(message: &str) -> Broken {
    Broken::Told(Told {
        message: Some(message.to_owned()),
        status: Some(StatusCode::INTERNAL_SERVER_ERROR),
        kind: refusal(message),
        ..Told::default()
    })
}
