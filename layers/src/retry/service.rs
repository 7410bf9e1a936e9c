//! The layer, its service, its future and its body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use http::response::Parts;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use super::{Attempt, Journey, Policy, RetryBudget, Seen, TimedOut, Verdict};
use crate::BoxError;

/// Tries requests more than once.
#[derive(Debug, Clone)]
pub struct RetryLayer<P> {
    policy: P,
    budget: Option<RetryBudget>,
}

impl<P> RetryLayer<P> {
    /// Does what `policy` says.
    pub const fn new(policy: P) -> Self {
        Self {
            policy,
            budget: None,
        }
    }

    /// Retries and hedges no more than `budget` pays for.
    #[must_use]
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            inner,
            policy: self.policy.clone(),
            budget: self.budget.clone(),
        }
    }
}

/// The service of [`RetryLayer`].
#[derive(Debug, Clone)]
pub struct Retry<S, P> {
    inner: S,
    policy: P,
    budget: Option<RetryBudget>,
}

impl<S, P, Req, B> Service<Req> for Retry<S, P>
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body + Unpin,
    B::Error: Into<BoxError>,
    P: Policy<Req>,
{
    type Response = Response<Body<B>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req, P::Journey, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut original: Req) -> Self::Future {
        if let Some(budget) = &self.budget {
            budget.pay_in();
        }
        let Some(mut journey) = self.policy.begin(&original) else {
            return ResponseFuture {
                state: State::Passing {
                    inner: self.inner.call(original),
                },
            };
        };
        let began = Instant::now();
        let attempt = Attempt {
            number: 1,
            here: 1,
            target: 0,
            hedge: false,
            elapsed: Duration::ZERO,
        };
        let timing = journey.timing(attempt);
        let request = journey.first(&mut original, attempt);
        // The first attempt is made with the service that is ready; clones make the others.
        let lane = Lane::Calling {
            inner: self.inner.call(request),
        };
        let over = |time: Option<Duration>| time.and_then(|time| began.checked_add(time));
        let trip = Trip {
            total: over(journey.total()),
            budget: self.budget.clone(),
            service: self.inner.clone(),
            last: attempt,
            original,
            journey,
            began,
        };
        let first = Leg {
            lane,
            until: over(timing.most),
            attempt,
        };
        let second = Leg {
            lane: Lane::Idle,
            until: None,
            attempt,
        };
        let (hedge, pause, timer) = (over(timing.hedge), None, None);
        ResponseFuture {
            state: State::Trying {
                trip,
                first,
                second,
                hedge,
                pause,
                timer,
            },
        }
    }
}

pin_project! {
    /// The future of [`Retry`].
    pub struct ResponseFuture<S, Req, J, B>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S::Future, S, Req, J, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, S, Req, J, B> {
        Passing { #[pin] inner: F },
        Trying {
            trip: Trip<S, Req, J>,
            #[pin] first: Leg<F, S, Req, B>,
            #[pin] second: Leg<F, S, Req, B>,
            hedge: Option<Instant>,
            pause: Option<Instant>,
            // One timer serves whatever comes first.
            #[pin] timer: Option<Sleep>,
        },
    }
}

/// What all attempts of a request have in common.
struct Trip<S, Req, J> {
    service: S,
    original: Req,
    journey: J,
    budget: Option<RetryBudget>,
    began: Instant,
    total: Option<Instant>,
    last: Attempt,
}

pin_project! {
    /// One attempt under way, or none.
    struct Leg<F, S, Req, B> {
        #[pin]
        lane: Lane<F, S, Req, B>,
        until: Option<Instant>,
        attempt: Attempt,
    }
}

pin_project! {
    #[project = LaneProj]
    enum Lane<F, S, Req, B> {
        Idle,
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] inner: F },
        Peeking { response: Option<(Parts, B)> },
    }
}

/// How an attempt ended, and what the journey says to it.
struct Ended<B: http_body::Body> {
    outcome: Result<Response<Body<B>>, BoxError>,
    verdict: Verdict,
}

impl<S, Req, J: Journey<Req>> Trip<S, Req, J> {
    fn judge(&mut self, attempt: Attempt, seen: Seen<'_>) -> Verdict {
        // Of two attempts side by side, the older one may end last; what counts is how many there
        // were.
        let here = self.last.here;
        let elapsed = self.began.elapsed();
        let attempt = Attempt {
            here,
            elapsed,
            ..attempt
        };
        self.journey.judge(attempt, seen)
    }

    fn timed_out(&self, total: bool) -> BoxError {
        let elapsed = self.began.elapsed();
        TimedOut {
            attempts: self.last.number,
            elapsed,
            total,
        }
        .into()
    }

    /// When the next attempt begins, if there is to be one.
    fn goes_on(&mut self, verdict: Verdict) -> Option<Instant> {
        let pays = |budget: &Option<RetryBudget>| budget.as_ref().is_none_or(RetryBudget::take_out);
        let (at, here, target) = match verdict {
            Verdict::Done | Verdict::GiveUp => return None,
            Verdict::Next { after } => (self.at(after)?, 1, self.last.target + 1),
            Verdict::Retry { after } => match self.at(after) {
                Some(at) if pays(&self.budget) => (at, self.last.here + 1, self.last.target),
                _ => match self.journey.unpaid(self.last) {
                    Verdict::Next { after } => (self.at(after)?, 1, self.last.target + 1),
                    _ => return None,
                },
            },
        };
        let number = self.last.number + 1;
        self.last = Attempt {
            number,
            here,
            target,
            hedge: false,
            ..self.last
        };
        Some(at)
    }

    /// The time after a pause, unless all time is over by then.
    fn at(&self, pause: Duration) -> Option<Instant> {
        let at = Instant::now().checked_add(pause)?;
        Some(at).filter(|at| self.total.is_none_or(|total| *at < total))
    }

    /// The leg of the last attempt, and when it is to be hedged.
    fn leg<F, B>(&mut self) -> (Leg<F, S, Req, B>, Option<Instant>)
    where
        S: Clone,
    {
        self.last.elapsed = self.began.elapsed();
        let timing = self.journey.timing(self.last);
        let request = Some(self.journey.request(&self.original, self.last));
        let now = Instant::now();
        let over = |time: Option<Duration>| time.and_then(|time| now.checked_add(time));
        let lane = Lane::Readying {
            service: self.service.clone(),
            request,
        };
        (
            Leg {
                lane,
                until: over(timing.most),
                attempt: self.last,
            },
            over(timing.hedge),
        )
    }

    /// A second leg beside the first, if the budget pays.
    fn hedge<F, B>(&mut self) -> Option<Leg<F, S, Req, B>>
    where
        S: Clone,
    {
        if !self.budget.as_ref().is_none_or(RetryBudget::take_out) {
            return None;
        }
        self.last.number += 1;
        self.last.here += 1;
        self.last.hedge = true;
        Some(self.leg().0)
    }
}

impl<F, S, Req, B> Leg<F, S, Req, B> {
    fn is_idle(&self) -> bool {
        matches!(self.lane, Lane::Idle)
    }

    fn poll<J>(
        self: Pin<&mut Self>,
        trip: &mut Trip<S, Req, J>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended<B>>
    where
        S: Service<Req, Response = Response<B>, Future = F>,
        F: Future<Output = Result<Response<B>, S::Error>>,
        S::Error: Into<BoxError>,
        B: http_body::Body + Unpin,
        B::Error: Into<BoxError>,
        J: Journey<Req>,
    {
        let this = self.project();
        let (mut lane, attempt) = (this.lane, *this.attempt);
        let ended = loop {
            match lane.as_mut().project() {
                LaneProj::Idle => return Poll::Pending,
                LaneProj::Readying { service, request } => {
                    let Poll::Ready(ready) = service.poll_ready(cx) else {
                        break None;
                    };
                    if let Err(error) = ready {
                        break Some(failed(trip, attempt, error.into(), false));
                    }
                    let request = request.take().expect("it is taken once");
                    let inner = service.call(request);
                    lane.set(Lane::Calling { inner });
                }
                LaneProj::Calling { inner } => {
                    let Poll::Ready(result) = inner.poll(cx) else {
                        break None;
                    };
                    let (head, body) = match result {
                        Ok(response) => response.into_parts(),
                        Err(error) => break Some(failed(trip, attempt, error.into(), false)),
                    };
                    let verdict = trip.judge(attempt, Seen::Head(&head));
                    let wait = verdict == Verdict::Done && !body.is_end_stream();
                    if wait && trip.journey.waits_for_first_frame(&head) {
                        lane.set(Lane::Peeking {
                            response: Some((head, body)),
                        });
                    } else {
                        let outcome = Ok(Response::from_parts(head, Body { first: None, body }));
                        break Some(Ended { outcome, verdict });
                    }
                }
                LaneProj::Peeking { response } => {
                    let (_, body) = response.as_mut().expect("polled after it was ready");
                    let Poll::Ready(first) = Pin::new(body).poll_frame(cx) else {
                        break None;
                    };
                    let (head, body) = response.take().expect("it was there just now");
                    let first = match first {
                        Some(Err(error)) => break Some(failed(trip, attempt, error.into(), true)),
                        Some(Ok(frame)) => Some(frame),
                        None => None,
                    };
                    let outcome = Ok(Response::from_parts(head, Body { first, body }));
                    break Some(Ended {
                        outcome,
                        verdict: Verdict::Done,
                    });
                }
            }
        };
        let over = || this.until.is_some_and(|until| Instant::now() >= until);
        let ended = match ended {
            Some(ended) => ended,
            None if over() => {
                let verdict = trip.judge(attempt, Seen::TimedOut);
                Ended {
                    outcome: Err(trip.timed_out(false)),
                    verdict,
                }
            }
            None => return Poll::Pending,
        };
        // What lost or failed is dropped here and now, not when the request is over.
        lane.set(Lane::Idle);
        Poll::Ready(ended)
    }
}

fn failed<S, Req, J: Journey<Req>, B: http_body::Body>(
    trip: &mut Trip<S, Req, J>,
    attempt: Attempt,
    error: BoxError,
    body: bool,
) -> Ended<B> {
    let seen = if body {
        Seen::Body(&error)
    } else {
        Seen::Error(&error)
    };
    let verdict = trip.judge(attempt, seen);
    Ended {
        outcome: Err(error),
        verdict,
    }
}

impl<S, Req, J, B> Future for ResponseFuture<S, Req, J, B>
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body + Unpin,
    B::Error: Into<BoxError>,
    J: Journey<Req>,
{
    type Output = Result<Response<Body<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (trip, mut first, mut second, hedge, pause, mut timer) =
            match self.project().state.project() {
                StateProj::Passing { inner } => {
                    let whole = |body| Body { first: None, body };
                    let result = ready!(inner.poll(cx));
                    return Poll::Ready(result.map(|ok| ok.map(whole)).map_err(Into::into));
                }
                StateProj::Trying {
                    trip,
                    first,
                    second,
                    hedge,
                    pause,
                    timer,
                } => (trip, first, second, hedge, pause, timer),
            };
        loop {
            if pause.is_some_and(|until| Instant::now() >= until) {
                *pause = None;
                let (leg, hedged) = trip.leg();
                first.set(leg);
                *hedge = hedged;
            }
            let mut ended = first.as_mut().poll(trip, cx);
            if ended.is_pending() {
                ended = second.as_mut().poll(trip, cx);
            }
            if let Poll::Ready(Ended { outcome, verdict }) = ended {
                if verdict == Verdict::Done {
                    return Poll::Ready(outcome);
                }
                if !(first.is_idle() && second.is_idle()) {
                    continue;
                }
                *hedge = None;
                match trip.goes_on(verdict) {
                    Some(at) => *pause = Some(at),
                    None => return Poll::Ready(outcome),
                }
                continue;
            }
            let now = Instant::now();
            if trip.total.is_some_and(|total| now >= total) {
                return Poll::Ready(Err(trip.timed_out(true)));
            }
            if hedge.is_some_and(|at| now >= at) {
                *hedge = None;
                // The one that is left of two takes the first place.
                if let Some(leg) = trip.hedge() {
                    second.set(leg);
                    continue;
                }
            }
            let until = |leg: &Leg<_, _, _, _>| leg.until.filter(|_| !leg.is_idle());
            let ends = [until(&first), until(&second), *hedge, *pause, trip.total];
            let Some(next) = ends.into_iter().flatten().min() else {
                return Poll::Pending;
            };
            match timer.as_mut().as_pin_mut() {
                Some(timer) if timer.deadline() == next => {}
                Some(timer) => timer.reset(next),
                None => timer.set(Some(sleep_until(next))),
            }
            let sleep = timer.as_mut().as_pin_mut().expect("it was set just now");
            ready!(sleep.poll(cx));
        }
    }
}

/// The body of a response whose first frame may have been waited for.
#[derive(Debug)]
pub struct Body<B: http_body::Body> {
    first: Option<Frame<B::Data>>,
    body: B,
}

impl<B: http_body::Body> Body<B> {
    /// The inner service's body, and its first frame if that was waited for.
    pub fn into_parts(self) -> (Option<Frame<B::Data>>, B) {
        (self.first, self.body)
    }
}

impl<B: http_body::Body + Unpin> Unpin for Body<B> {}

impl<B: http_body::Body + Unpin> http_body::Body for Body<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        use bytes::Buf;

        let held = self
            .first
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, Buf::remaining) as u64;
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
