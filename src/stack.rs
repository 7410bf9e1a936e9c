//! The whole journey on one page: which layers there are, outermost first, and why in this order.

mod door;
mod rooms;

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Request, Response};
use pointsman_layers::auth::{Access, AuthLayer, HeaderShapes, Refused};
use pointsman_layers::budget::{BudgetLayer, OverBudget};
use pointsman_layers::respond::RespondLayer;
use pointsman_layers::token_bucket::{Limited, TokenBucketLayer};
use pointsman_layers::{BoxError, find};
use tower::{Service, ServiceBuilder};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;

use self::door::Door;
pub use self::rooms::Gateway;
use self::rooms::{Answers, Doors, KeptAnswers, dialect_of};
use crate::access::jwt::{self, TokenLayer};
use crate::access::{self, Customer, NotFound};
use crate::admin::api;
use crate::call::{Call, Dialect, Principal};
use crate::error::{Denial, Failure};
use crate::ingress::background::{Background, KeptCalls};
use crate::ingress::body::Body;
use crate::ingress::cors::BrowserLayer;
use crate::ingress::front::FrontDoor;
use crate::ingress::respond::Responder;
use crate::ingress::{answer, gemini};
use crate::reliable::Reliable;
use crate::routing::Routing;
use crate::spend::report::Reporter;
use crate::upstream::openai::responses::kept::Keeper;

impl Gateway {
    /// The gateway as one service, for any hyper or axum server.
    ///
    /// It never fails: an error is a response in the caller's dialect. It is always ready; what
    /// it cannot take now, it answers with 429 or 503.
    pub fn into_service<B>(
        self,
    ) -> impl Service<
        Request<B>,
        Response = Response<UnsyncBoxBody<Bytes, BoxError>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let keys = self.access.keys();
        let shapes = self.key_headers();
        let gate = self.gate();
        let (answers, kept, reporter, background) = self.answers();
        let front_door = FrontDoor::new(
            self.live.clone(),
            answers,
            reporter.clone(),
            self.access.clone(),
            reason_of,
        )
        .waiting(background.clone());
        let kept_door = FrontDoor::new(
            self.live.clone(),
            kept,
            reporter.clone(),
            self.access.clone(),
            reason_of,
        )
        .waiting(background);
        ServiceBuilder::new()
            // A browser learns what became of a request from any page that may ask, errors included.
            .layer(BrowserLayer::new(self.live.clone()))
            // A fault of ours ends one request, not its connection's task.
            .layer(CatchPanicLayer::custom(panicked))
            // Errors of the layers below become responses here, once.
            .layer(RespondLayer::with(dialect_of, refused))
            // Google's clients may show their key in the query, where nobody looks for one.
            .map_request(shown)
            // Who brings a token of an identity provider needs no key.
            .layer(TokenLayer::new(self.access.clone(), shapes.clone()))
            // Nobody's body is read and no name is looked up before it is known who asks.
            .layer(
                AuthLayer::new(keys)
                    .shapes(shapes)
                    .well_formed(is_key)
                    .access(gate),
            )
            .service(Doors::new(self, front_door, kept_door, reporter))
    }

    fn key_headers(&self) -> HeaderShapes {
        let live = self.live.peek();
        let own = live.routes().general.key_header.as_deref();
        match own.and_then(|name| HeaderName::try_from(name).ok()) {
            Some(name) => HeaderShapes::common().and(name),
            None => HeaderShapes::common(),
        }
    }

    /// What each path asks of its caller.
    fn gate(&self) -> impl Fn(&Parts) -> Access + Clone + Send + use<> {
        let live = self.live.clone();
        move |head| {
            let live = live.peek();
            let known = head.extensions.get::<Arc<Principal>>().is_some();
            if known || live.master_key().is_none() {
                return Access::Open;
            }
            match Door::of(head.uri.path()) {
                Door::Admin if api::open(head.uri.path()) => Access::Open,
                Door::Unknown => match live.api(head.uri.path()) {
                    Some(api) if !api.open => Access::Required,
                    Some(_) | None => Access::Open,
                },
                Door::Front | Door::Alive | Door::Ready => Access::Open,
                Door::Health => Access::Optional,
                Door::Metrics if !live.routes().settings.metrics_need_key => Access::Open,
                Door::Metrics
                | Door::Details
                | Door::Latest
                | Door::History
                | Door::Models
                | Door::Model(_)
                | Door::Gemini(_)
                | Door::Explain
                | Door::Decisions(_)
                | Door::Admin
                | Door::Kept(_)
                | Door::Call(..) => Access::Required,
            }
        }
    }

    /// What answers a request that has been read, and one about a response that is kept; who is told of
    /// each call's end, and who waits for those that are made in the background.
    fn answers(&self) -> (Answers, KeptAnswers, Reporter, Background) {
        let router = self.checks.router().clone();
        // Each attempt is a decision of its own, so routing stands around the upstream.
        let attempts = Routing::new(router.clone(), self.upstream.clone());
        // Fallbacks and retries make attempts until there is an answer.
        let counts = self.reporter.clone();
        let calls = Reliable::new(router.clone(), attempts)
            .on_abandon(move |call, trail| counts.meter().count_abandoned(call, trail));
        // What answers cost is spent of their deployments' budgets.
        let purses = router.clone();
        let reporter = self.reporter.clone().telling(move |record| {
            for (deployment, cost) in record.paid() {
                purses.spent(&record.call.live, deployment, cost);
            }
        });
        let access = &self.access;
        let keeper = Keeper::new(self.upstream.client().clone());
        let background = Background::new(self.live.clone(), keeper.clone(), reporter.clone());
        if let Some(ledger) = reporter.ledger()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            background.take_over(ledger.clone(), access.clone());
        }
        // What stands here sees a request that has been read, and its response.
        let answers = ServiceBuilder::new()
            // Rates first: they cost nothing to look at, and a request that they refuse has reserved
            // no money.
            .layer(TokenBucketLayer::new(access.buckets(), access.clone()))
            // Money is reserved before anybody is asked, and settled when the answer's body ends.
            .layer(BudgetLayer::new(access.ledger(), access.clone()))
            .service(Responder::new(calls, reporter.clone()).waiting(background.clone()));
        // To look up is free, and nobody else can be asked for what one keeps.
        let kept = ServiceBuilder::new()
            .layer(TokenBucketLayer::new(access.buckets(), access.clone()))
            .layer(BudgetLayer::new(access.ledger(), access.clone()))
            .service({
                let calls = KeptCalls::new(keeper, background.clone());
                Responder::new(calls, reporter.clone()).waiting(background.clone())
            });
        (answers, kept, reporter, background)
    }
}

fn is_key(key: &[u8]) -> bool {
    key.starts_with(b"sk-")
}

/// A request with its key where keys are looked for.
fn shown<B>(request: Request<B>) -> Request<B> {
    let path = request.uri().path();
    if Door::of(path).dialect() == Dialect::Gemini || path.starts_with("/gemini/") {
        gemini::show_key(request)
    } else {
        request
    }
}

/// The response to an error of the outer layers.
fn refused(dialect: Dialect, error: BoxError) -> Response<Body> {
    answer::error_in(dialect, &reason(error))
}

/// What an error of the layers around a call means to its caller.
fn reason_of(call: &Call, customer: Option<&Customer>, error: BoxError) -> Failure {
    if let Some(limited) = find::<Limited>(&*error) {
        return access::Access::limited(call, customer, limited);
    }
    if let Some(over) = find::<OverBudget>(&*error) {
        return access::Access::over_budget(call, customer, over);
    }
    reason(error)
}

/// What an error of the layers means to the caller.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer gives the error away"
)]
fn reason(error: BoxError) -> Failure {
    if let Some(jwt::Refused(denial)) = find::<jwt::Refused>(&*error) {
        return Failure::Denied(denial.clone());
    }
    let denial = match find::<Refused>(&*error) {
        Some(Refused::Missing) => Denial::NoKey,
        Some(Refused::Malformed { .. }) => Denial::Malformed,
        Some(Refused::Conflicting) => Denial::Disagreeing,
        Some(Refused::Repeated(_)) => Denial::Repeated,
        Some(Refused::Unknown { digest, last_four }) => Denial::Unknown {
            tail: last_four.as_str().to_owned(),
            digest: digest.to_string(),
        },
        Some(Refused::Unavailable(error)) => match find::<NotFound>(&**error) {
            Some(NotFound::TooMany(wait)) => Denial::TooManyKeys(*wait),
            Some(NotFound::Down(_)) | None => Denial::StoreDown,
        },
        _ => {
            tracing::error!(%error, "a layer failed");
            return Failure::Internal;
        }
    };
    Failure::Denied(denial)
}

/// The response to a panic. Its payload may hold anything, so it goes nowhere.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("a request ended in a panic");
    answer::error(&Failure::Internal)
}
