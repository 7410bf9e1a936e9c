//! The body of an answer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use pointsman_layers::BoxError;

use super::framing::Framing;
use super::line::Line;
use super::pool::Slot;

/// The body of an answer that was made within the process.
pub(super) type Given = UnsyncBoxBody<Bytes, BoxError>;

/// The body of an answer, which drives its connection and gives it back at its end. Dropped before,
/// it closes the connection.
pub struct Reply(Source);

enum Source {
    Connection {
        framing: Framing,
        /// The connection, while there is something to read.
        line: Option<Box<Line>>,
        /// Where it goes then, if it can take another request.
        slot: Option<Arc<Slot>>,
    },
    Within(Given),
}

impl Reply {
    pub(super) fn new(framing: Framing, line: Box<Line>, slot: Option<Arc<Slot>>) -> Self {
        let mut line = Some(line);
        if framing.is_ended() {
            release(&mut line, slot.as_deref());
        }
        Self(Source::Connection {
            framing,
            line,
            slot,
        })
    }

    pub(super) const fn given(body: Given) -> Self {
        Self(Source::Within(body))
    }
}

/// Keeps the connection for the next request, if it can take one.
fn release(line: &mut Option<Box<Line>>, slot: Option<&Slot>) {
    if let Some(line) = line.take()
        && let Some(slot) = slot
        && line.is_done()
    {
        slot.put(line);
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (framing, held, slot) = match &mut self.0 {
            Source::Connection {
                framing,
                line,
                slot,
            } => (framing, line, slot),
            Source::Within(body) => return Pin::new(body).poll_frame(cx),
        };
        let Some(line) = held else {
            return Poll::Ready(None);
        };
        let polled = ready!(line.poll_body(cx, framing));
        match &polled {
            Ok(_) if framing.is_ended() => release(held, slot.as_deref()),
            Ok(_) => {}
            Err(_) => *held = None,
        }
        Poll::Ready(match polled {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => Some(Ok(Frame::data(bytes))),
            Err(broken) => Some(Err(broken.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Connection { line, .. } => line.is_none(),
            Source::Within(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Connection { framing, .. } => framing.size_hint(),
            Source::Within(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
