//! A turn as it comes: AWS's event stream, whose frames carry lengths and checksums.
//!
//! Source: Smithy's specification of `application/vnd.amazon.eventstream`; Amazon Bedrock API
//! reference, `ConverseStream` and `InvokeModelWithResponseStream`.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use aws_smithy_types::str_bytes::StrBytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;

use super::response::{annotation, exception, finish, usage};
use crate::call::chat::{self, Delta};
use crate::upstream::anthropic::{self, JSON_TOOL};
use crate::upstream::protocol::{self, Broken};
use crate::wire::converse::{Event, Start};

/// Longest frame; AWS's own is as long.
const MAX_FRAME_BYTES: u32 = 16 << 20;
/// What stands before a frame: its length, that of its headers, and their checksum.
const PRELUDE_BYTES: usize = 12;

/// Cuts a stream into frames. At most one frame is held.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Frames {
    held: BytesMut,
}

impl Frames {
    /// Takes more of the stream.
    pub(in crate::upstream) fn push(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// The JSON of the next whole frame, be it an event of `ConverseStream` or what an invoked model
    /// says.
    pub(in crate::upstream) fn next_json(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some(message) = self.next()? else {
            return Ok(None);
        };
        let said = chunk(&message).ok().flatten();
        Ok(Some(
            said.map_or_else(|| message.payload().clone(), Bytes::from),
        ))
    }

    fn next(&mut self) -> Result<Option<Message>, Broken> {
        if self.held.len() < PRELUDE_BYTES {
            return Ok(None);
        }
        let length = (&self.held[..4]).get_u32();
        if length > MAX_FRAME_BYTES {
            return Err(Broken::TooLong);
        }
        let length = length as usize;
        if length < PRELUDE_BYTES {
            return Err(damaged());
        }
        if self.held.len() < length {
            return Ok(None);
        }
        let frame = self.held.split_to(length).freeze();
        match MessageFrameDecoder::new().decode_frame(frame) {
            Ok(DecodedFrame::Complete(message)) => Ok(Some(message)),
            Ok(DecodedFrame::Incomplete) | Err(_) => Err(damaged()),
        }
    }
}

fn damaged() -> Broken {
    Broken::Malformed("A frame of the stream is damaged.".into())
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    let header = message
        .headers()
        .iter()
        .find(|header| header.name().as_str() == name)?;
    header.value().as_string().ok().map(StrBytes::as_str)
}

/// Reads the frames of a turn.
#[derive(Debug)]
pub struct Decoder {
    frames: Frames,
    form: Form,
}

/// In whose form the events come.
#[derive(Debug)]
enum Form {
    Converse(Turn),
    Anthropic(anthropic::Reader),
}

impl Decoder {
    /// Of `ConverseStream`.
    pub fn converse() -> Self {
        Self {
            frames: Frames::default(),
            form: Form::Converse(Turn::default()),
        }
    }

    /// Of `InvokeModelWithResponseStream`, of a model of Anthropic's.
    pub fn invoked() -> Self {
        Self {
            frames: Frames::default(),
            form: Form::Anthropic(anthropic::Reader::default()),
        }
    }

    fn take(&mut self, message: &Message, out: &mut Vec<chat::Event>) -> Result<(), Broken> {
        match header(message, ":message-type") {
            Some("exception") => {
                let class = header(message, ":exception-type").unwrap_or_default();
                Err(Broken::Told(exception(class, message.payload())))
            }
            Some("error") => {
                let class = header(message, ":error-code").unwrap_or_default();
                let mut told = exception(class, b"");
                told.message = header(message, ":error-message").map(str::to_owned);
                Err(Broken::Told(told))
            }
            _ => match &mut self.form {
                Form::Converse(turn) => {
                    let kind = header(message, ":event-type").unwrap_or_default();
                    turn.take(kind, message.payload(), out)
                }
                Form::Anthropic(reader) => match chunk(message)? {
                    Some(data) => reader.take(&data, out),
                    None => Ok(()),
                },
            },
        }
    }
}

impl protocol::Decoder for Decoder {
    fn push(&mut self, chunk: Bytes, events: &mut Vec<chat::Event>) -> Result<(), Broken> {
        self.frames.push(&chunk);
        while let Some(message) = self.frames.next()? {
            self.take(&message, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, _events: &mut Vec<chat::Event>) -> Result<(), Broken> {
        if !self.frames.held.is_empty() {
            return Err(Broken::Cut);
        }
        match &self.form {
            Form::Converse(turn) if turn.ended => Ok(()),
            Form::Converse(_) => Err(Broken::Cut),
            Form::Anthropic(reader) => reader.finish(),
        }
    }
}

/// The event of the model's own that a frame carries.
fn chunk(message: &Message) -> Result<Option<Vec<u8>>, Broken> {
    #[derive(Deserialize)]
    struct Chunk {
        bytes: String,
    }
    if header(message, ":event-type") != Some("chunk") {
        return Ok(None);
    }
    let chunk: Chunk = serde_json::from_slice(message.payload()).map_err(|_| unreadable())?;
    STANDARD
        .decode(chunk.bytes)
        .map(Some)
        .map_err(|_| unreadable())
}

fn unreadable() -> Broken {
    Broken::Malformed("An event cannot be read.".into())
}

/// A turn of Converse's, as it is read.
#[derive(Debug, Default)]
struct Turn {
    /// The block that is open, if it is a call.
    open: Option<Call>,
    /// Calls so far.
    calls: u32,
    /// Characters of text so far.
    length: usize,
    /// Whether the answer came by way of the tool that gives it its form.
    formed: bool,
    /// Whether it was said why the turn ends.
    ended: bool,
}

/// A call that is open.
#[derive(Debug)]
struct Call {
    /// Which call; `None` is the answer, by way of the tool that gives it its form.
    index: Option<u32>,
    /// Whether its arguments have begun.
    begun: bool,
}

impl Turn {
    fn take(
        &mut self,
        kind: &str,
        payload: &[u8],
        out: &mut Vec<chat::Event>,
    ) -> Result<(), Broken> {
        let event: Event = serde_json::from_slice(payload).map_err(|_| unreadable())?;
        match kind {
            "messageStart" => out.push(chat::Event::Start {
                id: None,
                model: None,
                usage: None,
            }),
            "contentBlockStart" => self.start(event.start, out),
            "contentBlockDelta" => self.delta(event, out),
            "contentBlockStop" => self.close(out),
            "messageStop" => {
                self.close(out);
                self.ended = true;
                let why = event.stop_reason.unwrap_or_default();
                out.push(chat::Event::Finish {
                    choice: 0,
                    finish: finish(&why, self.formed && self.calls == 0),
                    stop_sequence: None,
                });
            }
            "metadata" => {
                out.extend(
                    event
                        .usage
                        .as_ref()
                        .map(|figures| chat::Event::Usage(usage(figures))),
                );
                let trace = event.trace.map(|trace| ("trace".to_owned(), trace));
                out.extend(trace.map(|trace| chat::Event::Rest([trace].into_iter().collect())));
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, start: Option<Start>, out: &mut Vec<chat::Event>) {
        self.close(out);
        let Some(call) = start.and_then(|start| start.tool_use) else {
            return;
        };
        let mut open = Call {
            index: None,
            begun: false,
        };
        if call.name == JSON_TOOL {
            self.formed = true;
        } else {
            let index = self.calls;
            self.calls += 1;
            open.index = Some(index);
            push(
                out,
                Some(Delta::Call {
                    index,
                    id: call.tool_use_id,
                    name: call.name,
                    signature: None,
                }),
            );
        }
        self.open = Some(open);
    }

    fn delta(&mut self, event: Event, out: &mut Vec<chat::Event>) {
        let Some(delta) = event.delta else { return };
        if let Some(text) = delta.text {
            self.text(text, out);
        }
        if let Some(piece) = delta.tool_use {
            self.arguments(piece.input, out);
        }
        if let Some(thought) = delta.reasoning_content {
            push(out, thought.text.map(Delta::Thinking));
            push(out, thought.signature.map(Delta::Signature));
            push(out, thought.redacted_content.map(Delta::Redacted));
        }
        if let Some(source) = delta.citation {
            push(out, annotation(&source, self.length).map(Delta::Annotation));
        }
    }

    fn text(&mut self, text: String, out: &mut Vec<chat::Event>) {
        self.length += text.chars().count();
        push(out, (!text.is_empty()).then_some(Delta::Text(text)));
    }

    fn arguments(&mut self, text: String, out: &mut Vec<chat::Event>) {
        let Some(open) = self.open.as_mut().filter(|_| !text.is_empty()) else {
            return;
        };
        open.begun = true;
        match open.index {
            Some(index) => push(out, Some(Delta::Arguments { index, text })),
            None => self.text(text, out),
        }
    }

    /// Ends the block that is open; a call without arguments has an object of none.
    fn close(&mut self, out: &mut Vec<chat::Event>) {
        if self.open.as_ref().is_some_and(|open| !open.begun) {
            self.arguments("{}".to_owned(), out);
        }
        self.open = None;
    }
}

fn push(out: &mut Vec<chat::Event>, delta: Option<Delta>) {
    out.extend(delta.map(|delta| chat::Event::Delta { choice: 0, delta }));
}
