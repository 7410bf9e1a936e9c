//! Makes request bodies cheap to clone.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Request;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// Reads request bodies whole, so that the layers within may send them more than once.
#[derive(Debug, Clone, Copy)]
pub struct BufferLayer {
    most: usize,
}

impl BufferLayer {
    /// Reads up to `most` bytes and refuses longer bodies with [`TooLarge`].
    pub const fn new(most: usize) -> Self {
        Self { most }
    }
}

/// The request's body is longer than it may be. 413.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The bytes that it may have.
    pub most: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is longer than {} bytes", self.most)
    }
}

impl Error for TooLarge {}

impl<S> Layer<S> for BufferLayer {
    type Service = Buffer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Buffer {
            inner,
            most: self.most,
        }
    }
}

/// The service of [`BufferLayer`].
#[derive(Debug, Clone)]
pub struct Buffer<S> {
    inner: S,
    most: usize,
}

/// A body that was read whole; clones share its bytes.
#[derive(Debug, Clone, Default)]
pub struct Whole {
    bytes: Bytes,
}

impl Whole {
    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl<S, B> Service<Request<B>> for Buffer<S>
where
    S: Service<Request<Whole>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BufferFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was made ready goes with the request; a clone stays.
        let fresh = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, fresh);
        let (head, body) = request.into_parts();
        let (bytes, most) = (BytesMut::new(), self.most);
        BufferFuture {
            state: State::Reading {
                body,
                bytes,
                most,
                waiting: Some((service, head)),
            },
        }
    }
}

pin_project! {
    /// The future of [`Buffer`].
    pub struct BufferFuture<S, B>
    where
        S: Service<Request<Whole>>,
    {
        #[pin]
        state: State<B, S::Future, S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, F, S> {
        Reading { #[pin] body: B, bytes: BytesMut, most: usize, waiting: Option<(S, Parts)> },
        Calling { #[pin] inner: F },
    }
}

impl<S, B> Future for BufferFuture<S, B>
where
    S: Service<Request<Whole>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Calling { inner } => return inner.poll(cx).map_err(Into::into),
                StateProj::Reading {
                    mut body,
                    bytes,
                    most,
                    waiting,
                } => {
                    // A body that says how long it is need not be read to be refused.
                    let stated = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
                    if bytes.len().saturating_add(stated) > *most {
                        return Poll::Ready(Err(TooLarge { most: *most }.into()));
                    }
                    if let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
                        // Trailers of requests are not kept: no client sends any.
                        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
                            if bytes.len().saturating_add(data.remaining()) > *most {
                                return Poll::Ready(Err(TooLarge { most: *most }.into()));
                            }
                            bytes.put(data);
                        }
                        continue;
                    }
                    let bytes = std::mem::take(bytes).freeze();
                    let (mut service, head) = waiting.take().expect("polled after it was ready");
                    let request = Request::from_parts(head, Whole { bytes });
                    state.set(State::Calling {
                        inner: service.call(request),
                    });
                }
            }
        }
    }
}
