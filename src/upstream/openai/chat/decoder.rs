//! An answer as it comes.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::response::told_as_success;
use super::response::{CallIn, Extras, MessageIn, finish, settle, text_of, usage};
use crate::call::Dialect;
use crate::call::chat::{Delta, Event, Part};
use crate::upstream::openai::quirks::{Vendor, tells_filters, words};
use crate::upstream::protocol::{Broken, Decoder};
use crate::wire::sse::{self, Splitter, TooLong};

/// Longest event that is held.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// Reads chunks. Holds at most one event.
#[derive(Debug)]
pub(super) struct Chunks {
    vendor: Vendor,
    splitter: Splitter,
    begun: bool,
    done: bool,
    finished: bool,
    /// The calls of each choice that have begun, by what the provider calls their place.
    calls: Vec<(u32, u64)>,
    sources: usize,
}

impl Chunks {
    /// Of this vendor's.
    pub(super) fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            splitter: Splitter::new(MAX_EVENT_BYTES),
            begun: false,
            done: false,
            finished: false,
            calls: Vec::new(),
            sources: 0,
        }
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    id: Option<String>,
    model: Option<String>,
    choices: Option<Vec<ChoiceIn>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<OfGroq<'a>>,
    error: Option<&'a RawValue>,
    citations: Option<Vec<Value>>,
    search_results: Option<Value>,
}

/// What Groq tells beside, and not every time in OpenAI's place.
#[derive(Deserialize)]
struct OfGroq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChoiceIn {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: MessageIn,
    finish_reason: Option<String>,
    logprobs: Option<Value>,
}

impl Decoder for Chunks {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), Broken> {
        self.splitter.push(chunk);
        while let Some(event) = self
            .splitter
            .next_event()
            .map_err(|TooLong| Broken::TooLong)?
        {
            if let Some(data) = event.data() {
                self.take(&data, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        if let Some(data) = self.splitter.finish().as_ref().and_then(sse::Event::data) {
            self.take(&data, events)?;
        }
        if self.done || self.finished {
            Ok(())
        } else {
            Err(Broken::Cut)
        }
    }
}

impl Chunks {
    fn take(&mut self, data: &[u8], out: &mut Vec<Event>) -> Result<(), Broken> {
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data)
            .map_err(|_| Broken::Malformed("An event cannot be read.".into()))?;
        if chunk.error.is_some() {
            return Err(Broken::Told(told_as_success(data).unwrap_or_default()));
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        let filters = choices.is_empty() && tells_filters(data);
        if !self.begun && !filters {
            self.begun = true;
            out.push(Event::Start {
                id: chunk.id,
                model: chunk.model,
                usage: None,
            });
        }
        for choice in chunk.choices.into_iter().flatten() {
            self.choice(choice, out);
        }
        let extras = Extras::of_search(chunk.citations, chunk.search_results);
        // Perplexity sends all of them with every chunk.
        if self.sources == 0 {
            let rest = extras.rest();
            if !rest.is_empty() {
                self.sources = rest.len();
                out.push(Event::Rest(rest));
            }
        }
        let of_groq = chunk.x_groq.and_then(|groq| groq.usage);
        let told = chunk.usage.or(of_groq);
        let told = told.and_then(|raw| usage(self.vendor, raw));
        out.extend(told.map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, choice: ChoiceIn, out: &mut Vec<Event>) {
        let at = choice.index;
        let mut say = |delta| out.push(Event::Delta { choice: at, delta });
        let new = choice.delta;
        let (said, mut thought) = words(&new.content);
        thought.push_str(
            &new.reasoning_content
                .or(text_of(new.reasoning))
                .unwrap_or_default(),
        );
        if !thought.is_empty() {
            say(Delta::Thinking(thought));
        }
        if !said.is_empty() {
            say(Delta::Text(said));
        }
        if let Some(refusal) = new.refusal.filter(|refusal| !refusal.is_empty()) {
            say(Delta::Refusal(refusal));
        }
        for source in new.annotations.into_iter().flatten() {
            say(Delta::Annotation(source));
        }
        if let Some(audio) = new.audio.and_then(super::response::AudioIn::read) {
            say(Delta::Media(Part::Audio(audio)));
        }
        for image in new.images.into_iter().flatten() {
            say(Delta::Media(Part::Image(image.read())));
        }
        for call in new.tool_calls.into_iter().flatten() {
            self.call(at, call, &mut say);
        }
        if let Some(function) = new.function_call {
            let id = function.name.clone();
            let call = CallIn {
                index: Some(0),
                id,
                function: Some(function),
                custom: None,
            };
            self.call(at, call, &mut say);
        }
        if let Some(logprobs) = choice.logprobs.filter(|logprobs| !logprobs.is_null()) {
            say(Delta::Logprobs(logprobs));
        }
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            let calls = self.calls.iter().any(|(choice, _)| *choice == at);
            self.finished = true;
            out.extend(
                settle(Some(finish(&word)), calls).map(|finish| Event::Finish {
                    choice: at,
                    finish,
                    stop_sequence: None,
                }),
            );
        }
    }

    /// A call that begins, more of one, or, as some servers have it, a whole one.
    fn call(&mut self, choice: u32, call: CallIn, say: &mut impl FnMut(Delta)) {
        if let Some(custom) = call.custom {
            let value = serde_json::json!({
                "index": call.index, "id": call.id, "type": "custom", "custom": custom,
            });
            return say(Delta::Other {
                dialect: Dialect::OpenAi,
                value,
            });
        }
        let function = call.function.unwrap_or_default();
        let of_choice = |calls: &[(u32, u64)]| {
            let count = calls.iter().filter(|(known, _)| *known == choice).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let mut of_this = self.calls.iter().filter(|(known, _)| *known == choice);
        // Without a place, what has a name begins a call, and what has none goes on with the last.
        let known = match call.index {
            Some(index) => of_this.position(|(_, known)| *known == index),
            None if function.name.is_some() => None,
            None => of_this.count().checked_sub(1),
        };
        let index = if let Some(place) = known {
            u32::try_from(place).unwrap_or(u32::MAX)
        } else {
            let place = of_choice(&self.calls);
            self.calls
                .push((choice, call.index.unwrap_or(place.into())));
            say(Delta::Call {
                index: place,
                id: call.id.unwrap_or_else(|| format!("call_{place}")),
                name: function.name.unwrap_or_default(),
                signature: None,
            });
            place
        };
        if let Some(text) = text_of(Some(function.arguments)).filter(|text| !text.is_empty()) {
            say(Delta::Arguments { index, text });
        }
    }
}

impl Extras {
    fn of_search(citations: Option<Vec<Value>>, search_results: Option<Value>) -> Self {
        Self {
            citations,
            search_results,
            ..Self::default()
        }
    }
}
