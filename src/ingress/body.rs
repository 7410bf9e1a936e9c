//! The body of a response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::upstream::Relay;
use crate::upstream::pass::Passed;

/// A response body: whole, or a stream on its way.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    Relay(Box<Relay>),
    Passed(Box<Passed>),
}

impl Body {
    /// All of it.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(bytes.into()))
    }

    /// A stream.
    pub fn relay(relay: Relay) -> Self {
        Self(Kind::Relay(Box::new(relay)))
    }

    /// An answer that is passed on as it comes.
    pub fn passed(passed: Passed) -> Self {
        Self(Kind::Passed(Box::new(passed)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Relay(relay) => match ready!(relay.poll_bytes(cx)) {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None if relay.is_broken_off() => {
                    Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
                }
                None => Poll::Ready(None),
            },
            Kind::Passed(passed) => passed
                .poll_bytes(cx)
                .map(|bytes| bytes.map(|bytes| bytes.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Relay(relay) => relay.is_ended(),
            Kind::Passed(passed) => passed.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Relay(_) => SizeHint::default(),
            Kind::Passed(passed) => passed.size_hint(),
        }
    }
}
