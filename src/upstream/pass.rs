//! The answer to a request that is passed on as it is: its bytes go by unchanged, and what they say
//! of usage is read beside them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, SizeHint};
use tokio::time::{Instant, Sleep};

use super::bedrock::stream::Frames;
use super::client::Reply;
use crate::wire::sse::Splitter;
use crate::wire::usage::{Figures, Shape, Told};

/// Longest answer that is kept to read its usage; a longer one goes by unread.
const MAX_READ_BYTES: usize = 8 << 20;

/// How an answer ended.
#[derive(Clone, Debug, Default)]
pub struct PassEnd {
    /// What it said of itself.
    pub figures: Figures,
    /// The events of a stream that there were, of which each says about a token.
    pub events: u64,
    /// It broke off, or fell silent.
    pub broken: bool,
    /// The caller went away before the end.
    pub dropped: bool,
}

/// Is told how an answer ended.
type OnEnd = Box<dyn FnOnce(PassEnd) + Send>;

/// An answer on its way through. However it ends, whom it was made with is told once. Dropping it
/// ends the upstream request.
pub struct Passed {
    reply: Reply,
    tap: Tap,
    idle: Pin<Box<Sleep>>,
    idle_after: Duration,
    on_end: Option<OnEnd>,
}

impl Passed {
    /// Passes `reply` on, which may be silent for `idle_after` between two pieces.
    pub fn new(reply: Reply, tap: Tap, idle_after: Duration, on_end: OnEnd) -> Self {
        Self {
            reply,
            tap,
            idle: Box::pin(tokio::time::sleep(idle_after)),
            idle_after,
            on_end: Some(on_end),
        }
    }

    /// The next bytes. An error if the provider breaks off or falls silent: the caller's
    /// connection is to break off as well, for there is no telling in an API of somebody else's.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.on_end.is_none() {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut self.reply).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.as_mut().reset(Instant::now() + self.idle_after);
                    // Trailers are between the provider and the gateway.
                    if let Ok(bytes) = frame.into_data() {
                        self.tap.see(&bytes);
                        // Whoever has the whole answer finds it written down.
                        if self.reply.is_end_stream() {
                            self.end(false, false);
                        }
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.end(true, false);
                    let broken = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(Err(broken)));
                }
                Poll::Ready(None) => {
                    self.end(false, false);
                    return Poll::Ready(None);
                }
                Poll::Pending if self.idle.as_mut().poll(cx).is_ready() => {
                    self.end(true, false);
                    let silent = io::Error::from(io::ErrorKind::TimedOut);
                    return Poll::Ready(Some(Err(silent)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.on_end.is_none()
    }

    /// How long it is, if the provider said so.
    pub fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }

    fn end(&mut self, broken: bool, dropped: bool) {
        if let Some(on_end) = self.on_end.take() {
            let tap = std::mem::take(&mut self.tap);
            on_end(PassEnd {
                events: tap.events,
                figures: tap.finish(),
                broken,
                dropped,
            });
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // A server that knows the length does not ask for the end.
        let complete = self.reply.is_end_stream();
        self.end(false, !complete);
    }
}

impl std::fmt::Debug for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passed")
            .field("ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}

/// Reads what goes by.
#[derive(Debug, Default)]
pub struct Tap {
    shape: Option<Shape>,
    figures: Figures,
    events: u64,
    held: Held,
}

#[derive(Debug, Default)]
enum Held {
    /// Nothing is read, or no longer.
    #[default]
    Nothing,
    Whole(BytesMut),
    Events(Splitter),
    Frames(Frames),
}

impl Tap {
    /// Reads an answer of this content type.
    pub fn new(shape: Shape, content_type: &[u8]) -> Self {
        let held = if shape == Shape::Unknown {
            Held::Nothing
        } else if content_type.starts_with(b"text/event-stream") {
            Held::Events(Splitter::new(MAX_READ_BYTES))
        } else if content_type.starts_with(b"application/vnd.amazon.eventstream") {
            Held::Frames(Frames::default())
        } else if content_type.starts_with(b"application/json") {
            Held::Whole(BytesMut::new())
        } else {
            Held::Nothing
        };
        Self {
            shape: Some(shape),
            figures: Figures::default(),
            events: 0,
            held,
        }
    }

    /// Knows figures that an answer tells in its headers; what its body tells is believed before.
    #[must_use]
    pub fn knowing(mut self, told: Option<Told>) -> Self {
        self.figures.told = told;
        self
    }

    /// Sees more of it.
    pub fn see(&mut self, bytes: &Bytes) {
        let Some(shape) = self.shape else { return };
        match &mut self.held {
            Held::Nothing => {}
            Held::Whole(held) => {
                held.extend_from_slice(bytes);
                if held.len() > MAX_READ_BYTES {
                    self.held = Held::Nothing;
                }
            }
            Held::Frames(frames) => {
                frames.push(bytes);
                loop {
                    match frames.next_json() {
                        Ok(Some(data)) => {
                            self.events += 1;
                            self.figures.read(shape, &data);
                        }
                        Ok(None) => return,
                        Err(_) => {
                            self.held = Held::Nothing;
                            return;
                        }
                    }
                }
            }
            Held::Events(splitter) => {
                splitter.push(bytes.clone());
                loop {
                    match splitter.next_event() {
                        Ok(Some(event)) => {
                            self.events += 1;
                            if let Some(data) = event.data() {
                                self.figures.read(shape, &data);
                            }
                        }
                        Ok(None) => return,
                        Err(_) => {
                            self.held = Held::Nothing;
                            return;
                        }
                    }
                }
            }
        }
    }

    /// What it said.
    pub fn finish(mut self) -> Figures {
        if let (Some(shape), Held::Whole(held)) = (self.shape, &self.held) {
            self.figures.read(shape, held);
        }
        self.figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",",
        "\"usage\":{\"input_tokens\":5}}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":7}}\n\n"
    );

    #[test]
    fn a_stream_tells_its_usage_wherever_it_is_cut() {
        for at in 0..=STREAM.len() {
            let mut tap = Tap::new(Shape::Anthropic, b"text/event-stream; charset=utf-8");
            let (first, second) = STREAM.as_bytes().split_at(at);
            tap.see(&Bytes::from_static(first));
            tap.see(&Bytes::from_static(second));
            let figures = tap.finish();
            let usage = figures.told.unwrap().usage;
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (5, 7));
            assert_eq!(figures.model.as_deref(), Some("m"));
        }
    }

    #[test]
    fn an_answer_that_is_too_long_goes_by_unread() {
        let mut tap = Tap::new(Shape::OpenAi, b"application/json");
        tap.see(&Bytes::from_static(
            br#"{"usage":{"prompt_tokens":5},"x":""#,
        ));
        tap.see(&Bytes::from(vec![b'x'; MAX_READ_BYTES]));
        tap.see(&Bytes::from_static(b"\"}"));
        assert_eq!(tap.finish(), Figures::default());
        let mut binary = Tap::new(Shape::OpenAi, b"audio/mpeg");
        binary.see(&Bytes::from_static(br#"{"usage":{"prompt_tokens":5}}"#));
        assert_eq!(binary.finish(), Figures::default());
    }
}
