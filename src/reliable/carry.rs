//! Carries attempts and answers through the `retry` layer, which speaks of HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::Service;

use super::errand::Errand;
use crate::call::{Answer, Call};
use crate::error::{Failure, Rehearsal};
use crate::routing::Leg;

/// Makes attempts, or acts out failures.
#[derive(Clone, Debug)]
pub(crate) struct Carrier<S> {
    inner: S,
}

impl<S> Carrier<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Errand> for Carrier<S>
where
    S: Service<Leg, Response = Answer<B>, Error = Failure>,
{
    type Response = Response<Carried<B>>;
    type Error = Failure;
    type Future = Carrying<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, errand: Errand) -> Self::Future {
        let Errand { call, ask, act, .. } = errand;
        match act {
            None => Carrying::Asking {
                inner: self.inner.call(Leg { call, ask }),
            },
            Some(act) => Carrying::Acting {
                wait: acted_for(act, &call),
                act,
                call,
            },
        }
    }
}

/// A rehearsed timeout takes the time of a real one.
fn acted_for(act: Rehearsal, call: &Call) -> Option<Pin<Box<Sleep>>> {
    let settings = &call.live.routes().settings;
    let router = &call.live.routes().router;
    (act == Rehearsal::Timeout).then(|| {
        let file = if call.peek.stream {
            router.stream_timeout.or(router.timeout)
        } else {
            router.timeout
        };
        let given = call.timeout.or(file).unwrap_or(settings.request_timeout);
        Box::pin(tokio::time::sleep(given.min(settings.request_timeout)))
    })
}

pin_project! {
    /// The future of [`Carrier`].
    #[project = CarryingProj]
    pub(crate) enum Carrying<F> {
        /// An attempt.
        Asking { #[pin] inner: F },
        /// A failure that is acted out.
        Acting { wait: Option<Pin<Box<Sleep>>>, act: Rehearsal, call: Arc<Call> },
    }
}

impl<F, B> Future for Carrying<F>
where
    F: Future<Output = Result<Answer<B>, Failure>>,
{
    type Output = Result<Response<Carried<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CarryingProj::Asking { inner } => {
                let answer = ready!(inner.poll(cx))?;
                Poll::Ready(Ok(Response::new(Carried(Some(answer)))))
            }
            CarryingProj::Acting { wait, act, call } => {
                if let Some(wait) = wait {
                    ready!(wait.as_mut().poll(cx));
                }
                Poll::Ready(Err(Failure::Rehearsed {
                    act: *act,
                    group: call.group_name().to_owned(),
                    fallbacks: Vec::new(),
                }))
            }
        }
    }
}

/// An answer as the body of a response, which nobody reads.
#[derive(Debug)]
pub(crate) struct Carried<B>(Option<Answer<B>>);

impl<B> Carried<B> {
    pub(super) fn take(self) -> Option<Answer<B>> {
        self.0
    }
}

// Nothing in it is ever pinned.
impl<B> Unpin for Carried<B> {}

impl<B> http_body::Body for Carried<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
