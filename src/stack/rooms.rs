//! What a gateway is made of, and which part of it answers what.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Frame, SizeHint};
use metrics_exporter_prometheus::PrometheusHandle;
use pointsman_layers::BoxError;
use pointsman_layers::budget::{Budgeted, MemoryLedger, Reserved};
use pointsman_layers::hold::HeldBody;
use pointsman_layers::token_bucket::{MemoryBuckets, Taken, TokenBucket};
use tower::Service;

use super::door::Door;
use crate::access::{self, Settled, Used, admit};
use crate::admin::api::Api;
use crate::admin::checks::Checks;
use crate::admin::health::Draining;
use crate::admin::{health, metrics, page, router};
use crate::call::{Dialect, Principal};
use crate::error::{Denial, Failure, RequestFault};
use crate::ingress::background::KeptCalls;
use crate::ingress::body::Body;
use crate::ingress::front::FrontDoor;
use crate::ingress::pass::PassDoor;
use crate::ingress::respond::Responder;
use crate::ingress::{answer, gemini, models};
use crate::live::Handle;
use crate::models::Models;
use crate::reliable::Reliable;
use crate::routing::Routing;
use crate::spend::report::Reporter;
use crate::store::Store;
use crate::upstream::Upstream;

/// What a gateway is made of.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The table in force.
    pub live: Handle,
    /// Where keys and spend are kept, if they are.
    pub store: Option<Store>,
    /// The models that are added at run time, if they can be.
    pub models: Option<Models>,
    /// Who may ask.
    pub access: access::Access,
    /// Who asks the deployments.
    pub upstream: Upstream,
    /// Who counts.
    pub reporter: Reporter,
    /// Who tells the figures, if anybody does.
    pub metrics: Option<PrometheusHandle>,
    /// Who chooses, and by which health checks. [`Checks::run`] is the caller's to spawn.
    pub checks: Checks,
    /// Whether the process is about to end.
    pub draining: Draining,
}

/// Leads each request to what answers it.
#[derive(Clone, Debug)]
pub(super) struct Doors(Arc<Rooms>);

#[derive(Debug)]
struct Rooms {
    gateway: Gateway,
    front_door: FrontDoor<Answers>,
    pass_door: PassDoor,
    kept_door: FrontDoor<KeptAnswers>,
    api: Api,
}

/// What answers a request that has been read.
pub(super) type Answers = TokenBucket<
    Budgeted<Responder<Reliable<Routing<Upstream>>>, MemoryLedger, access::Access>,
    MemoryBuckets,
    access::Access,
>;

/// What answers a request about a response that is kept.
pub(super) type KeptAnswers = TokenBucket<
    Budgeted<Responder<KeptCalls>, MemoryLedger, access::Access>,
    MemoryBuckets,
    access::Access,
>;

/// The body of an answer, at whose end limits and budgets are settled.
pub(super) type Settling = HeldBody<HeldBody<Body, Reserved, Settled>, Taken, Used>;

/// The body of any response.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every response is of the large one, and is boxed as a whole further out"
)]
pub(super) enum Out {
    Plain(Body),
    Settling(Settling),
}

impl From<Body> for Out {
    fn from(body: Body) -> Self {
        Self::Plain(body)
    }
}

impl From<Settling> for Out {
    fn from(body: Settling) -> Self {
        Self::Settling(body)
    }
}

impl http_body::Body for Out {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Settling(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Settling(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Settling(body) => body.size_hint(),
        }
    }
}

impl Doors {
    /// Over the front door of calls; `reporter` is told of what passes whole, too.
    pub(super) fn new(
        gateway: Gateway,
        front_door: FrontDoor<Answers>,
        kept_door: FrontDoor<KeptAnswers>,
        reporter: Reporter,
    ) -> Self {
        let client = gateway.upstream.client().clone();
        let pass_door = PassDoor::new(
            gateway.live.clone(),
            client,
            reporter,
            gateway.access.clone(),
        );
        let api = Api::new(
            gateway.live.clone(),
            gateway.store.clone(),
            gateway.models.clone(),
            gateway.access.clone(),
            gateway.checks.router().clone(),
        );
        Self(Arc::new(Rooms {
            gateway,
            front_door,
            pass_door,
            kept_door,
            api,
        }))
    }
}

impl<B> Service<Request<B>> for Doors
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Out>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Out>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let rooms = Arc::clone(&self.0);
        Box::pin(async move { Ok(rooms.answer(request).await) })
    }
}

impl Rooms {
    async fn answer<B>(&self, request: Request<B>) -> Response<Out>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Err(denial) = self.admit(&request) {
            let dialect = dialect_of(&request);
            return answer::error_in(dialect, &Failure::Denied(denial)).map(Out::from);
        }
        match Door::of(request.uri().path()) {
            Door::Call(route, model) => {
                let model = model.map(percent_decoded);
                self.front_door.serve(request, route, model).await
            }
            Door::Kept(_) => {
                // What stands in such a request's body is nobody's business.
                let (head, _) = request.into_parts();
                match Door::of(head.uri.path()) {
                    Door::Kept(kept) => Box::pin(self.kept_door.serve_kept(&head, kept)).await,
                    _ => answer::error(&Failure::Request(RequestFault::Route)).map(Out::from),
                }
            }
            // Large, and calls need no room for it.
            _ => Box::pin(self.tell(request)).await.map(Out::from),
        }
    }

    /// Whether the caller may make this request at all, whatever it says.
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Denial> {
        let path = request.uri().path();
        if !matches!(Door::of(path), Door::Front | Door::Alive | Door::Ready) {
            admit::admit_address(request, &self.gateway.live.peek())?;
        }
        match principal(request) {
            Some(principal) => admit::admit(principal, path),
            None => Ok(()),
        }
    }

    /// Answers what is no call.
    async fn tell<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let gateway = &self.gateway;
        let door = Door::of(request.uri().path());
        if door == Door::Admin {
            return self.api.serve(request).await;
        }
        if door == Door::Unknown {
            return if gateway.live.peek().api(request.uri().path()).is_some() {
                self.pass_door.serve(request).await
            } else {
                answer::error(&Failure::Request(RequestFault::Route))
            };
        }
        if door == Door::Explain {
            return self.explain(request).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::error(&Failure::Request(RequestFault::Method("GET, HEAD")));
        }
        let live = gateway.live.load();
        // Google's clients of today ask for Google's lists where OpenAI's are.
        let door = match door {
            Door::Models if gemini::is_google(request.headers()) => Door::Gemini(None),
            Door::Model(name) if gemini::is_google(request.headers()) => Door::Gemini(Some(name)),
            door => door,
        };
        match door {
            Door::Front => page::front(),
            Door::Alive => health::alive(),
            Door::Ready => {
                let database = health::database(gateway.store.as_ref()).await;
                health::ready(&gateway.draining, database)
            }
            Door::Details => {
                let database = health::database(gateway.store.as_ref()).await;
                health::details(&live, &gateway.draining, database)
            }
            Door::Health => {
                let known = principal(&request).is_some();
                if known || live.master_key().is_none() {
                    let query = request.uri().query().unwrap_or("");
                    health::probe(&live, &gateway.checks, &gateway.upstream, query).await
                } else {
                    health::summary(&live, &gateway.draining)
                }
            }
            Door::Latest => health::latest(&gateway.checks),
            Door::History => health::history(&gateway.checks, request.uri().query().unwrap_or("")),
            Door::Metrics => match &gateway.metrics {
                Some(handle) => {
                    metrics::render(handle, &gateway.access, gateway.checks.router(), &live)
                }
                None => answer::error(&Failure::Request(RequestFault::Route)),
            },
            Door::Models => {
                let caller = principal(&request).map(Arc::as_ref);
                models::list(&live, caller, request.uri().query().unwrap_or(""))
            }
            Door::Model(name) => {
                let caller = principal(&request).map(Arc::as_ref);
                models::one(&live, caller, &percent_decoded(name))
            }
            Door::Gemini(name) => {
                let caller = principal(&request).map(Arc::as_ref);
                match name {
                    None => gemini::models(&live, caller),
                    Some(name) => gemini::one_model(&live, caller, &percent_decoded(name)),
                }
            }
            Door::Decisions(_) if !administers(&request) => {
                answer::error(&Failure::Denied(Denial::AdminOnly))
            }
            Door::Decisions(call) => {
                router::decisions(self.gateway.checks.router(), &live, &percent_decoded(call))
            }
            Door::Call(..) | Door::Kept(_) | Door::Explain | Door::Admin | Door::Unknown => {
                answer::error(&Failure::Request(RequestFault::Route))
            }
        }
    }

    async fn explain<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if *request.method() != Method::POST {
            return answer::error(&Failure::Request(RequestFault::Method("POST")));
        }
        if !administers(&request) {
            return answer::error(&Failure::Denied(Denial::AdminOnly));
        }
        let live = self.gateway.live.load();
        router::explain(self.gateway.checks.router(), &live, request.into_body()).await
    }
}

/// Who asks, if it is known.
fn principal<B>(request: &Request<B>) -> Option<&Arc<Principal>> {
    request.extensions().get()
}

/// Without keys there are no principals, and everybody administers.
fn administers<B>(request: &Request<B>) -> bool {
    principal(request).is_none_or(|principal| principal.admin)
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// In whose way a refusal is told before a request is read. Who speaks Anthropic's dialect is told of
/// its key in OpenAI's, as by LiteLLM.
pub(super) fn dialect_of<B>(request: &Request<B>) -> Dialect {
    match Door::of(request.uri().path()).dialect() {
        Dialect::Gemini => Dialect::Gemini,
        _ => Dialect::OpenAi,
    }
}
