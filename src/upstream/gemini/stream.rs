//! Answers as they come: each event is an answer that holds what is new.
//!
//! Source: Google's API reference, `streamGenerateContent` with `alt=sse`. There is no closing
//! event: a stream is complete when every candidate has a finish reason.

use bytes::Bytes;
use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::response::{
    SIGNATURES, annotations, beside, blocked_rest, finish, logprobs, part_of, usage,
};
use super::told;
use crate::call::Usage;
use crate::call::chat::{Delta, Event, Finish, Part};
use crate::upstream::protocol::{Broken, Decoder};
use crate::wire::gemini::{Candidate, Response};
use crate::wire::sse::{self, Splitter, TooLong};

/// Longest event that is held: an image comes as one.
const MAX_EVENT_BYTES: usize = 32 << 20;
/// Longest turn whose words are held to count the places of its sources.
const MAX_SAID_BYTES: usize = 64 << 10;
/// Most candidates that are followed.
const MAX_CHOICES: usize = 64;

/// Reads a stream.
#[derive(Debug)]
pub(super) struct Reader {
    splitter: Splitter,
    started: bool,
    blocked: bool,
    id: Option<String>,
    usage: Option<Usage>,
    choices: SmallVec<[Choice; 1]>,
}

/// What is known of a turn that is not over.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    calls: u32,
    said: String,
    signatures: Vec<Value>,
    finished: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            started: false,
            blocked: false,
            id: None,
            usage: None,
            choices: SmallVec::new(),
        }
    }

    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let response: Response = serde_json::from_slice(data)
            .map_err(|_| Broken::Malformed("It is no answer of streamGenerateContent.".into()))?;
        if response.error.is_some() {
            return Err(Broken::Told(told::told(None, data)));
        }
        let used = usage(&response);
        if !self.started {
            self.started = true;
            self.id.clone_from(&response.response_id);
            events.push(Event::Start {
                id: response.response_id,
                model: response.model_version,
                usage: used,
            });
        }
        let mut rest = Map::new();
        for candidate in response.candidates {
            beside(&candidate, &mut rest);
            self.candidate(candidate, events)?;
        }
        if !rest.is_empty() {
            events.push(Event::Rest(rest));
        }
        if let Some(reason) = response.prompt_feedback.and_then(|told| told.block_reason)
            && self.choices.is_empty()
        {
            self.blocked = true;
            events.push(Event::Delta {
                choice: 0,
                delta: Delta::Rest(blocked_rest(reason)),
            });
            events.push(Event::Finish {
                choice: 0,
                finish: Finish::ContentFilter,
                stop_sequence: None,
            });
        }
        if let Some(mut used) = used.filter(|_| used != self.usage) {
            // Sources come with one event of many.
            let before = self.usage.map_or(0, |usage| usage.searches);
            used.searches = used.searches.max(before);
            self.usage = Some(used);
            events.push(Event::Usage(used));
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate, events: &mut Vec<Event>) -> Result<(), Broken> {
        let index = candidate.index;
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() == MAX_CHOICES => {
                return Err(Broken::Malformed("It has too many candidates.".into()));
            }
            None => {
                self.choices.push(Choice {
                    index,
                    ..Choice::default()
                });
                self.choices.len() - 1
            }
        };
        let choice = &mut self.choices[at];
        let mut push = |delta| {
            events.push(Event::Delta {
                choice: index,
                delta,
            });
        };
        for part in candidate.content.unwrap_or_default().parts {
            let read = part_of(part, self.id.as_deref(), index, choice.calls);
            choice.part(read, &mut push);
        }
        if let Some(result) = &candidate.logprobs_result {
            push(Delta::Logprobs(logprobs(result)));
        }
        if let Some(grounding) = &candidate.grounding_metadata {
            for source in annotations(grounding, &choice.said) {
                push(Delta::Annotation(source));
            }
        }
        if let Some(reason) = candidate.finish_reason.filter(|_| !choice.finished) {
            choice.finished = true;
            events.push(Event::Finish {
                choice: index,
                finish: finish(&reason, choice.calls > 0),
                stop_sequence: None,
            });
        }
        Ok(())
    }
}

impl Choice {
    fn part(&mut self, part: Option<Part>, push: &mut impl FnMut(Delta)) {
        match part {
            None => {}
            Some(Part::Text(text)) => {
                if self.said.len() + text.text.len() <= MAX_SAID_BYTES {
                    self.said.push_str(&text.text);
                }
                if !text.text.is_empty() {
                    push(Delta::Text(text.text));
                }
                if let Some(signature) = text.signature {
                    self.signatures.push(signature.into());
                    let all = Value::Array(self.signatures.clone());
                    push(Delta::Rest(Map::from_iter([(SIGNATURES.to_owned(), all)])));
                }
            }
            Some(Part::Thinking(thinking)) => {
                if !thinking.text.is_empty() {
                    push(Delta::Thinking(thinking.text));
                }
                if let Some(signature) = thinking.signature {
                    push(Delta::Signature(signature));
                }
            }
            Some(Part::Call(call)) => {
                let index = self.calls;
                self.calls += 1;
                push(Delta::Call {
                    index,
                    id: call.id,
                    name: call.name,
                    signature: call.signature,
                });
                push(Delta::Arguments {
                    index,
                    text: call.arguments,
                });
            }
            Some(Part::Other { dialect, value }) => push(Delta::Other { dialect, value }),
            Some(media) => push(Delta::Media(media)),
        }
    }
}

impl Decoder for Reader {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), Broken> {
        self.splitter.push(chunk);
        while let Some(event) = self
            .splitter
            .next_event()
            .map_err(|TooLong| Broken::TooLong)?
        {
            if let Some(data) = event.data() {
                self.event(&data, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        let last = self.splitter.finish();
        if let Some(data) = last.as_ref().and_then(sse::Event::data) {
            // Without its blank line an event may be cut: what is no JSON was.
            if serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_err() {
                return Err(Broken::Cut);
            }
            self.event(&data, events)?;
        }
        let complete = self.blocked
            || !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished);
        if complete { Ok(()) } else { Err(Broken::Cut) }
    }
}
