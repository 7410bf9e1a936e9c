//! What a stream passes through on its way to the caller.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pointsman_routes::table::DeploymentId;

use super::anthropic::same::Restamp;
use super::gemini;
use super::openai::audio::Speech;
use super::openai::quirks::Vendor;
use super::openai::responses;
use super::openai::stream::Rewriter;
use super::progress::Progress;
use super::protocol::{Broken, Decoder};
use crate::call::chat::{Delta, Event};
use crate::call::{Call, Dialect, Said, Shown, Usage};
use crate::dialect::{self, Encoder};
use crate::error::Failure;

/// What a stream passes through.
#[derive(Debug)]
pub enum Passage {
    /// The caller speaks as the provider does: OpenAI's chunks.
    Same(Rewriter),
    /// The caller speaks as the provider does: Anthropic's events.
    Messages(Restamp),
    /// The caller speaks as the provider does: Gemini's events.
    Contents(gemini::same::Restamp),
    /// The caller speaks as the provider does: the events of OpenAI's responses.
    Responses(Box<responses::Restamp>),
    /// From one dialect to another, through the one form.
    Other(Box<Translation>),
    /// Bytes that are no text, such as audio. Nothing can be told in them.
    Bytes(Progress, Box<Speech>),
}

/// A stream on its way from one dialect to another.
#[derive(Debug)]
pub struct Translation {
    decoder: Box<dyn Decoder>,
    encoder: Encoder,
    events: Vec<Event>,
    progress: Progress,
    said: Said,
    goes_on: Option<GoesOn>,
}

/// What there was of the stream before it broke.
#[derive(Debug)]
struct GoesOn {
    usage: Usage,
    /// The blank that the words ended in. Not every provider is shown it, so it may come again.
    blank: String,
    /// What the caller is told of it at the end.
    mark: String,
}

impl Passage {
    /// Chunks that stay as they are, but for the model's name and usage that nobody asked for.
    pub fn same(call: &Call, vendor: Vendor) -> Self {
        Self::Same(Rewriter::new(call.name(), !tells_usage(call)).of(vendor))
    }

    /// Events of a response that stay as they are, but for ids and the model's name.
    pub fn responses(call: &Arc<Call>, deployment: DeploymentId) -> Self {
        let restamp = responses::Restamp::new(Arc::clone(call), deployment);
        Self::Responses(Box::new(restamp))
    }

    /// A stream that `decoder` reads, for the caller of `call`. `created` is the time of it, in
    /// seconds since 1970.
    pub fn other(call: &Call, decoder: Box<dyn Decoder>, created: u64) -> Self {
        let encoder = Encoder::new(call, created, tells_usage(call));
        Self::Other(Box::new(Translation::new(decoder, encoder, None)))
    }

    /// As [`other`](Self::other), for a deployment that goes on with a stream that broke.
    pub fn going_on(
        call: &Call,
        shown: &Shown,
        deployment: DeploymentId,
        decoder: Box<dyn Decoder>,
        created: u64,
    ) -> Self {
        let encoder = Encoder::resumed(call, shown, created, tells_usage(call));
        let words = shown.words.trim_end().len();
        let goes_on = GoesOn {
            usage: shown.usage,
            blank: shown.words[words..].to_owned(),
            mark: mark(call, shown, deployment),
        };
        Self::Other(Box::new(Translation::new(decoder, encoder, Some(goes_on))))
    }

    /// The bytes of speech.
    pub fn speech(call: &Call) -> Self {
        Self::Bytes(Progress::default(), Box::new(Speech::of(call)))
    }

    /// Whether an error can be told in it.
    pub fn tells_errors(&self) -> bool {
        !matches!(self, Self::Bytes(..))
    }

    /// What there was so far.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Bytes(progress, speech) => Progress {
                usage: Some(speech.usage()),
                ..*progress
            },
            Self::Same(rewriter) => rewriter.progress(),
            Self::Messages(restamp) => restamp.progress(),
            Self::Contents(restamp) => restamp.progress(),
            Self::Responses(restamp) => restamp.progress(),
            Self::Other(translation) => translation.progress,
        }
    }

    /// What was said.
    pub fn said(&self) -> &Said {
        match self {
            Self::Same(rewriter) => rewriter.said(),
            Self::Messages(restamp) => restamp.said(),
            Self::Other(translation) => &translation.said,
            Self::Contents(restamp) => restamp.said(),
            Self::Responses(restamp) => restamp.said(),
            Self::Bytes(..) => {
                static UNHEARD: Said = Said::unheard();
                &UNHEARD
            }
        }
    }

    /// What the caller has, if somebody else can go on with it: nothing but words, and the thoughts
    /// before them, of one answer that has not ended.
    pub fn shown(&self) -> Option<Shown> {
        let words = self.said().open_words()?;
        if self.progress().finished {
            return None;
        }
        let shown = match self {
            Self::Same(rewriter) => rewriter.shown(),
            Self::Messages(restamp) => restamp.shown()?,
            Self::Other(translation) => translation.encoder.shown()?,
            Self::Contents(_) | Self::Responses(_) | Self::Bytes(..) => return None,
        };
        Some(Shown {
            words: words.to_owned(),
            thought: self.said().has_more(),
            ..shown
        })
    }

    /// Takes a chunk of bytes; returns what may go to the caller now, possibly nothing. On an
    /// error, what came before it in the chunk is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::Bytes(progress, speech) => {
                speech.push(&chunk);
                progress.started |= !chunk.is_empty();
                Ok((!chunk.is_empty()).then_some(chunk))
            }
            Self::Same(rewriter) => rewriter.push(chunk, out),
            Self::Messages(restamp) => restamp.push(chunk, out),
            Self::Contents(restamp) => restamp.push(chunk, out),
            Self::Responses(restamp) => restamp.push(chunk, out),
            Self::Other(translation) => {
                let pushed = translation.decoder.push(chunk, &mut translation.events);
                translation.write(out);
                pushed?;
                Ok((!out.is_empty()).then(|| out.split().freeze()))
            }
        }
    }

    /// The provider's bytes have ended; writes what the caller still gets. An error if the stream
    /// is not complete.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        match self {
            Self::Same(rewriter) => {
                rewriter.finish(out)?;
                let progress = rewriter.progress();
                if !progress.done {
                    if progress.started && !progress.finished {
                        return Err(Broken::Cut);
                    }
                    if !rewriter.ends_without_mark() {
                        out.extend_from_slice(b"data: [DONE]\n\n");
                    }
                }
            }
            Self::Messages(restamp) => restamp.finish(out)?,
            Self::Contents(restamp) => restamp.finish(out)?,
            Self::Bytes(progress, _) => progress.done = true,
            Self::Responses(restamp) => restamp.finish(out)?,
            Self::Other(translation) => {
                let finished = translation.decoder.finish(&mut translation.events);
                translation.write(out);
                finished?;
                if let Some(before) = &translation.goes_on {
                    out.extend_from_slice(before.mark.as_bytes());
                }
                translation.encoder.finish(out);
                translation.progress.done = true;
            }
        }
        Ok(())
    }

    /// Writes an error as the last of a stream that broke.
    pub fn fail(&mut self, failure: &Failure, out: &mut BytesMut) {
        match self {
            Self::Same(_) => dialect::push_error(Dialect::OpenAi, failure, out),
            Self::Messages(_) => dialect::push_error(Dialect::Anthropic, failure, out),
            Self::Responses(restamp) => restamp.fail(failure, out),
            Self::Contents(restamp) => {
                restamp.fail(&dialect::error_body(Dialect::Gemini, failure), out);
            }
            Self::Other(translation) => translation.encoder.fail(failure, out),
            // There are no words in audio; see [`tells_errors`](Self::tells_errors).
            Self::Bytes(..) => {}
        }
    }
}

impl Translation {
    fn new(decoder: Box<dyn Decoder>, encoder: Encoder, goes_on: Option<GoesOn>) -> Self {
        Self {
            decoder,
            encoder,
            events: Vec::new(),
            progress: Progress::default(),
            said: Said::default(),
            goes_on,
        }
    }

    fn write(&mut self, out: &mut BytesMut) {
        for mut event in self.events.drain(..) {
            match &event {
                Event::Start { usage, .. } => {
                    self.progress.usage = usage.or(self.progress.usage);
                }
                Event::Usage(usage) => {
                    self.progress.usage = Some(*usage);
                    self.progress.counted = true;
                }
                Event::Delta { .. } => self.progress.started = true,
                Event::Finish { .. } => {
                    self.progress.started = true;
                    self.progress.finished = true;
                }
                Event::Rest(_) => {}
            }
            if let Some(before) = &mut self.goes_on {
                before.join(&mut event);
            }
            if let Event::Delta { choice, delta } = &event {
                // What the caller gets: a blank that came again is said once.
                note(*choice, delta, &mut self.said);
            }
            self.encoder.push(&event, out);
        }
    }
}

impl GoesOn {
    /// Makes the event one of the stream that the caller has already.
    fn join(&mut self, event: &mut Event) {
        match event {
            Event::Start { id, model, usage } => {
                (*id, *model) = (None, None);
                *usage = usage.map(|usage| self.usage.and(&usage));
            }
            Event::Usage(usage) => *usage = self.usage.and(usage),
            Event::Delta {
                delta: Delta::Text(text),
                ..
            } if !text.is_empty() => {
                let blank = std::mem::take(&mut self.blank);
                if !blank.is_empty() && text.starts_with(&blank) {
                    text.drain(..blank.len());
                }
            }
            Event::Delta { .. } | Event::Finish { .. } | Event::Rest(_) => {}
        }
    }
}

/// Notes what is new in a turn.
fn note(choice: u32, delta: &Delta, said: &mut Said) {
    match delta {
        Delta::Text(text) if choice == 0 => said.say(text),
        Delta::Thinking(text) => said.think(text.len()),
        Delta::Text(text) | Delta::Refusal(text) | Delta::Arguments { text, .. } => {
            said.close(text.len());
        }
        Delta::Call { name, .. } => said.close(name.len()),
        Delta::Redacted(_) | Delta::Media(_) | Delta::Other { .. } => said.close(0),
        Delta::Signature(_) | Delta::Annotation(_) | Delta::Logprobs(_) | Delta::Rest(_) => {}
    }
}

/// A comment that says who has said which part of the stream, in the form of `x-pointsman-attempts`.
fn mark(call: &Call, shown: &Shown, deployment: DeploymentId) -> String {
    let id = |id: DeploymentId| call.live.endpoint(id).names.id.to_str().unwrap_or("?");
    let mut mark = String::from(": x-pointsman-attempts: ");
    for left in &shown.left {
        let who = left.deployment.map_or("-", id);
        let (why, status) = (left.why, left.status.as_u16());
        // Writing to a string does not fail.
        let _ = write!(mark, "{who};why={why};status={status}, ");
    }
    let _ = write!(mark, "{};why=continued\n\n", id(deployment));
    mark
}

/// Whether the caller sees the usage of its stream.
fn tells_usage(call: &Call) -> bool {
    call.wants_usage || call.live.routes().general.always_include_stream_usage
}
