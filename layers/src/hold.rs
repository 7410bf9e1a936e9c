//! What a request holds until its response body has ended: the way that limits and budgets share.
//!
//! A store takes an estimate and gives a [`Hold`]. When the request is over, however it ended, a
//! [`Measure`] says what it truly used and the hold is settled, exactly once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::BoxError;
use crate::body::{End, Watch, Watched};
use crate::ready::Soon;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Over {
    /// There was a response, and its body ended so.
    Body(End),
    /// The inner service gave an error.
    Failed,
    /// The request was dropped before it had a response.
    Cancelled,
}

/// Says what a request truly used.
///
/// `None` is "no one counted": then the estimate stands if a response had begun, and nothing is
/// booked if there was none. Closures `Fn(Over) -> Option<T>` do, `()` always says `None`, and a
/// [`Meter`] says what was put into it.
pub trait Measure<T> {
    /// What was used by a request that is now over.
    fn measure(&self, over: Over) -> Option<T>;
}

impl<T> Measure<T> for () {
    fn measure(&self, _: Over) -> Option<T> {
        None
    }
}

impl<T, F: Fn(Over) -> Option<T>> Measure<T> for F {
    fn measure(&self, over: Over) -> Option<T> {
        self(over)
    }
}

/// A cell that the inner service fills with the true use before its response body ends; clones
/// share it.
#[derive(Debug, Clone)]
pub struct Meter {
    value: Arc<AtomicU64>,
}

const UNSET: u64 = u64::MAX;

impl Meter {
    /// A cell into which nothing was put.
    pub fn new() -> Self {
        Self {
            value: Arc::new(AtomicU64::new(UNSET)),
        }
    }

    /// Puts a value in, in place of the one before.
    pub fn set(&self, value: impl Into<u64>) {
        self.value
            .store(value.into().min(UNSET - 1), Ordering::Release);
    }

    /// What was put in.
    pub fn get(&self) -> Option<u64> {
        Some(self.value.load(Ordering::Acquire)).filter(|value| *value != UNSET)
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: From<u64>> Measure<T> for Meter {
    fn measure(&self, _: Over) -> Option<T> {
        self.get().map(T::from)
    }
}

/// A reservation that a store gave. To drop it unsettled is to settle it at nothing.
pub trait Hold {
    /// What is reserved: tokens, money.
    type Unit: Copy;

    /// What was reserved.
    fn estimate(&self) -> Self::Unit;

    /// Books `actual` in place of the estimate.
    fn settle(self, actual: Self::Unit);

    /// Adds to the head of the response what a client may know of it.
    fn head(&self, headers: &mut HeaderMap) {
        let _ = headers;
    }
}

/// A hold and the one who will say what was used.
#[derive(Debug)]
pub struct Held<H: Hold, M: Measure<H::Unit>> {
    inner: Option<(H, M)>,
}

impl<H: Hold, M: Measure<H::Unit>> Held<H, M> {
    fn over(&mut self, over: Over) {
        let Some((hold, measure)) = self.inner.take() else {
            return;
        };
        match measure.measure(over) {
            Some(actual) => hold.settle(actual),
            None if matches!(over, Over::Body(_)) => {
                let estimate = hold.estimate();
                hold.settle(estimate);
            }
            None => drop(hold),
        }
    }
}

impl<H: Hold, M: Measure<H::Unit>> Watch for Held<H, M> {
    fn end(mut self, end: End) {
        self.over(Over::Body(end));
    }
}

impl<H: Hold, M: Measure<H::Unit>> Drop for Held<H, M> {
    fn drop(&mut self) {
        self.over(Over::Cancelled);
    }
}

/// The response body of a service that holds something.
pub type HeldBody<B, H, M> = Watched<B, Held<H, M>>;

/// What a store gave for a request, and who will measure it.
type Taken<H, E, F, M> = (Soon<Result<H, E>, F>, M);

/// Calls `service` when what the request needs was taken; `None` needs nothing.
pub(crate) fn call<S, Req, H, M, F, E>(
    service: &mut S,
    request: Req,
    taken: Option<Taken<H, E, F, M>>,
) -> ResponseFuture<S, Req, F, H, M>
where
    S: Service<Req> + Clone,
    H: Hold,
    M: Measure<H::Unit>,
    E: Into<BoxError>,
{
    let state = match taken {
        None => State::calling(service.call(request), None),
        Some((Soon::Now(Ok(hold)), measure)) => {
            State::calling(service.call(request), Some((hold, measure)))
        }
        Some((Soon::Now(Err(refused)), _)) => State::Refused {
            refused: Some(refused.into()),
        },
        Some((Soon::Later(taking), measure)) => {
            // The service that was made ready goes with the request; a clone stays.
            let fresh = service.clone();
            let service = std::mem::replace(service, fresh);
            State::Taking {
                taking,
                waiting: Some(Waiting {
                    request,
                    service,
                    measure,
                }),
            }
        }
    };
    ResponseFuture { state }
}

pin_project! {
    /// The future of a service that holds something.
    pub struct ResponseFuture<S, Req, F, H, M>
    where
        S: Service<Req>,
        H: Hold,
        M: Measure<H::Unit>,
    {
        #[pin]
        state: State<S::Future, F, Held<H, M>, Waiting<S, Req, M>>,
    }
}

struct Waiting<S, Req, M> {
    request: Req,
    service: S,
    measure: M,
}

pin_project! {
    #[project = StateProj]
    enum State<C, F, H, W> {
        Calling { #[pin] inner: C, held: Option<H> },
        Taking { #[pin] taking: F, waiting: Option<W> },
        Refused { refused: Option<BoxError> },
    }
}

impl<C, F, H: Hold, M: Measure<H::Unit>, W> State<C, F, Held<H, M>, W> {
    fn calling(inner: C, hold: Option<(H, M)>) -> Self {
        Self::Calling {
            inner,
            held: Some(Held { inner: hold }),
        }
    }
}

impl<S, Req, F, H, M, B, E> Future for ResponseFuture<S, Req, F, H, M>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    F: Future<Output = Result<H, E>>,
    H: Hold,
    M: Measure<H::Unit>,
    E: Into<BoxError>,
{
    type Output = Result<Response<HeldBody<B, H, M>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Calling { inner, held } => {
                    let result = ready!(inner.poll(cx));
                    let held = held.take().expect("polled after it was ready");
                    return Poll::Ready(answer(result, held));
                }
                StateProj::Refused { refused } => {
                    return Poll::Ready(Err(refused.take().expect("polled after it was ready")));
                }
                StateProj::Taking { taking, waiting } => {
                    let taken = ready!(taking.poll(cx));
                    let Waiting {
                        request,
                        mut service,
                        measure,
                    } = waiting.take().expect("polled after it was ready");
                    let next = match taken {
                        Ok(hold) => State::calling(service.call(request), Some((hold, measure))),
                        Err(refused) => State::Refused {
                            refused: Some(refused.into()),
                        },
                    };
                    state.set(next);
                }
            }
        }
    }
}

fn answer<B: Body, E: Into<BoxError>, H: Hold, M: Measure<H::Unit>>(
    result: Result<Response<B>, E>,
    mut held: Held<H, M>,
) -> Result<Response<HeldBody<B, H, M>>, BoxError> {
    match result {
        Ok(mut response) => {
            if let Some((hold, _)) = &held.inner {
                hold.head(response.headers_mut());
            }
            Ok(response.map(|body| Watched::new(body, held)))
        }
        Err(error) => {
            held.over(Over::Failed);
            Err(error.into())
        }
    }
}
