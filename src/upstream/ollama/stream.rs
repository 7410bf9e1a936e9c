//! Ollama's streams: an object a line, the last of which is `done`.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::response::{calls, filled, finish, logprobs, usage};
use super::told;
use crate::call::chat::{Delta, Event};
use crate::upstream::protocol::{Broken, Decoder, Told};
use crate::wire::lines::{Lines, TooLong};

/// Longest line that is held.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Reads the pieces of one stream.
#[derive(Debug)]
pub(super) struct Pieces {
    lines: Lines,
    /// How many calls there were.
    calls: u32,
    started: bool,
    ended: bool,
}

impl Default for Pieces {
    fn default() -> Self {
        Self {
            lines: Lines::new(MAX_LINE_BYTES),
            calls: 0,
            started: false,
            ended: false,
        }
    }
}

impl Decoder for Pieces {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<Event>) -> Result<(), Broken> {
        self.lines.push(&chunk);
        while let Some(line) = self.lines.next_line().map_err(|TooLong| Broken::TooLong)? {
            self.read(&line, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Broken> {
        if let Some(line) = self.lines.finish() {
            // A line that was cut is no JSON, and says no more than that.
            let cut = self.read(&line, events);
            if matches!(cut, Err(Broken::Malformed(_))) {
                return Err(Broken::Cut);
            }
            cut?;
        }
        if self.ended { Ok(()) } else { Err(Broken::Cut) }
    }
}

impl Pieces {
    fn read(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        if self.ended {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(line)
            .map_err(|_| Broken::Malformed("A line is no JSON.".into()))?;
        if !value["error"].is_null() {
            return Err(Broken::Told(Told {
                status: Some(StatusCode::INTERNAL_SERVER_ERROR),
                ..told(&value)
            }));
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start {
                id: None,
                model: filled(&value["model"]).map(str::to_owned),
                usage: None,
            });
        }
        let message = &value["message"];
        let mut say = |delta| events.push(Event::Delta { choice: 0, delta });
        if let Some(text) = filled(&message["thinking"]) {
            say(Delta::Thinking(text.to_owned()));
        }
        if let Some(text) = filled(&message["content"]) {
            say(Delta::Text(text.to_owned()));
        }
        for call in calls(&value, self.calls) {
            let index = self.calls;
            self.calls += 1;
            say(Delta::Call {
                index,
                id: call.id,
                name: call.name,
                signature: None,
            });
            say(Delta::Arguments {
                index,
                text: call.arguments,
            });
        }
        if let Some(logprobs) = logprobs(&value) {
            say(Delta::Logprobs(logprobs));
        }
        if value["done"] == true {
            self.ended = true;
            events.push(Event::Finish {
                choice: 0,
                finish: finish(&value, self.calls > 0),
                stop_sequence: None,
            });
            events.extend(usage(&value).map(Event::Usage));
        }
        Ok(())
    }
}
