//! A stream of chunks: event in, event out, with the model's name put back and usage read.
//!
//! Source: OpenAI API reference, "Streaming". With `stream_options.include_usage` the last chunk
//! before `[DONE]` has empty `choices` and the `usage` of the whole; if only the gateway asked for
//! it, the caller does not see it. Streams of audio and images ("Audio", "Images") have events with
//! a `type` and no `[DONE]`.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::quirks::{Vendor, tells_filters};
use super::response::{Found, asked_literal, drawn, read_usage, told_as_success};
use super::said;
use crate::call::{Said, Shown, Usage};
use crate::upstream::progress::Progress;
use crate::upstream::protocol::Broken;
use crate::wire::json::{self, Member};
use crate::wire::sse::{Event, Splitter, TooLong};

/// Longest event that is held.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// Rewrites the events of one stream.
#[derive(Debug)]
pub struct Rewriter {
    splitter: Splitter,
    asked: Vec<u8>,
    strips_usage: bool,
    /// Whose it is, and whether it is a chat's.
    vendor: Vendor,
    /// Its events have names, so that no `[DONE]` is to be expected.
    named: bool,
    progress: Progress,
    said: Said,
    shown: Shown,
}

impl Rewriter {
    /// Puts `asked` where the provider names its model; `strips_usage` keeps the usage chunk from
    /// a caller who did not ask for it.
    pub fn new(asked: &str, strips_usage: bool) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            asked: asked_literal(asked),
            strips_usage,
            vendor: Vendor::OpenAi,
            named: false,
            progress: Progress::default(),
            said: Said::default(),
            shown: Shown::default(),
        }
    }

    /// The same for the chat of a vendor, which may say things otherwise than OpenAI.
    #[must_use]
    pub fn of(self, vendor: Vendor) -> Self {
        Self { vendor, ..self }
    }

    /// What there was so far.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether it ends without `[DONE]`.
    pub fn ends_without_mark(&self) -> bool {
        self.named
    }

    /// What was said.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// What the caller has, but for the words.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// Takes a chunk of bytes; returns what may go to the caller now, possibly nothing. Bytes that
    /// need no change are not copied. On an error, what came before it in the chunk is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        // While every event of this chunk stays as it is, `kept` of its bytes go on as one slice.
        let mut untouched = (!self.splitter.is_inside_event()).then(|| chunk.clone());
        let mut kept = 0;
        self.splitter.push(chunk);
        loop {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(TooLong) => {
                    if let Some(chunk) = untouched.take() {
                        out.extend_from_slice(&chunk[..kept]);
                    }
                    return Err(Broken::TooLong);
                }
            };
            let verdict = self.judge(&event);
            if matches!(verdict, Ok(Verdict::Keep)) && untouched.is_some() {
                kept += event.raw.len();
                continue;
            }
            if let Some(chunk) = untouched.take() {
                out.extend_from_slice(&chunk[..kept]);
            }
            self.apply(&event, verdict?, out);
        }
        match untouched {
            Some(chunk) => Ok((kept > 0).then(|| chunk.slice(..kept))),
            None => Ok((!out.is_empty()).then(|| out.split().freeze())),
        }
    }

    /// The stream has ended; an event without its blank line is taken as whole.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        if let Some(event) = self.splitter.finish() {
            // The rest of a line end that was cut in two belongs to the event before.
            if event.raw.iter().all(|byte| matches!(byte, b'\n' | b'\r')) {
                out.extend_from_slice(&event.raw);
                return Ok(());
            }
            let verdict = self.judge(&event)?;
            self.apply(&event, verdict, out);
            out.extend_from_slice(b"\n\n");
        }
        Ok(())
    }

    /// Reads an event and says how the caller gets it.
    fn judge(&mut self, event: &Event) -> Result<Verdict, Broken> {
        let Some(data) = event.data() else {
            return Ok(Verdict::Keep);
        };
        if &*data == b"[DONE]" {
            self.progress.done = true;
            return Ok(Verdict::Keep);
        }
        let mended = self.vendor.mend(&data);
        let data = mended.as_deref().map_or(data, Cow::Borrowed);
        let mut found = Found::default();
        json::members(&data, |member| found.note(&data, member))
            .map_err(|_| Broken::Malformed("An event is no JSON object.".into()))?;
        if found.error.is_some() {
            let told = told_as_success(&data).unwrap_or_default();
            return Err(Broken::Told(told));
        }
        let choices = found
            .choices
            .map_or(b"" as &[u8], |member| member.value(&data));
        let filters = is_empty_list(choices) && tells_filters(&data);
        self.progress.started |= !filters;
        if !filters && self.shown.id.is_none() {
            said::begin(&data, &mut self.shown);
        }
        self.progress.finished |= said::note(choices, &mut self.said, &mut self.shown);
        let mut usage = found
            .usage
            .and_then(|usage| self.read_usage(usage.value(&data)));
        if usage.is_none() && self.vendor == Vendor::Groq {
            let of_groq = found
                .x_groq
                .and_then(|groq| json::member(groq.value(&data), b"usage"));
            usage = of_groq.and_then(read_usage);
        }
        if let Some(kind) = found.kind {
            let kind = kind.value(&data);
            self.named = true;
            let ends = kind.ends_with(b".done\"") || kind.ends_with(b".completed\"");
            self.progress.finished |= ends;
            if ends && kind.starts_with(b"\"image_") {
                usage = Some(self.draw(usage));
            }
        }
        if let Some(usage) = usage {
            self.progress.usage = Some(usage);
            self.progress.counted = true;
            if self.strips_usage && is_empty_list(choices) {
                return Ok(Verdict::Drop);
            }
        }
        let Some(model) = found.model.filter(|model| model.value(&data) != self.asked) else {
            return Ok(mended.map_or(Verdict::Keep, |data| Verdict::Data(data.to_vec())));
        };
        if mended.is_some() {
            return Ok(Verdict::Data(self.renamed(&data, &model)));
        }
        if let Some(start) = event.place(&data) {
            return Ok(Verdict::Model(start + model.value_start..start + model.end));
        }
        Ok(Verdict::Data(self.renamed(&data, &model)))
    }

    /// The data with the name that was asked for, on one line.
    fn renamed(&self, data: &[u8], model: &Member) -> Vec<u8> {
        let mut joined = Vec::with_capacity(data.len() + self.asked.len());
        for part in [&data[..model.value_start], &self.asked, &data[model.end..]] {
            joined.extend(
                part.iter()
                    .map(|byte| if *byte == b'\n' { b' ' } else { *byte }),
            );
        }
        joined
    }

    fn read_usage(&self, text: &[u8]) -> Option<Usage> {
        let read = read_usage(text)?;
        Some(Usage {
            cost: self.vendor.cost(text),
            ..read
        })
    }

    /// What there was with one image more. Each says what it took by itself; of one that does not, it
    /// counts that it is there.
    fn draw(&self, told: Option<Usage>) -> Usage {
        let before = self.progress.usage.unwrap_or_default();
        let image = match told.filter(|told| told.total() > 0) {
            Some(told) => drawn(told),
            None => Usage {
                images: 1,
                ..Usage::default()
            },
        };
        before.and(&image)
    }

    fn apply(&self, event: &Event, verdict: Verdict, out: &mut BytesMut) {
        match verdict {
            Verdict::Keep => out.extend_from_slice(&event.raw),
            Verdict::Drop => {}
            Verdict::Model(range) => {
                out.reserve(event.raw.len() + self.asked.len());
                out.extend_from_slice(&event.raw[..range.start]);
                out.extend_from_slice(&self.asked);
                out.extend_from_slice(&event.raw[range.end..]);
            }
            Verdict::Data(data) => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&data);
                out.extend_from_slice(b"\n\n");
            }
        }
    }
}

/// How the caller gets an event.
enum Verdict {
    /// As it is.
    Keep,
    /// Not at all.
    Drop,
    /// With another name in this stretch of it.
    Model(Range<usize>),
    /// With this data on one line.
    Data(Vec<u8>),
}

fn is_empty_list(text: &[u8]) -> bool {
    matches!(text, [b'[', middle @ .., b']'] if middle.iter().all(u8::is_ascii_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        ": hello\n\n",
        "data: {\"id\":\"1\",\"model\":\"gpt-4o-2024\",\"choices\":[{\"delta\":{\"content\":\"say \\\"finish_reason\\\":\\\"x\\\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"id\":\"1\",\"model\":\"gpt-4o-2024\",\"choices\":[{\"delta\":{},\"finish_reason\": \"stop\"}],\"usage\":null}\n\n",
        "data: {\"id\":\"1\",\"model\":\"gpt-4o-2024\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
        "data: [DONE]\n\n",
    );

    fn run(stream: &str, asked: &str, strips: bool, size: usize) -> (String, Progress) {
        let mut rewriter = Rewriter::new(asked, strips);
        let (mut out, mut all) = (BytesMut::new(), Vec::new());
        for chunk in stream.as_bytes().chunks(size) {
            if let Some(bytes) = rewriter
                .push(Bytes::copy_from_slice(chunk), &mut out)
                .unwrap()
            {
                all.extend_from_slice(&bytes);
            }
        }
        rewriter.finish(&mut out).unwrap();
        all.extend_from_slice(&out);
        (String::from_utf8(all).unwrap(), rewriter.progress())
    }

    #[test]
    fn only_the_model_changes_at_every_chunk_size() {
        let expected = STREAM.replace("gpt-4o-2024", "mine \\\"1\\\"");
        for size in 1..=STREAM.len() {
            let (text, progress) = run(STREAM, "mine \"1\"", false, size);
            assert_eq!(text, expected, "chunks of {size}");
            assert!(progress.done && progress.finished);
            assert_eq!(progress.usage.unwrap().total(), 7);
        }
    }

    #[test]
    fn the_usage_chunk_is_kept_from_a_caller_who_did_not_ask() {
        let without: String = STREAM
            .split_inclusive("\n\n")
            .filter(|event| !event.contains("prompt_tokens"))
            .collect();
        for size in 1..=STREAM.len() {
            assert_eq!(run(STREAM, "gpt-4o-2024", true, size).0, without);
        }
    }

    #[test]
    fn named_events_end_with_the_last_of_them() {
        let stream = concat!(
            "event: transcript.text.delta\ndata: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n",
            "event: transcript.text.done\ndata: {\"type\":\"transcript.text.done\",\"text\":\"a\",",
            "\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"output_tokens\":5}}\n\n",
        );
        for size in 1..=stream.len() {
            let (text, progress) = run(stream, "mine", true, size);
            assert_eq!(text, stream);
            assert!(progress.finished);
            assert_eq!(progress.usage.unwrap().total(), 19);
        }
        assert!(!run(&stream[..90], "mine", true, 90).1.finished);
    }

    #[test]
    fn what_azures_filters_say_of_the_prompt_begins_nothing() {
        let filter = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\
            \"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{}}]}\n\n";
        let mut rewriter = Rewriter::new("mine", false);
        let mut out = BytesMut::new();
        let first = rewriter.push(Bytes::from(filter), &mut out).unwrap();
        assert!(first.unwrap().starts_with(b"data: {\"choices\":[]"));
        assert!(!rewriter.progress().started);
        rewriter
            .push(Bytes::from_static(STREAM.as_bytes()), &mut out)
            .unwrap();
        assert!(rewriter.progress().started);
        assert_eq!(rewriter.shown().id.as_deref(), Some("1"));
    }

    #[test]
    fn an_unchanged_chunk_is_not_copied() {
        let chunk = Bytes::from_static(STREAM.as_bytes());
        let mut rewriter = Rewriter::new("gpt-4o-2024", false);
        let out = rewriter
            .push(chunk.clone(), &mut BytesMut::new())
            .unwrap()
            .unwrap();
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
    }

    #[test]
    fn an_error_and_nonsense_are_told_apart() {
        let told = Bytes::from_static(b"data: {\"error\":{\"message\":\"x\"}}\n\n");
        let mut out = BytesMut::new();
        assert!(matches!(
            Rewriter::new("m", false).push(told, &mut out),
            Err(Broken::Told(_))
        ));
        let nonsense = Bytes::from_static(b"data: {\"choices\":[\n\n");
        assert!(matches!(
            Rewriter::new("m", false).push(nonsense, &mut out),
            Err(Broken::Malformed(_))
        ));
    }

    #[test]
    fn data_in_several_lines_is_one_event() {
        let (text, _) = run(
            "data: {\"model\":\"a\",\ndata: \"x\":1}\n\n",
            "b",
            false,
            100,
        );
        assert_eq!(text, "data: {\"model\":\"b\", \"x\":1}\n\n");
    }
}
