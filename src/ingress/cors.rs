//! Pages of other sites that call the gateway from a browser (CORS; the WHATWG's Fetch standard).
//!
//! A request with an `Origin` gets the answer's headers, and its preflight an answer, if the file's
//! `cors_allow_origins` names the origin: all of them unless given, as in LiteLLM. Cookies are never
//! allowed, since keys come in headers. A gateway without keys answers no page of another site unless
//! the file names it: any page could spend its money. Requests without an `Origin` go by untouched.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response, header};
use tower::{Layer, Service};
use tower_http::cors::{
    AllowHeaders, AllowMethods, AllowOrigin, Any, Cors, CorsLayer, ResponseFuture,
};

use crate::live::Handle;

/// How long a browser may remember a preflight's answer.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Wraps services in [`Browsers`].
#[derive(Clone, Debug)]
pub struct BrowserLayer(CorsLayer);

impl BrowserLayer {
    /// Asks the table in force which origins may call.
    pub fn new(live: Handle) -> Self {
        let allowed = AllowOrigin::predicate(move |origin, _| {
            let live = live.peek();
            live.admission()
                .admits_origin(origin.as_bytes(), live.master_key().is_some())
        });
        Self(
            CorsLayer::new()
                .allow_origin(allowed)
                .allow_methods(AllowMethods::mirror_request())
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(Any)
                .max_age(REMEMBERED),
        )
    }
}

impl<S: Clone> Layer<S> for BrowserLayer {
    type Service = Browsers<S>;

    fn layer(&self, inner: S) -> Browsers<S> {
        Browsers {
            cors: self.0.layer(inner.clone()),
            inner,
        }
    }
}

/// Answers browsers by the rules of CORS, and everybody else without them.
#[derive(Clone, Debug)]
pub struct Browsers<S> {
    cors: Cors<S>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Browsers<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<ResponseFuture<S::Future>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.cors.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.inner.poll_ready(cx),
            other => other,
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.headers().contains_key(header::ORIGIN) {
            Either::Left(self.cors.call(request))
        } else {
            Either::Right(self.inner.call(request))
        }
    }
}
