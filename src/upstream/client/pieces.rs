//! The body of a request.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use smallvec::SmallVec;

/// A request body: in one or several pieces, none of them copied, or as it comes.
pub struct Pieces(Kind);

enum Kind {
    Held(Box<Held>),
    Flowing(UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>),
}

struct Held {
    pieces: SmallVec<[Bytes; 4]>,
    next: usize,
}

impl Held {
    fn left(&self) -> &[Bytes] {
        &self.pieces[self.next..]
    }
}

impl Pieces {
    /// These pieces, one after the other.
    pub fn new(pieces: SmallVec<[Bytes; 4]>) -> Self {
        Self(Kind::Held(Box::new(Held { pieces, next: 0 })))
    }

    /// A body that comes from elsewhere. The exchange breaks off if it does.
    pub fn flowing(body: UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>) -> Self {
        Self(Kind::Flowing(body))
    }

    /// What is left of them in one; `None` if the body comes from elsewhere. Copies only if there
    /// are several.
    pub(in crate::upstream) fn joined(&self) -> Option<Bytes> {
        let Kind::Held(held) = &self.0 else {
            return None;
        };
        Some(match held.left() {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        })
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Kind::Held(held) => {
                let Held { pieces, next } = &mut **held;
                let Some(piece) = pieces.get_mut(*next).map(std::mem::take) else {
                    return Poll::Ready(None);
                };
                *next += 1;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Kind::Flowing(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Held(held) => held.left().is_empty(),
            Kind::Flowing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Held(held) => {
                let left: usize = held.left().iter().map(Bytes::len).sum();
                SizeHint::with_exact(left as u64)
            }
            Kind::Flowing(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("left", &self.size_hint())
            .finish()
    }
}
