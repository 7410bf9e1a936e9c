//! Every front door: a request is read into a call, the call is served, and what went wrong before or
//! within is told in the caller's dialect.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pointsman_layers::BoxError;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::answer::refuse;
use super::background::Background;
use super::body::Body;
use super::kept::{self, Kept};
use super::{headers, id, read, respond};
use crate::access::{Access, Customer};
use crate::call::{Call, Dialect, Route, Trail};
use crate::error::{Denial, Failure, NoDeployment};
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
    access: Access,
    reason: Reason,
    background: Option<Background>,
}

/// Says what an error of the layers means to the caller of a call.
pub type Reason = fn(&Call, Option<&Customer>, BoxError) -> Failure;

impl<S, C> FrontDoor<S>
where
    S: Service<Request<Arc<Call>>, Response = Response<C>, Error: Into<BoxError> + Send + 'static>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    C: Send + 'static,
{
    /// Reads requests into calls of `calls`, each with the table that is in force when it comes.
    /// `access` knows end users and what keys have spent; `reason` says what an error of `calls` means
    /// to the caller.
    pub fn new(live: Handle, calls: S, reporter: Reporter, access: Access, reason: Reason) -> Self {
        Self {
            live,
            calls,
            reporter,
            access,
            reason,
            background: None,
        }
    }

    /// The same with somebody who waits for answers that are made in the background. Without, nobody may
    /// ask for such.
    #[must_use]
    pub fn waiting(mut self, background: Background) -> Self {
        self.background = Some(background);
        self
    }

    /// Serves a request of this route; `named` is the model of the path, where it has one.
    ///
    /// Always gives a response. Dropping the future, or the response's body, ends the upstream
    /// request, and what was used until then is counted.
    pub async fn serve<B, R>(
        &self,
        request: Request<B>,
        route: Route,
        named: Option<String>,
    ) -> Response<R>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
        R: From<Body> + From<C>,
    {
        // By the clock that deadlines go by.
        let arrived = Instant::now().into_std();
        let (head, body) = request.into_parts();
        let ids = id::of_call(&head.headers);
        let live = self.live.load();
        match read::read(head, body, live, route, named, ids.clone(), arrived).await {
            Ok(call) => self.serve_call(&call).await,
            Err(failure) => refuse(&failure, route.dialect(), &ids.0).map(R::from),
        }
    }

    /// Serves a request about a response that is kept. As [`serve`](Self::serve).
    pub async fn serve_kept<R>(&self, head: &Parts, kept: Kept<'_>) -> Response<R>
    where
        R: From<Body> + From<C>,
    {
        let arrived = Instant::now().into_std();
        let ids = id::of_call(&head.headers);
        let call = match kept::read(head, kept, self.live.load(), ids.clone(), arrived) {
            Ok(call) => call,
            Err(failure) => return refuse(&failure, Dialect::Responses, &ids.0).map(R::from),
        };
        self.serve_call(&call).await
    }

    async fn serve_call<R>(&self, call: &Arc<Call>) -> Response<R>
    where
        R: From<Body> + From<C>,
    {
        let mut response = match self.answer(call).await {
            Ok(response) => response.map(R::from),
            Err(failure) => {
                self.reporter
                    .report(respond::failed(call, &failure, Trail::default()));
                refuse(&failure, call.route.dialect(), &call.id).map(R::from)
            }
        };
        headers::push_key(response.headers_mut(), call, &self.access);
        response
    }

    async fn answer(&self, call: &Arc<Call>) -> Result<Response<C>, Failure> {
        if self.reporter.ledger().is_some_and(|ledger| !ledger.takes()) {
            return Err(Failure::LedgerDown);
        }
        let mut request = Request::new(Arc::clone(call));
        let customer = match &call.about.end_user {
            Some(id) => self.access.customer(id).await,
            None => None,
        };
        if let Some(customer) = &customer {
            if customer
                .account
                .as_ref()
                .is_some_and(|account| account.blocked)
            {
                let id = call.about.end_user.as_deref().unwrap_or_default();
                return Err(Failure::Denied(Denial::EndUserBlocked(id.to_owned())));
            }
            if customer.means.is_some() {
                request.extensions_mut().insert(Arc::clone(customer));
            }
        }
        let answer = self.calls.clone().oneshot(request);
        let answer = if call.in_background() {
            self.begin_background(call, customer.as_deref())?;
            // What has been begun is to be known, whether its caller waits for it or not.
            match tokio::spawn(answer).await {
                Ok(answer) => answer,
                Err(_) => return Err(Failure::Internal),
            }
        } else {
            answer.await
        };
        answer.map_err(|error| (self.reason)(call, customer.as_deref(), error.into()))
    }

    /// Reserves what an answer may cost that is made in the background, if there is room for another.
    fn begin_background(&self, call: &Call, customer: Option<&Customer>) -> Result<(), Failure> {
        let room = self
            .background
            .as_ref()
            .is_some_and(|background| background.has_room(call.body.len()));
        if !room {
            return Err(Failure::NoDeployment {
                group: call.group_name().to_owned(),
                why: NoDeployment::Busy {
                    wait: None,
                    cooling: Vec::new(),
                    checks: false,
                    full: true,
                },
            });
        }
        self.access.reserve_lasting(call, customer)
    }
}
