//! The layer, its service, its future and its body.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::response::Parts;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::flight::{Chunks, Finish, Flights, Joined, Order, Seat};
use super::{CacheStore, Found, Plan, Recorded, Served};
use crate::BoxError;
use crate::ready::Soon;

/// Says what a request may use of the cache; closures `Fn(&Req) -> Option<Plan>` do. `None` is
/// nothing.
pub trait Plans<Req> {
    /// The plan of `request`.
    fn plan(&self, request: &Req) -> Option<Plan>;
}

impl<Req, F: Fn(&Req) -> Option<Plan>> Plans<Req> for F {
    fn plan(&self, request: &Req) -> Option<Plan> {
        self(request)
    }
}

/// Caches responses.
#[derive(Clone)]
pub struct CacheLayer<K, P> {
    store: K,
    plans: P,
    rules: Rules,
}

/// Tells the client where the response came from.
type Mark = Arc<dyn Fn(&mut Parts, Served) + Send + Sync>;

#[derive(Clone)]
struct Rules {
    ttl: Duration,
    largest: usize,
    storable: Arc<dyn Fn(&Parts) -> bool + Send + Sync>,
    mark: Option<Mark>,
}

impl<K: CacheStore, P> CacheLayer<K, P> {
    /// Keeps in `store` the responses to the requests that `plans` names keys of, for an hour and
    /// up to one megabyte each.
    pub fn new<Req>(store: K, plans: P) -> Self
    where
        P: Plans<Req>,
    {
        let usual =
            |head: &Parts| head.status == StatusCode::OK && !head.headers.contains_key(SET_COOKIE);
        let rules = Rules {
            ttl: Duration::from_hours(1),
            largest: 1 << 20,
            storable: Arc::new(usual),
            mark: None,
        };
        Self {
            store,
            plans,
            rules,
        }
    }

    /// Stores responses for `ttl` where the plan does not say.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.rules.ttl = ttl;
        self
    }

    /// Stores bodies of up to `bytes` bytes.
    #[must_use]
    pub fn largest(mut self, bytes: usize) -> Self {
        self.rules.largest = bytes;
        self
    }

    /// Stores the responses whose head passes `check`, instead of those of status 200 that set no
    /// cookie.
    #[must_use]
    pub fn storable(mut self, check: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.rules.storable = Arc::new(check);
        self
    }

    /// Lets `mark` tell the client where the response came from.
    #[must_use]
    pub fn mark(mut self, mark: impl Fn(&mut Parts, Served) + Send + Sync + 'static) -> Self {
        self.rules.mark = Some(Arc::new(mark));
        self
    }
}

impl<K: std::fmt::Debug, P> std::fmt::Debug for CacheLayer<K, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheLayer")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl<S, K: Clone, P: Clone> Layer<S> for CacheLayer<K, P> {
    type Service = Cache<S, K, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let (store, rules) = (self.store.clone(), self.rules.clone());
        let flights = Arc::new(Flights::new());
        Cache {
            asking: Asking {
                inner,
                store,
                rules,
                flights,
            },
            plans: self.plans.clone(),
        }
    }
}

/// The service of [`CacheLayer`].
#[derive(Clone)]
pub struct Cache<S, K, P> {
    asking: Asking<S, K>,
    plans: P,
}

impl<S: std::fmt::Debug, K: std::fmt::Debug, P> std::fmt::Debug for Cache<S, K, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Asking { inner, store, .. } = &self.asking;
        f.debug_struct("Cache")
            .field("inner", inner)
            .field("store", store)
            .finish_non_exhaustive()
    }
}

/// All that asks the inner service when the plan is known.
#[derive(Clone)]
struct Asking<S, K> {
    inner: S,
    store: K,
    rules: Rules,
    flights: Arc<Flights>,
}

impl<S, K, P, Req, B> Service<Req> for Cache<S, K, P>
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    K: CacheStore + Clone + Send + 'static,
    P: Plans<Req>,
{
    type Response = Response<Body<B>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req, K>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.asking.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let mark = self.asking.rules.mark.clone();
        let asking = &mut self.asking;
        let state = match self.plans.plan(&request) {
            Some(plan) if !plan.no_cache => match asking.store.get(&plan.key) {
                Soon::Now(found) => asking.answer(plan, found, request),
                Soon::Later(lookup) => {
                    // The service that was made ready goes with the request; a clone stays.
                    let fresh = asking.clone();
                    let asking = std::mem::replace(asking, fresh);
                    State::Looking {
                        lookup,
                        waiting: Some(Waiting {
                            asking,
                            plan,
                            request,
                        }),
                    }
                }
            },
            Some(plan) if !plan.no_store => {
                let call = asking.inner.call(request);
                let seat = asking.flights.alone(plan.key, asking.order(plan, call));
                State::Flying {
                    seat: Some(seat),
                    served: Served::Miss,
                }
            }
            _ => State::Passing {
                inner: asking.inner.call(request),
            },
        };
        ResponseFuture { state, mark }
    }
}

impl Plan {
    fn takes(&self, found: &Found) -> bool {
        self.max_age.is_none_or(|most| found.age <= most)
    }
}

type StateOf<S, Req, K> =
    State<<S as Service<Req>>::Future, <K as CacheStore>::Get, Waiting<S, Req, K>>;

impl<S, K: CacheStore + Clone + Send + 'static> Asking<S, K> {
    /// Answers with what was found, or joins an equal request, or asks the inner service.
    fn answer<Req, B>(
        &mut self,
        plan: Plan,
        found: Option<Found>,
        request: Req,
    ) -> StateOf<S, Req, K>
    where
        S: Service<Req, Response = Response<B>>,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Some(found) = found.filter(|found| plan.takes(found)) {
            return State::Hit { found: Some(found) };
        }
        if plan.no_store {
            return State::Passing {
                inner: self.inner.call(request),
            };
        }
        let again = self.store.clone();
        let stored = || match again.get(&plan.key) {
            Soon::Now(found) => found.filter(|found| plan.takes(found)),
            Soon::Later(_) => None,
        };
        let flights = Arc::clone(&self.flights);
        let begin = || {
            let call = self.inner.call(request);
            self.order(plan, call)
        };
        match flights.join(plan.key, stored, begin) {
            Joined::Stored(found) => State::Hit { found: Some(found) },
            Joined::Own(seat) => State::Flying {
                seat: Some(seat),
                served: Served::Miss,
            },
            Joined::Other(seat) => State::Flying {
                seat: Some(seat),
                served: Served::Joined,
            },
        }
    }

    fn order<F, B, E>(&self, plan: Plan, call: F) -> Order
    where
        F: Future<Output = Result<Response<B>, E>> + Send + 'static,
        E: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let store = self.store.clone();
        let ttl = plan.ttl.unwrap_or(self.rules.ttl);
        let put = move |recorded| store.put(plan.key, Arc::new(recorded), ttl);
        Order {
            call: Box::pin(async move {
                let boxed = |response: Response<B>| response.map(|body| Boxed { body });
                let response = call.await.map(boxed).map_err(Into::into)?;
                Ok(response.map(|body| Box::pin(body) as Chunks))
            }),
            largest: self.rules.largest,
            finish: Finish {
                storable: Arc::clone(&self.rules.storable),
                store: Mutex::new(Some(Box::new(put))),
            },
        }
    }
}

pin_project! {
    /// A body whose errors are boxed.
    struct Boxed<B> {
        #[pin]
        body: B,
    }
}

impl<B> http_body::Body for Boxed<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        self.project()
            .body
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The future of [`Cache`].
    pub struct ResponseFuture<S, Req, K>
    where
        S: Service<Req>,
        K: CacheStore,
    {
        #[pin]
        state: State<S::Future, K::Get, Waiting<S, Req, K>>,
        mark: Option<Mark>,
    }
}

struct Waiting<S, Req, K> {
    asking: Asking<S, K>,
    plan: Plan,
    request: Req,
}

pin_project! {
    #[project = StateProj]
    enum State<F, G, W> {
        Passing { #[pin] inner: F },
        Looking { #[pin] lookup: G, waiting: Option<W> },
        Flying { seat: Option<Seat>, served: Served },
        Hit { found: Option<Found> },
    }
}

impl<S, Req, K, B> Future for ResponseFuture<S, Req, K>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    K: CacheStore + Clone + Send + 'static,
{
    type Output = Result<Response<Body<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        let (mut head, source, served) = loop {
            match state.as_mut().project() {
                StateProj::Passing { inner } => {
                    let (head, body) = ready!(inner.poll(cx)).map_err(Into::into)?.into_parts();
                    break (head, Source::Passing { body }, Served::Bypassed);
                }
                StateProj::Flying { seat, served } => {
                    let flying = seat.as_ref().expect("polled after it was ready");
                    let (head, left) = ready!(flying.poll_head(cx))?;
                    let seat = seat.take().expect("it was there just now");
                    break (head, Source::Flying { seat, left }, *served);
                }
                StateProj::Hit { found } => {
                    let Found { response, age } = found.take().expect("polled after it was ready");
                    let head = response.head();
                    break (
                        head,
                        Source::Replaying { response, next: 0 },
                        Served::Hit { age },
                    );
                }
                StateProj::Looking { lookup, waiting } => {
                    let found = ready!(lookup.poll(cx));
                    let Waiting {
                        mut asking,
                        plan,
                        request,
                    } = waiting.take().expect("polled after it was ready");
                    state.set(asking.answer(plan, found, request));
                }
            }
        };
        if let Some(mark) = this.mark {
            mark(&mut head, served);
        }
        Poll::Ready(Ok(Response::from_parts(head, Body { source })))
    }
}

impl Recorded {
    fn head(&self) -> Parts {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = self.status;
        head.version = self.version;
        head.headers = self.headers.clone();
        head
    }
}

pin_project! {
    /// The body of a response that passed the cache, is shared, or was stored.
    pub struct Body<B> {
        #[pin]
        source: Source<B>,
    }
}

impl<B> std::fmt::Debug for Body<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<B> {
        Passing { #[pin] body: B },
        Flying { seat: Seat, left: Option<u64> },
        Replaying { response: Arc<Recorded>, next: usize },
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.project().source.project() {
            SourceProj::Passing { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            SourceProj::Flying { seat, left } => {
                let frame = ready!(seat.poll_frame(cx));
                if let (Some(Ok(frame)), Some(left)) = (&frame, left) {
                    let passed = frame.data_ref().map_or(0, Bytes::len) as u64;
                    *left = left.saturating_sub(passed);
                }
                Poll::Ready(frame)
            }
            SourceProj::Replaying { response, next } => {
                let index = std::mem::replace(next, next.saturating_add(1));
                let trailers = |at| {
                    if index == at {
                        response.trailers.clone()
                    } else {
                        None
                    }
                };
                let frame = match response.chunks.get(index) {
                    Some(chunk) => Some(Frame::data(chunk.clone())),
                    None => trailers(response.chunks.len()).map(Frame::trailers),
                };
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Passing { body } => body.is_end_stream(),
            Source::Flying { seat, .. } => seat.is_over(),
            Source::Replaying { response, next } => {
                *next >= response.chunks.len() + usize::from(response.trailers.is_some())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Passing { body } => body.size_hint(),
            Source::Flying { left, .. } => {
                left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Source::Replaying { response, next } => {
                let left = response
                    .chunks
                    .iter()
                    .skip(*next)
                    .map(|chunk| chunk.len() as u64);
                SizeHint::with_exact(left.sum())
            }
        }
    }
}
