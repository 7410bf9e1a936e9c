//! Load shedding: so many at once, so many in the queue, and none of them for longer than so.
//!
//! On the way in a request takes one of the places; if there is none, it waits, in the order of
//! arrival, if the queue has room. On the way out the place is free again when the response body
//! has ended, failed or been dropped. It refuses with [`Overloaded`]: at once if the queue is full,
//! or when the request has waited for as long as it may.
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::shed::{Overloaded, ShedLayer};
//! use pointsman_layers::{BoxError, find};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new()
//!     .layer(ShedLayer::new(1, 0, Duration::from_millis(100)))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
//!     }));
//! let first = service.clone().oneshot(Request::new(())).await.unwrap();
//! let error = service.clone().oneshot(Request::new(())).await.unwrap_err();
//! assert_eq!(find(&*error), Some(&Overloaded::Full));
//! drop(first);
//! assert!(service.oneshot(Request::new(())).await.is_ok());
//! # });
//! ```
//!
//! The places are shared by all services of one layer and its clones. A request that finds a place
//! allocates nothing; the future may be dropped at any time.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;
use crate::body::{End, Watch, Watched};

/// Bounds the requests at once, the queue, and the time in it.
#[derive(Debug, Clone)]
pub struct ShedLayer {
    places: Arc<Semaphore>,
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    waiting: AtomicUsize,
    most: usize,
    longest: Duration,
}

impl ShedLayer {
    /// At most `at_once` requests are served and `queued` more wait, for at most `longest` each.
    pub fn new(at_once: usize, queued: usize, longest: Duration) -> Self {
        let places = Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)));
        let queue = Queue {
            waiting: AtomicUsize::new(0),
            most: queued,
            longest,
        };
        Self {
            places,
            queue: Arc::new(queue),
        }
    }

    /// The requests that wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting.load(Ordering::Relaxed)
    }

    /// The places that are free.
    pub fn free(&self) -> usize {
        self.places.available_permits()
    }
}

impl<S> Layer<S> for ShedLayer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Shed<S> {
        Shed {
            inner,
            layer: self.clone(),
        }
    }
}

/// The request was not served: too many others are. 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overloaded {
    /// The queue had no room.
    Full,
    /// It waited for as long as it may.
    Waited,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many requests are waiting",
            Self::Waited => "the request has waited too long for its turn",
        })
    }
}

impl Error for Overloaded {}

/// The service of [`ShedLayer`].
#[derive(Debug, Clone)]
pub struct Shed<S> {
    inner: S,
    layer: ShedLayer,
}

impl<S, Req, B> Service<Req> for Shed<S>
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
{
    type Response = Response<Watched<B, Place>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let ShedLayer { places, queue } = &self.layer;
        if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
            let place = Some(Place { _permit: permit });
            return ResponseFuture {
                state: State::Calling {
                    inner: self.inner.call(request),
                    place,
                },
            };
        }
        let Some(ticket) = Ticket::draw(queue) else {
            return ResponseFuture {
                state: State::Refused,
            };
        };
        let (places, longest) = (Arc::clone(places), queue.longest);
        let turn = Box::pin(async move {
            let _ticket = ticket;
            let permit = tokio::time::timeout(longest, places.acquire_owned()).await;
            permit.ok()?.ok()
        });
        // The service that was made ready goes with the request; a clone stays.
        let fresh = self.inner.clone();
        let service = std::mem::replace(&mut self.inner, fresh);
        ResponseFuture {
            state: State::Queued {
                turn,
                waiting: Some((service, request)),
            },
        }
    }
}

/// A place among the requests that are served, free when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Watch for Place {
    fn end(self, _: End) {}
}

struct Ticket(Arc<Queue>);

impl Ticket {
    fn draw(queue: &Arc<Queue>) -> Option<Self> {
        let more = |waiting| (waiting < queue.most).then_some(waiting + 1);
        queue
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Self(Arc::clone(queue)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The future of [`Shed`].
    pub struct ResponseFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S::Future, S, Req>,
    }
}

type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<F, S, Req> {
        Calling { #[pin] inner: F, place: Option<Place> },
        Queued { turn: Turn, waiting: Option<(S, Req)> },
        Refused,
    }
}

impl<S, Req, B> Future for ResponseFuture<S, Req>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
{
    type Output = Result<Response<Watched<B, Place>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Refused => return Poll::Ready(Err(Overloaded::Full.into())),
                StateProj::Calling { inner, place } => {
                    let response = ready!(inner.poll(cx)).map_err(Into::into)?;
                    let place = place.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(response.map(|body| Watched::new(body, place))));
                }
                StateProj::Queued { turn, waiting } => {
                    let Some(permit) = ready!(turn.as_mut().poll(cx)) else {
                        return Poll::Ready(Err(Overloaded::Waited.into()));
                    };
                    let (mut service, request) = waiting.take().expect("polled after it was ready");
                    let place = Some(Place { _permit: permit });
                    state.set(State::Calling {
                        inner: service.call(request),
                        place,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;
    use tokio::time::{Instant, sleep};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::find;

    async fn slow(_: Request<()>) -> Result<Response<Full<Bytes>>, BoxError> {
        sleep(Duration::from_secs(2)).await;
        Ok(Response::default())
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_served_some_wait_and_the_rest_is_refused() {
        let layer = ShedLayer::new(2, 2, Duration::from_secs(3));
        let service = layer.layer(service_fn(slow));
        let began = Instant::now();
        let outcomes = futures_util::future::join_all((0..6).map(|_| async {
            let result = service.clone().oneshot(Request::new(())).await;
            let error = result
                .err()
                .and_then(|error| find::<Overloaded>(&*error).copied());
            (began.elapsed().as_secs(), error)
        }));
        let expected = [
            (2, None),
            (2, None),
            (4, None),
            (4, None),
            (0, Some(Overloaded::Full)),
            (0, Some(Overloaded::Full)),
        ];
        assert_eq!(outcomes.await, expected);
        assert_eq!((layer.free(), layer.waiting()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_bound() {
        let layer = ShedLayer::new(1, 1, Duration::from_secs(1));
        let service = layer.layer(service_fn(slow));
        let first = service.clone().oneshot(Request::new(()));
        let second = service.clone().oneshot(Request::new(()));
        let (first, second) = tokio::join!(first, second);
        assert_eq!(find(&*second.unwrap_err()), Some(&Overloaded::Waited));
        assert_eq!(layer.free(), 0);
        drop(first);
        assert_eq!((layer.free(), layer.waiting()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drop_frees_the_place_in_the_queue() {
        let layer = ShedLayer::new(1, 1, Duration::from_secs(10));
        let service = layer.layer(service_fn(slow));
        let first = service.clone().oneshot(Request::new(()));
        let second = tokio::time::timeout(
            Duration::from_millis(1),
            service.clone().oneshot(Request::new(())),
        );
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_ok() && second.is_err());
        assert_eq!(layer.waiting(), 0);
    }
}
