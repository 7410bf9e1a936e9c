//! Deadlines: how long a request may take, in all services that it passes.
//!
//! On the way in [`DeadlineLayer`] reads the time that the client gives from a header, if you name
//! one, takes the lesser of it and the most, and puts a [`Deadline`] into the request's extensions;
//! a deadline that is there already stays if it is earlier. On the way out the response and its
//! body must come before it: the layer refuses with [`DeadlineExceeded`], and so ends the body.
//! [`SendDeadlineLayer`], around a client, writes the time that is left into a header of the
//! outgoing request, and does not send one whose time is over.
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{HeaderName, Request, Response};
//! use http_body_util::Full;
//! use pointsman_layers::deadline::{DeadlineExceeded, DeadlineLayer, SendDeadlineLayer};
//! use pointsman_layers::{BoxError, find};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let header = HeaderName::from_static("x-timeout");
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(600)).header(header.clone()))
//!     .layer(SendDeadlineLayer::new(header))
//!     .service(service_fn(|request: Request<()>| async move {
//!         assert!(request.headers()["x-timeout"].to_str()?.starts_with("0.0"));
//!         std::future::pending::<()>().await;
//!         Ok::<_, BoxError>(Response::new(Full::new(Bytes::new())))
//!     }));
//! let request = Request::builder().header("x-timeout", "0.02").body(()).unwrap();
//! let error = service.oneshot(request).await.unwrap_err();
//! assert!(find::<DeadlineExceeded>(&*error).is_some());
//! # });
//! ```

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// When a request must be answered, in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The request's time was over. 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadlineExceeded;

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's time is over")
    }
}

impl Error for DeadlineExceeded {}

/// Gives requests a deadline.
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    most: Duration,
    header: Option<HeaderName>,
}

impl DeadlineLayer {
    /// Every request has at most this time.
    pub const fn new(most: Duration) -> Self {
        Self { most, header: None }
    }

    /// Clients may ask for less: in seconds, with decimals if they like. What is not a positive
    /// number is not looked at.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = Some(name);
        self
    }

    fn time(&self, headers: &HeaderMap) -> Duration {
        let asked = self.header.as_ref().and_then(|name| {
            let seconds: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
            Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|time| !time.is_zero())
        });
        asked.map_or(self.most, |asked| asked.min(self.most))
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> WithDeadline<S> {
        WithDeadline {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`DeadlineLayer`].
#[derive(Debug, Clone)]
pub struct WithDeadline<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl<S, A, B> Service<Request<A>> for WithDeadline<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<Timed<B>>;
    type Error = BoxError;
    type Future = Timed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let until = Instant::now() + self.layer.time(request.headers());
        let earlier = request
            .extensions()
            .get::<Deadline>()
            .filter(|known| known.0 <= until);
        let until = earlier.map_or(until, |known| known.0);
        request.extensions_mut().insert(Deadline(until));
        Timed::new(self.inner.call(request), until)
    }
}

pin_project! {
    /// A response's future or body that ends at a deadline.
    #[derive(Debug)]
    pub struct Timed<T> {
        #[pin]
        inner: T,
        until: Instant,
        // Set when it first has to wait; boxed, so that a body that was `Unpin` still is.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<T> Timed<T> {
    fn new(inner: T, until: Instant) -> Self {
        Self {
            inner,
            until,
            timer: None,
        }
    }
}

fn poll_over(
    timer: &mut Option<Pin<Box<Sleep>>>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    timer
        .get_or_insert_with(|| Box::pin(sleep_until(until)))
        .as_mut()
        .poll(cx)
}

impl<F, B, E> Future for Timed<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Timed<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let timed = |body| Timed::new(body, *this.until);
            return Poll::Ready(result.map(|ok| ok.map(timed)).map_err(Into::into));
        }
        poll_over(this.timer, *this.until, cx).map(|()| Err(DeadlineExceeded.into()))
    }
}

impl<B> Body for Timed<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        poll_over(this.timer, *this.until, cx).map(|()| Some(Err(DeadlineExceeded.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Tells the next service how much time is left.
#[derive(Debug, Clone)]
pub struct SendDeadlineLayer {
    header: HeaderName,
}

impl SendDeadlineLayer {
    /// Writes the seconds that are left, with decimals, into `header`. A request without a deadline
    /// goes out as it is.
    pub const fn new(header: HeaderName) -> Self {
        Self { header }
    }
}

impl<S> Layer<S> for SendDeadlineLayer {
    type Service = SendDeadline<S>;

    fn layer(&self, inner: S) -> SendDeadline<S> {
        SendDeadline {
            inner,
            header: self.header.clone(),
        }
    }
}

/// The service of [`SendDeadlineLayer`].
#[derive(Debug, Clone)]
pub struct SendDeadline<S> {
    inner: S,
    header: HeaderName,
}

impl<S, A> Service<Request<A>> for SendDeadline<S>
where
    S: Service<Request<A>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Sending<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        if let Some(deadline) = request.extensions().get::<Deadline>() {
            let left = deadline.left();
            if left.is_zero() {
                return Sending { inner: None };
            }
            if let Ok(value) = HeaderValue::try_from(format!("{:.3}", left.as_secs_f64())) {
                request.headers_mut().insert(&self.header, value);
            }
        }
        Sending {
            inner: Some(self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The future of [`SendDeadline`].
    #[derive(Debug)]
    pub struct Sending<F> {
        #[pin]
        inner: Option<F>,
    }
}

impl<F, T, E> Future for Sending<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll(cx).map_err(Into::into),
            None => Poll::Ready(Err(DeadlineExceeded.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::sleep;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::find;

    const HEADER: HeaderName = HeaderName::from_static("x-timeout");

    fn ask(time: &str) -> Request<()> {
        Request::builder().header(HEADER, time).body(()).unwrap()
    }

    fn time(text: &str) -> u64 {
        let layer = DeadlineLayer::new(Duration::from_secs(9)).header(HEADER);
        u64::try_from(layer.time(ask(text).headers()).as_millis()).unwrap()
    }

    #[test]
    fn clients_may_ask_for_less() {
        assert_eq!([time("2"), time(" 0.5 "), time("100")], [2_000, 500, 9_000]);
        for wrong in ["", "0", "-1", "NaN", "inf", "soon"] {
            assert_eq!(time(wrong), 9_000, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_deadline_holds_for_head_and_body() {
        let layer = DeadlineLayer::new(Duration::from_secs(9)).header(HEADER);
        let inner = service_fn(|request: Request<()>| async move {
            assert_eq!(
                request
                    .extensions()
                    .get::<Deadline>()
                    .unwrap()
                    .left()
                    .as_secs(),
                3
            );
            let frames = futures_util::stream::unfold((), |()| async {
                sleep(Duration::from_secs(2)).await;
                Some((Ok::<_, BoxError>(Frame::data(Bytes::from("x"))), ()))
            });
            Ok::<_, BoxError>(Response::new(Box::pin(StreamBody::new(frames))))
        });
        let outer = DeadlineLayer::new(Duration::from_secs(3)).layer(layer.layer(inner));
        let mut body = outer.oneshot(ask("5")).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(find::<DeadlineExceeded>(&*error).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_passed_on_and_nothing_is_sent_too_late() {
        let client =
            SendDeadlineLayer::new(HEADER).layer(service_fn(|request: Request<()>| async move {
                Ok::<_, BoxError>(request.headers().get(HEADER).cloned())
            }));
        let mut request = Request::new(());
        assert_eq!(client.clone().oneshot(request.clone()).await.unwrap(), None);
        request
            .extensions_mut()
            .insert(Deadline(Instant::now() + Duration::from_secs(3)));
        sleep(Duration::from_secs(1)).await;
        let sent = client
            .clone()
            .oneshot(request.clone())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(sent, "2.000");
        sleep(Duration::from_secs(5)).await;
        client.oneshot(request).await.unwrap_err();
    }
}
