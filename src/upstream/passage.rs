//! What a stream passes through on its way to the caller.

use bytes::{Bytes, BytesMut};

use super::anthropic::same::Restamp;
use super::gemini;
use super::openai::stream::Rewriter;
use super::protocol::{Broken, Decoder};
use crate::call::chat::Event;
use crate::call::{Call, Dialect, Usage};
use crate::dialect::{self, Encoder};
use crate::error::Failure;

/// What a stream has said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last usage there was.
    pub usage: Option<Usage>,
    /// The provider has marked the end.
    pub done: bool,
    /// A choice had its finish reason.
    pub finished: bool,
    /// Something was said that the caller sees.
    pub started: bool,
}

/// What a stream passes through.
#[derive(Debug)]
pub enum Passage {
    /// The caller speaks as the provider does: OpenAI's chunks.
    Same(Rewriter),
    /// The caller speaks as the provider does: Anthropic's events.
    Messages(Restamp),
    /// The caller speaks as the provider does: Gemini's events.
    Contents(gemini::same::Restamp),
    /// From one dialect to another, through the one form.
    Other(Box<Translation>),
    /// Bytes that are no text, such as audio. Nothing can be told in them.
    Bytes(Progress),
}

/// A stream on its way from one dialect to another.
#[derive(Debug)]
pub struct Translation {
    decoder: Box<dyn Decoder>,
    encoder: Encoder,
    events: Vec<Event>,
    progress: Progress,
}

impl Passage {
    /// Chunks that stay as they are, but for the model's name and usage that nobody asked for.
    pub fn same(call: &Call) -> Self {
        Self::Same(Rewriter::new(call.name(), !tells_usage(call)))
    }

    /// A stream that `decoder` reads, for the caller of `call`. `created` is the time of it, in
    /// seconds since 1970.
    pub fn other(call: &Call, decoder: Box<dyn Decoder>, created: u64) -> Self {
        Self::Other(Box::new(Translation {
            decoder,
            encoder: Encoder::new(call, created, tells_usage(call)),
            events: Vec::new(),
            progress: Progress::default(),
        }))
    }

    /// Bytes of which it is known beforehand what they take.
    pub fn bytes(usage: Usage) -> Self {
        Self::Bytes(Progress {
            usage: Some(usage),
            ..Progress::default()
        })
    }

    /// Whether an error can be told in it.
    pub fn tells_errors(&self) -> bool {
        !matches!(self, Self::Bytes(_))
    }

    /// What there was so far.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Bytes(progress) => *progress,
            Self::Same(rewriter) => rewriter.progress(),
            Self::Messages(restamp) => restamp.progress(),
            Self::Contents(restamp) => restamp.progress(),
            Self::Other(translation) => translation.progress,
        }
    }

    /// Takes a chunk of bytes; returns what may go to the caller now, possibly nothing. On an
    /// error, what came before it in the chunk is in `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::Bytes(progress) => {
                progress.started |= !chunk.is_empty();
                Ok((!chunk.is_empty()).then_some(chunk))
            }
            Self::Same(rewriter) => rewriter.push(chunk, out),
            Self::Messages(restamp) => restamp.push(chunk, out),
            Self::Contents(restamp) => restamp.push(chunk, out),
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
            Self::Bytes(progress) => progress.done = true,
            Self::Other(translation) => {
                let finished = translation.decoder.finish(&mut translation.events);
                translation.write(out);
                finished?;
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
            Self::Contents(restamp) => {
                restamp.fail(&dialect::error_body(Dialect::Gemini, failure), out);
            }
            Self::Other(translation) => translation.encoder.fail(failure, out),
            // There are no words in audio; see [`tells_errors`](Self::tells_errors).
            Self::Bytes(_) => {}
        }
    }
}

impl Translation {
    fn write(&mut self, out: &mut BytesMut) {
        for event in self.events.drain(..) {
            match &event {
                Event::Start { usage, .. } => {
                    self.progress.usage = usage.or(self.progress.usage);
                }
                Event::Usage(usage) => self.progress.usage = Some(*usage),
                Event::Delta { .. } => self.progress.started = true,
                Event::Finish { .. } => {
                    self.progress.started = true;
                    self.progress.finished = true;
                }
                Event::Rest(_) => {}
            }
            self.encoder.push(&event, out);
        }
    }
}

/// Whether the caller sees the usage of its stream.
fn tells_usage(call: &Call) -> bool {
    call.wants_usage || call.live.routes().general.always_include_stream_usage
}
