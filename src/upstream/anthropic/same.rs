//! Messages that pass through: callers who speak Anthropic's dialect to Anthropic.
//!
//! The model's name is put back to what the caller asked for, usage is read, and every other byte is
//! left.

use bytes::{Bytes, BytesMut};

use super::response::{fault, usage};
use crate::call::{Said, Shown, Usage};
use crate::upstream::openai::response::asked_literal;
use crate::upstream::progress::Progress;
use crate::upstream::protocol::Broken;
use crate::wire::anthropic;
use crate::wire::json::{self, Member};
use crate::wire::sse::{Event, Splitter, TooLong};

/// Longest event that is held.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// Reads `usage` of a whole message.
pub(crate) fn read_usage(text: &[u8]) -> Option<Usage> {
    let figures = serde_json::from_slice::<anthropic::Usage>(text).ok()?;
    Some(usage(&figures))
}

/// Passes the events of one stream on.
#[derive(Debug)]
pub struct Restamp {
    splitter: Splitter,
    asked: Vec<u8>,
    figures: anthropic::Usage,
    progress: Progress,
    said: Said,
    shown: Shown,
    /// Whether a block that is no block of words is open.
    inside: bool,
}

impl Restamp {
    /// Puts `asked` where Anthropic names its model.
    pub fn new(asked: &str) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            asked: asked_literal(asked),
            figures: anthropic::Usage::default(),
            progress: Progress::default(),
            said: Said::default(),
            shown: Shown::default(),
            inside: false,
        }
    }

    /// What there was so far.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What was said.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// What the caller has, but for the words; `None` within a thought, which only whoever began it
    /// can sign.
    pub fn shown(&self) -> Option<Shown> {
        (!self.inside).then(|| self.shown.clone())
    }

    /// Takes a chunk of bytes; returns what may go to the caller now, possibly nothing. On an
    /// error, what came before it in the chunk is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        self.splitter.push(chunk);
        while let Some(event) = self
            .splitter
            .next_event()
            .map_err(|TooLong| Broken::TooLong)?
        {
            self.take(&event, out)?;
        }
        Ok((!out.is_empty()).then(|| out.split().freeze()))
    }

    /// The stream has ended. An error if the message is not complete.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        if let Some(event) = self.splitter.finish() {
            // The beginning of an event that never came is not shown.
            if event.data().is_some() {
                self.take(&event, out)?;
                out.extend_from_slice(b"\n\n");
            }
        }
        if self.progress.done || !self.progress.started {
            Ok(())
        } else {
            Err(Broken::Cut)
        }
    }

    fn take(&mut self, event: &Event, out: &mut BytesMut) -> Result<(), Broken> {
        let Some(data) = event.data() else {
            out.extend_from_slice(&event.raw);
            return Ok(());
        };
        let mut found = Found::default();
        json::members(&data, |member| found.note(&data, member))
            .map_err(|_| Broken::Malformed("An event is no JSON object.".into()))?;
        match found.kind.map_or(b"" as &[u8], |kind| kind.value(&data)) {
            b"\"message_start\"" => {
                if let Some(message) = found.message {
                    let inner = message.value(&data);
                    let mut model = None;
                    self.shown.begun = true;
                    let read = json::members(inner, |member| match member.raw_name(inner) {
                        b"id" => {
                            self.shown.id = json::string(member.value(inner)).map(String::from);
                        }
                        b"model" => model = Some(member),
                        b"usage" => self.add(member.value(inner)),
                        _ => {}
                    });
                    if let (Ok(_), Some(model)) = (read, model) {
                        let at = message.value_start;
                        let range = at + model.value_start..at + model.end;
                        event.write_changed(&data, &[(range, self.asked.clone())], out);
                        return Ok(());
                    }
                }
            }
            b"\"content_block_start\"" => {
                self.progress.started = true;
                self.open(found.block.map_or(b"" as &[u8], |block| block.value(&data)));
            }
            b"\"content_block_delta\"" => {
                self.progress.started = true;
                self.note(found.delta.map_or(b"" as &[u8], |delta| delta.value(&data)));
            }
            b"\"content_block_stop\"" => {
                self.shown.blocks += 1;
                self.shown.open = false;
                self.inside = false;
            }
            b"\"message_delta\"" => {
                self.progress.started = true;
                self.progress.finished = true;
                if let Some(figures) = found.usage {
                    self.add(figures.value(&data));
                    self.progress.counted = true;
                }
            }
            b"\"message_stop\"" => self.progress.done = true,
            b"\"error\"" => {
                let told: Option<anthropic::Refused> = serde_json::from_slice(&data).ok();
                let told = told.map(|refused| fault(refused.error)).unwrap_or_default();
                return Err(Broken::Told(told));
            }
            _ => {}
        }
        out.extend_from_slice(&event.raw);
        Ok(())
    }

    /// A block begins.
    fn open(&mut self, block: &[u8]) {
        match kind(block) {
            b"\"text\"" => self.shown.open = true,
            b"\"thinking\"" | b"\"redacted_thinking\"" => self.inside = true,
            _ => self.said.close(0),
        }
    }

    /// More of a block.
    fn note(&mut self, delta: &[u8]) {
        let (mut text, mut other) = (None, 0);
        // It is part of what was read as JSON before.
        let _ = json::members(delta, |member| {
            let value = member.value(delta);
            match member.raw_name(delta) {
                b"text" => text = json::string(value),
                b"thinking" | b"partial_json" => other = value.len().saturating_sub(2),
                _ => {}
            }
        });
        match text {
            Some(text) => self.said.say(&text),
            None => self.said.think(other),
        }
    }

    fn add(&mut self, figures: &[u8]) {
        if let Ok(figures) = serde_json::from_slice::<anthropic::Usage>(figures) {
            self.figures.and_then(figures);
            self.progress.usage = Some(usage(&self.figures));
        }
    }
}

/// The members of an event that the gateway looks at.
#[derive(Default)]
struct Found {
    kind: Option<Member>,
    message: Option<Member>,
    usage: Option<Member>,
    block: Option<Member>,
    delta: Option<Member>,
}

impl Found {
    fn note(&mut self, text: &[u8], member: Member) {
        match member.raw_name(text) {
            b"type" => self.kind = Some(member),
            b"message" => self.message = Some(member),
            b"usage" => self.usage = Some(member),
            b"content_block" => self.block = Some(member),
            b"delta" => self.delta = Some(member),
            _ => {}
        }
    }
}

/// The `type` of an object.
fn kind(object: &[u8]) -> &[u8] {
    let mut kind = b"" as &[u8];
    let _ = json::members(object, |member| {
        if member.raw_name(object) == b"type" {
            kind = member.value(object);
        }
    });
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg\",\"model\":\"claude-x\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"claude-x \u{2028}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    #[test]
    fn only_the_model_changes_wherever_the_stream_is_cut() {
        let expected = STREAM.replacen("claude-x", "mine", 1);
        for cut in 0..=STREAM.len() {
            let mut restamp = Restamp::new("mine");
            let (mut out, mut all) = (BytesMut::new(), Vec::new());
            let (first, second) = STREAM.as_bytes().split_at(cut);
            for chunk in [first, second] {
                let bytes = restamp
                    .push(Bytes::copy_from_slice(chunk), &mut out)
                    .unwrap();
                all.extend_from_slice(&bytes.unwrap_or_default());
            }
            restamp.finish(&mut out).unwrap();
            all.extend_from_slice(&out);
            assert_eq!(String::from_utf8(all).unwrap(), expected, "cut at {cut}");
            let usage = restamp.progress().usage.unwrap();
            assert_eq!(
                (usage.prompt, usage.cache_read, usage.completion),
                (15, 5, 7)
            );
        }
    }

    #[test]
    fn an_error_and_a_cut_are_told() {
        let mut restamp = Restamp::new("mine");
        let mut out = BytesMut::new();
        let half = &STREAM[..STREAM.find("event: content_block_stop").unwrap()];
        restamp
            .push(Bytes::from_static(half.as_bytes()), &mut out)
            .unwrap();
        assert_eq!(restamp.finish(&mut out), Err(Broken::Cut));
        let error = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        let told = Restamp::new("mine").push(Bytes::from_static(error), &mut out);
        let Err(Broken::Told(told)) = told else {
            panic!()
        };
        assert_eq!(told.status.unwrap(), 529);
    }
}
