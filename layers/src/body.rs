//! Response bodies that tell when they end.
//!
//! What a request holds (a place among the parallel requests, a reservation of money, a place in
//! the in-flight gauge) is given back when its response body ends: after its last frame, on its
//! error, or when it is dropped half way. [`Watched`] sees all three and tells a [`Watch`] exactly
//! once.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use pointsman_layers::body::{End, Ending, Watched};
//!
//! # tokio_test::block_on(async {
//! let mut seen = None;
//! let body = Watched::new(Full::new(Bytes::from("abc")), |end: End| seen = Some(end));
//! body.collect().await.unwrap();
//! assert_eq!(seen, Some(End { how: Ending::Complete, bytes: 3 }));
//! # });
//! ```

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// How a response body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The last frame was handed on.
    Complete,
    /// The body gave an error.
    Failed,
    /// The body was dropped before its last frame: the client went away, or a timeout struck.
    Dropped,
}

/// What is known of a response body when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct End {
    /// How it ended.
    pub how: Ending,
    /// The bytes of data that were handed on.
    pub bytes: u64,
}

/// Who is told about a body: of each piece of data, and once of the end.
///
/// A closure `FnOnce(End)` is a `Watch` that asks only for the end.
pub trait Watch {
    /// `bytes` bytes of data are about to be handed on.
    fn data(&mut self, bytes: usize) {
        let _ = bytes;
    }

    /// The body has ended; called exactly once.
    fn end(self, end: End);
}

impl<F: FnOnce(End)> Watch for F {
    fn end(self, end: End) {
        self(end);
    }
}

/// No one is told.
impl Watch for () {
    fn end(self, _: End) {}
}

pin_project! {
    /// A body that tells a [`Watch`] of its end exactly once.
    ///
    /// The end is told *before* the last frame is handed on where the inner body knows that a frame
    /// is its last one, since servers do not poll further then.
    #[derive(Debug)]
    pub struct Watched<B, W>
    where
        W: Watch,
        B: Body,
    {
        // Gone when the body is dropped.
        #[pin]
        inner: Option<B>,
        watch: Option<W>,
        bytes: u64,
    }

    impl<B: Body, W: Watch> PinnedDrop for Watched<B, W> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // A body without frames is never polled by servers: to drop it is to have sent it.
            let inner = this.inner.as_ref().as_pin_ref();
            let how = if this.watch.is_some() && inner.is_some_and(|inner| inner.is_end_stream()) {
                Ending::Complete
            } else {
                Ending::Dropped
            };
            // The inner body may find out only now what came of it, and the watch may ask.
            this.inner.set(None);
            tell(this.watch, how, *this.bytes);
        }
    }
}

impl<B: Body, W: Watch> Watched<B, W> {
    /// Watches `inner` for `watch`.
    pub fn new(inner: B, watch: W) -> Self {
        Self {
            inner: Some(inner),
            watch: Some(watch),
            bytes: 0,
        }
    }

    /// The one who will be told, until the end was told.
    pub fn watch(&self) -> Option<&W> {
        self.watch.as_ref()
    }
}

impl<B: Body, W: Watch> Body for Watched<B, W> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    *this.bytes += data.remaining() as u64;
                    if let Some(watch) = this.watch {
                        watch.data(data.remaining());
                    }
                }
                if this.watch.is_some() && inner.is_end_stream() {
                    tell(this.watch, Ending::Complete, *this.bytes);
                }
            }
            Some(Err(_)) => tell(this.watch, Ending::Failed, *this.bytes),
            None => tell(this.watch, Ending::Complete, *this.bytes),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

fn tell<W: Watch>(watch: &mut Option<W>, how: Ending, bytes: u64) {
    if let Some(watch) = watch.take() {
        watch.end(End { how, bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};

    use super::*;

    struct Script(VecDeque<Result<Bytes, &'static str>>);

    impl Body for Script {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.pop_front().map(|next| next.map(Frame::data)))
        }
    }

    fn watched(
        script: &[Result<&'static str, &'static str>],
        ends: &RefCell<Vec<End>>,
    ) -> Watched<Script, impl FnOnce(End)> {
        let script = script.iter().map(|next| next.map(Bytes::from)).collect();
        Watched::new(Script(script), |end| ends.borrow_mut().push(end))
    }

    /// Finds out only when it is dropped what came of it.
    struct Late<'a>(&'a RefCell<Vec<&'static str>>);

    impl Drop for Late<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push("body");
        }
    }

    impl Body for Late<'_> {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Pending
        }
    }

    #[test]
    fn a_watch_is_told_when_the_body_it_watches_is_gone() {
        let order = RefCell::new(Vec::new());
        drop(Watched::new(Late(&order), |_| {
            order.borrow_mut().push("watch");
        }));
        assert_eq!(*order.borrow(), ["body", "watch"]);
    }

    #[tokio::test]
    async fn every_ending_is_told_once() {
        let ends = RefCell::new(Vec::new());
        let mut body = watched(&[Ok("ab"), Ok("c")], &ends);
        while body.frame().await.is_some() {}
        assert!(body.frame().await.is_none());
        drop(body);
        let mut body = watched(&[Ok("ab"), Err("cut")], &ends);
        while let Some(Ok(_)) = body.frame().await {}
        drop(body);
        let mut body = watched(&[Ok("ab"), Ok("c")], &ends);
        body.frame().await;
        drop(body);
        assert_eq!(
            *ends.borrow(),
            [
                End {
                    how: Ending::Complete,
                    bytes: 3
                },
                End {
                    how: Ending::Failed,
                    bytes: 2
                },
                End {
                    how: Ending::Dropped,
                    bytes: 2
                },
            ]
        );
    }

    #[tokio::test]
    async fn the_end_is_told_with_the_last_frame_if_it_is_known_to_be_the_last() {
        let ends = RefCell::new(Vec::new());
        let full = Full::new(Bytes::from("abc"));
        let mut body = Watched::new(full, |end| ends.borrow_mut().push(end));
        body.frame().await;
        assert_eq!(
            *ends.borrow(),
            [End {
                how: Ending::Complete,
                bytes: 3
            }]
        );
    }

    #[test]
    fn an_empty_body_is_complete_unpolled() {
        let ends = RefCell::new(Vec::new());
        drop(Watched::new(Empty::<Bytes>::new(), |end| {
            ends.borrow_mut().push(end);
        }));
        assert_eq!(
            *ends.borrow(),
            [End {
                how: Ending::Complete,
                bytes: 0
            }]
        );
    }
}
