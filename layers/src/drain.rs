//! Drain: finish what runs, begin nothing new, and know when it is done.
//!
//! On the way in a request is counted, unless the drain has begun: then it is refused with
//! [`Draining`]. On the way out the count falls when the response body has ended, failed or been
//! dropped. [`Drain::done`] waits for the last of them.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::BoxError;
//! use pointsman_layers::drain::Drain;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let drain = Drain::new();
//! let service = ServiceBuilder::new().layer(drain.layer()).service(service_fn(
//!     |_: Request<()>| async {
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("hi"))))
//!     },
//! ));
//! let running = service.clone().oneshot(Request::new(())).await.unwrap();
//! drain.begin();
//! assert!(service.oneshot(Request::new(())).await.is_err());
//! assert_eq!(drain.running(), 1);
//! drop(running);
//! drain.done().await;
//! # });
//! ```

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;
use crate::body::{End, Watch, Watched};

/// Begins a drain and waits for its end; clones are handles of the same.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Twice the running requests, and one more when the drain has begun: that no request slips in
    /// between the two, they are one number.
    state: AtomicUsize,
    changed: Notify,
}

const BEGUN: usize = 1;
const ONE: usize = 2;

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// A layer whose requests are counted here.
    pub fn layer(&self) -> DrainLayer {
        DrainLayer {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Refuses new requests from now on.
    pub fn begin(&self) {
        self.shared.state.fetch_or(BEGUN, Ordering::AcqRel);
        self.shared.changed.notify_waiters();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) & BEGUN != 0
    }

    /// The requests whose response body has not ended.
    pub fn running(&self) -> usize {
        self.shared.state.load(Ordering::Acquire) / ONE
    }

    /// Waits until the drain has begun.
    pub async fn begun(&self) {
        self.wait(|state| state & BEGUN != 0).await;
    }

    /// Waits until the drain has begun and nothing runs any more.
    pub async fn done(&self) {
        self.wait(|state| state == BEGUN).await;
    }

    async fn wait(&self, until: impl Fn(usize) -> bool) {
        loop {
            // Listened for before the look, so that a change in between is not missed.
            let changed = self.shared.changed.notified();
            if until(self.shared.state.load(Ordering::Acquire)) {
                return;
            }
            changed.await;
        }
    }
}

/// Counts requests for a [`Drain`].
#[derive(Debug, Clone)]
pub struct DrainLayer {
    shared: Arc<Shared>,
}

impl<S> Layer<S> for DrainLayer {
    type Service = Drained<S>;

    fn layer(&self, inner: S) -> Drained<S> {
        Drained {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// The service is shutting down. 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draining;

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service is shutting down")
    }
}

impl Error for Draining {}

/// The service of [`DrainLayer`].
#[derive(Debug, Clone)]
pub struct Drained<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, Req, B> Service<Req> for Drained<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
{
    type Response = Response<Watched<B, Running>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let running = Running::begin(&self.shared);
        let inner = running.is_some().then(|| self.inner.call(request));
        ResponseFuture { inner, running }
    }
}

/// One request that runs.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
}

impl Running {
    fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let one_more = |state: usize| (state & BEGUN == 0).then_some(state + ONE);
        shared
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .ok()?;
        Some(Self {
            shared: Arc::clone(shared),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.shared.state.fetch_sub(ONE, Ordering::AcqRel) == ONE + BEGUN {
            self.shared.changed.notify_waiters();
        }
    }
}

impl Watch for Running {
    fn end(self, _: End) {}
}

pin_project! {
    /// The future of [`Drained`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        running: Option<Running>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
{
    type Output = Result<Response<Watched<B, Running>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(Draining.into()));
        };
        let response = ready!(inner.poll(cx)).map_err(Into::into)?;
        let running = this.running.take().expect("polled after it was ready");
        Poll::Ready(Ok(response.map(|body| Watched::new(body, running))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;
    use tokio::time::sleep;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::find;

    #[tokio::test(start_paused = true)]
    async fn what_runs_is_finished_and_nothing_new_begins() {
        let drain = Drain::new();
        let service = drain.layer().layer(service_fn(|_: Request<()>| async {
            sleep(Duration::from_secs(2)).await;
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("x"))))
        }));
        let call = || service.clone().oneshot(Request::new(()));
        let late = async {
            sleep(Duration::from_secs(1)).await;
            drain.begin();
            find::<Draining>(&*call().await.unwrap_err()).copied()
        };
        let dropped = tokio::time::timeout(Duration::from_secs(1), call());
        let (early, late, dropped) = tokio::join!(call(), late, dropped);
        assert_eq!(
            (late, dropped.is_err(), drain.running()),
            (Some(Draining), true, 1)
        );
        let ended = async {
            sleep(Duration::from_secs(3)).await;
            drop(early.unwrap());
            tokio::time::Instant::now()
        };
        let done = async {
            drain.done().await;
            tokio::time::Instant::now()
        };
        let (ended, done) = tokio::join!(ended, done);
        assert_eq!(ended, done);
        drain.begun().await;
    }
}
