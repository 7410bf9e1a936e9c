//! Every front door: a request is read into a call, the call is served, and what went wrong before or
//! within is told in the caller's dialect.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use pointsman_layers::BoxError;
use tower::{Service, ServiceExt};

use super::body::Body;
use super::{headers, openai, read, respond};
use crate::call::{Call, Dialect, Route, Trail};
use crate::error::Failure;
use crate::live::Handle;
use crate::spend::report::Reporter;

/// The front doors over a service that answers requests which have been read.
///
/// Layers may stand around that service; each sees the call, with what is known of it, as the
/// request's body. What they fail with becomes a response here.
#[derive(Clone, Debug)]
pub struct FrontDoor<S> {
    live: Handle,
    calls: S,
    reporter: Reporter,
    reason: fn(BoxError) -> Failure,
}

impl<S> FrontDoor<S>
where
    S: Service<Request<Arc<Call>>, Response = Response<Body>, Error: Into<BoxError>> + Clone,
{
    /// Reads requests into calls of `calls`, each with the table that is in force when it comes.
    /// `reason` says what an error of `calls` means to the caller.
    pub fn new(
        live: Handle,
        calls: S,
        reporter: Reporter,
        reason: fn(BoxError) -> Failure,
    ) -> Self {
        Self {
            live,
            calls,
            reporter,
            reason,
        }
    }

    /// Serves a request of this route; `named` is the model of the path, where it has one.
    ///
    /// Always gives a response. Dropping the future, or the response's body, ends the upstream
    /// request, and what was used until then is counted.
    pub async fn serve<B>(
        &self,
        request: Request<B>,
        route: Route,
        named: Option<String>,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let arrived = Instant::now();
        let (head, body) = request.into_parts();
        let id = read::call_id(&head.headers);
        let live = self.live.load();
        let call = match read::read(head, body, live, route, named, id.clone(), arrived).await {
            Ok(call) => call,
            Err(failure) => return refuse(&failure, route.dialect(), &id),
        };
        let answer = self.calls.clone().oneshot(Request::new(Arc::clone(&call)));
        match answer.await {
            Ok(response) => response,
            Err(error) => {
                let failure = (self.reason)(error.into());
                self.reporter
                    .report(respond::failed(&call, &failure, Trail::default()));
                refuse(&failure, route.dialect(), &call.id)
            }
        }
    }
}

/// The response to a failure of a request whose key was checked.
pub(super) fn refuse(failure: &Failure, dialect: Dialect, id: &HeaderValue) -> Response<Body> {
    let mut response = openai::error_in(dialect, failure);
    headers::push_failure(response.headers_mut(), id, failure.side().word());
    response
}
