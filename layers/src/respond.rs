//! Turns errors into responses, once, on the outside of a stack.
//!
//! The other layers refuse with small error types and build no responses. [`RespondLayer`], the
//! outermost of the stack, gives each error to a function of yours, and its service never fails:
//! what axum and hyper ask for.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use pointsman_layers::{BoxError, respond::RespondLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new(|error: BoxError| {
//!         let mut response = Response::new(Full::new(Bytes::from(error.to_string())));
//!         *response.status_mut() = StatusCode::BAD_GATEWAY;
//!         response
//!     }))
//!     .service(service_fn(|_: Request<()>| async {
//!         Err::<Response<Full<Bytes>>, BoxError>("no luck".into())
//!     }));
//! let response = service.oneshot(Request::new(())).await.unwrap();
//! assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
//! # });
//! ```
//!
//! A renderer that answers in the caller's own form keeps something of the request:
//! [`RespondLayer::with`].

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// What is kept of a request for rendering its error; closures `Fn(&Req) -> T` do.
pub trait Keep<Req> {
    /// What is kept.
    type Kept;

    /// Takes it from the request on its way in.
    fn keep(&self, request: &Req) -> Self::Kept;
}

impl<Req, T, F: Fn(&Req) -> T> Keep<Req> for F {
    type Kept = T;

    fn keep(&self, request: &Req) -> T {
        self(request)
    }
}

/// Keeps nothing of the request.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl<Req> Keep<Req> for Nothing {
    type Kept = ();

    fn keep(&self, _: &Req) {}
}

/// Makes the response of an error.
pub trait Render<K, E> {
    /// The body of the responses it makes; it may be another type than the inner service's.
    type Body;

    /// Renders `error` for a request of which `kept` was kept.
    fn render(&self, kept: K, error: E) -> Response<Self::Body>;
}

/// Renders by a closure of the error alone.
#[derive(Debug, Clone, Copy)]
pub struct ByError<F>(F);

impl<E, B, F: Fn(E) -> Response<B>> Render<(), E> for ByError<F> {
    type Body = B;

    fn render(&self, (): (), error: E) -> Response<B> {
        self.0(error)
    }
}

/// Renders by a closure of what was kept and the error.
#[derive(Debug, Clone, Copy)]
pub struct ByBoth<F>(F);

impl<K, E, B, F: Fn(K, E) -> Response<B>> Render<K, E> for ByBoth<F> {
    type Body = B;

    fn render(&self, kept: K, error: E) -> Response<B> {
        self.0(kept, error)
    }
}

/// Makes services whose errors are responses.
#[derive(Debug, Clone, Copy)]
pub struct RespondLayer<R, K = Nothing> {
    keep: K,
    render: R,
}

impl<F> RespondLayer<ByError<F>> {
    /// Renders each error with `render`.
    pub fn new(render: F) -> Self {
        Self {
            keep: Nothing,
            render: ByError(render),
        }
    }
}

impl<F, K> RespondLayer<ByBoth<F>, K> {
    /// Keeps of each request what `keep` gives and renders its error, if one comes, with both.
    pub fn with(keep: K, render: F) -> Self {
        Self {
            keep,
            render: ByBoth(render),
        }
    }
}

impl<S, R: Clone, K: Clone> Layer<S> for RespondLayer<R, K> {
    type Service = Respond<S, R, K>;

    fn layer(&self, inner: S) -> Self::Service {
        Respond {
            inner,
            keep: self.keep.clone(),
            render: self.render.clone(),
            failed: None,
        }
    }
}

/// The service of [`RespondLayer`].
#[derive(Debug)]
pub struct Respond<S, R, K = Nothing> {
    inner: S,
    keep: K,
    render: R,
    failed: Option<BoxError>,
}

impl<S: Clone, R: Clone, K: Clone> Clone for Respond<S, R, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            keep: self.keep.clone(),
            render: self.render.clone(),
            failed: None,
        }
    }
}

impl<S, R, K, Req, B> Service<Req> for Respond<S, R, K>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    K: Keep<Req>,
    R: Render<K::Kept, BoxError> + Clone,
{
    type Response = Response<Either<B, R::Body>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future, R, K::Kept>;

    // A service that fails to get ready has no request to answer yet: its error waits for one.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.failed.is_none()
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            self.failed = Some(error.into());
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let kept = Some(self.keep.keep(&request));
        let state = match self.failed.take() {
            Some(error) => State::Failed { error: Some(error) },
            None => State::Calling {
                inner: self.inner.call(request),
            },
        };
        ResponseFuture {
            state,
            render: self.render.clone(),
            kept,
        }
    }
}

pin_project! {
    /// The future of [`Respond`].
    #[derive(Debug)]
    pub struct ResponseFuture<F, R, K> {
        #[pin]
        state: State<F>,
        render: R,
        kept: Option<K>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Calling { #[pin] inner: F },
        Failed { error: Option<BoxError> },
    }
}

impl<F, R, K, B, E> Future for ResponseFuture<F, R, K>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    R: Render<K, BoxError>,
{
    type Output = Result<Response<Either<B, R::Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match this.state.project() {
            StateProj::Calling { inner } => match ready!(inner.poll(cx)) {
                Ok(response) => {
                    return Poll::Ready(Ok(response.map(Either::inner)));
                }
                Err(error) => error.into(),
            },
            StateProj::Failed { error } => error.take().expect("polled after it was ready"),
        };
        let kept = this.kept.take().expect("polled after it was ready");
        let response = this.render.render(kept, error);
        Poll::Ready(Ok(response.map(Either::rendered)))
    }
}

pin_project! {
    /// The body of a response that came from within, or of one that was rendered from an error.
    #[derive(Debug, Clone)]
    pub struct Either<B, R> {
        #[pin]
        side: Side<B, R>,
    }
}

pin_project! {
    #[project = SideProj]
    #[derive(Debug, Clone)]
    enum Side<B, R> {
        Inner { #[pin] body: B },
        Rendered { #[pin] body: R },
    }
}

impl<B, R> Either<B, R> {
    fn inner(body: B) -> Self {
        Self {
            side: Side::Inner { body },
        }
    }

    fn rendered(body: R) -> Self {
        Self {
            side: Side::Rendered { body },
        }
    }
}

impl<B, R> Body for Either<B, R>
where
    B: Body,
    B::Error: Into<BoxError>,
    R: Body<Data = B::Data>,
    R::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        match self.project().side.project() {
            SideProj::Inner { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            SideProj::Rendered { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.side {
            Side::Inner { body } => body.is_end_stream(),
            Side::Rendered { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.side {
            Side::Inner { body } => body.size_hint(),
            Side::Rendered { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;
    use http_body_util::{BodyExt, Full};
    use tokio_test::{assert_pending, assert_ready_ok, task};

    use super::*;

    type Inner = tower_test::mock::Mock<u8, Response<Full<Bytes>>>;
    type Handle = tower_test::mock::Handle<u8, Response<Full<Bytes>>>;

    fn mock() -> (Inner, Handle) {
        tower_test::mock::pair()
    }

    fn teapot(kept: u8, error: &BoxError) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{kept}: {error}")));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    }

    #[tokio::test]
    async fn an_error_is_rendered_with_what_was_kept() {
        let (inner, mut handle) = mock();
        let layer = RespondLayer::with(|request: &u8| *request, |kept, error| teapot(kept, &error));
        let mut service = layer.layer(inner);
        handle.allow(1);
        let mut ready = task::spawn(std::future::poll_fn(|cx| service.poll_ready(cx)));
        assert_ready_ok!(ready.poll());
        drop(ready);
        let mut call = task::spawn(service.call(7));
        assert_pending!(call.poll());
        handle.next_request().await.unwrap().1.send_error("boom");
        let response = assert_ready_ok!(call.poll());
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "7: boom");
    }

    #[tokio::test]
    async fn a_service_that_fails_to_get_ready_answers_the_next_request() {
        let (inner, handle) = mock();
        drop(handle);
        let layer = RespondLayer::new(|error: BoxError| teapot(0, &error));
        let mut service = layer.layer(inner);
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .unwrap();
        let response = service.call(1).await.unwrap();
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    }
}
