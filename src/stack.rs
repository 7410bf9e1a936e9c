//! The whole journey on one page: which layers there are, outermost first, and why in this order.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method, Request, Response};
use http_body::{Frame, SizeHint};
use metrics_exporter_prometheus::PrometheusHandle;
use pointsman_layers::auth::{Access, AuthLayer, HeaderShapes, Refused};
use pointsman_layers::budget::{BudgetLayer, Budgeted, MemoryLedger, OverBudget, Reserved};
use pointsman_layers::hold::HeldBody;
use pointsman_layers::respond::RespondLayer;
use pointsman_layers::token_bucket::{
    Limited, MemoryBuckets, Taken, TokenBucket, TokenBucketLayer,
};
use pointsman_layers::{BoxError, find};
use tower::{Service, ServiceBuilder};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::jwt::{self, TokenLayer};
use crate::access::{self, Customer, Settled, Used, admit};
use crate::admin::api::Api;
use crate::admin::checks::Checks;
use crate::admin::health::Draining;
use crate::admin::{api, health, metrics, page, router};
use crate::call::{Call, Dialect, Principal, Route};
use crate::error::{Denial, Failure, RequestFault};
use crate::ingress::body::Body;
use crate::ingress::cors::BrowserLayer;
use crate::ingress::front::FrontDoor;
use crate::ingress::kept::{Kept, KeptDoor};
use crate::ingress::pass::PassDoor;
use crate::ingress::respond::Responder;
use crate::ingress::{gemini, openai};
use crate::live::Handle;
use crate::models::Models;
use crate::reliable::Reliable;
use crate::routing::{Router, Routing};
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
            .service(Doors::new(self))
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
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door<'a> {
    Front,
    Alive,
    Ready,
    Details,
    Health,
    Latest,
    History,
    Metrics,
    Models,
    Model(&'a str),
    /// Gemini's list of models, or one of them.
    Gemini(Option<&'a str>),
    Explain,
    Decisions(&'a str),
    Admin,
    Call(Route, Option<&'a str>),
    /// A response that a provider keeps.
    Kept(Kept<'a>),
    /// A path that none of the gateway's own is; the file may pass it on.
    Unknown,
}

impl<'a> Door<'a> {
    /// Every path is there with and without `/v1`.
    fn of(path: &'a str) -> Self {
        let below = path
            .strip_prefix("/v1")
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path);
        // LiteLLM has them below `/openai`, too, where everything else is OpenAI's whole API.
        // Azure's clients ask for `/openai/responses`.
        let own = ["/openai/v1", "/openai"]
            .into_iter()
            .find_map(|base| {
                path.strip_prefix(base)
                    .filter(|rest| rest.starts_with("/responses"))
            })
            .unwrap_or(below);
        if own == "/responses" {
            return Self::Call(Route::Responses, None);
        }
        if let Some(kept) = own.strip_prefix("/responses/").and_then(Kept::of) {
            return Self::Kept(kept);
        }
        match below {
            "/chat/completions" => Self::Call(Route::Chat, None),
            "/embeddings" => Self::Call(Route::Embeddings, None),
            "/completions" => Self::Call(Route::Completions, None),
            "/rerank" | "/v2/rerank" => Self::Call(Route::Rerank, None),
            "/moderations" => Self::Call(Route::Moderations, None),
            "/images/generations" => Self::Call(Route::Images, None),
            "/images/edits" => Self::Call(Route::ImageEdits, None),
            "/images/variations" => Self::Call(Route::ImageVariations, None),
            "/audio/speech" => Self::Call(Route::Speech, None),
            "/audio/transcriptions" => Self::Call(Route::Transcriptions, None),
            "/audio/translations" => Self::Call(Route::Translations, None),
            "/messages" => Self::Call(Route::Messages, None),
            "/messages/count_tokens" => Self::Call(Route::CountTokens, None),
            "/models" => Self::Models,
            "/v1beta/models" => Self::Gemini(None),
            "/" => Self::Front,
            "/health" => Self::Health,
            "/health/latest" => Self::Latest,
            "/health/history" => Self::History,
            "/health/liveliness" | "/health/liveness" => Self::Alive,
            "/health/readiness" => Self::Ready,
            "/health/readiness/details" => Self::Details,
            "/metrics" | "/metrics/" => Self::Metrics,
            "/router/explain" => Self::Explain,
            _ => match Self::of_model(below) {
                Self::Unknown if api::owns(path) => Self::Admin,
                door => door,
            },
        }
    }

    /// Paths with a model in them; the model's name may hold slashes.
    fn of_model(path: &'a str) -> Self {
        let below = path.strip_prefix("/v1beta").unwrap_or(path);
        if let Some((model, route)) = Route::of_gemini(below) {
            return Self::Call(route, Some(model));
        }
        if let Some(model) = path.strip_prefix("/models/") {
            return Self::Model(model);
        }
        if let Some(model) = path.strip_prefix("/v1beta/models/") {
            return Self::Gemini(Some(model));
        }
        if let Some(call) = path.strip_prefix("/router/decisions/") {
            return Self::Decisions(call);
        }
        let named = path
            .strip_prefix("/openai/deployments/")
            .or(path.strip_prefix("/engines/"));
        Route::ALL
            .into_iter()
            .filter(|route| route.dialect() != Dialect::Gemini)
            .find_map(|route| {
                let model = named?.strip_suffix(route.path())?;
                let named = !model.is_empty() && !model.starts_with('/');
                named.then_some(Self::Call(route, Some(model)))
            })
            .unwrap_or(Self::Unknown)
    }

    /// What those speak who come this way.
    const fn dialect(self) -> Dialect {
        match self {
            Self::Call(route, _) => route.dialect(),
            Self::Gemini(_) => Dialect::Gemini,
            _ => Dialect::OpenAi,
        }
    }
}

/// Leads each request to what answers it.
#[derive(Clone, Debug)]
struct Doors(Arc<Rooms>);

#[derive(Debug)]
struct Rooms {
    gateway: Gateway,
    front_door: FrontDoor<Answers>,
    pass_door: PassDoor,
    kept_door: KeptDoor,
    router: Router,
    api: Api,
}

/// What answers a request that has been read.
type Answers = TokenBucket<
    Budgeted<Responder<Reliable<Routing<Upstream>>>, MemoryLedger, access::Access>,
    MemoryBuckets,
    access::Access,
>;

/// The body of an answer, at whose end limits and budgets are settled.
type Settling = HeldBody<HeldBody<Body, Reserved, Settled>, Taken, Used>;

/// The body of any response.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every response is of the large one, and is boxed as a whole further out"
)]
enum Out {
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
    fn new(gateway: Gateway) -> Self {
        let router = gateway.checks.router().clone();
        // Each attempt is a decision of its own, so routing stands around the upstream.
        let attempts = Routing::new(router.clone(), gateway.upstream.clone());
        // Fallbacks and retries make attempts until there is an answer.
        let counts = gateway.reporter.clone();
        let calls = Reliable::new(router.clone(), attempts)
            .on_abandon(move |call, trail| counts.meter().count_abandoned(call, trail));
        // What answers cost is spent of their deployments' budgets.
        let purses = router.clone();
        let reporter = gateway.reporter.clone().telling(move |record| {
            for (deployment, cost) in record.paid() {
                purses.spent(&record.call.live, deployment, cost);
            }
        });
        let access = &gateway.access;
        // What stands here sees a request that has been read, and its response.
        let answers = ServiceBuilder::new()
            // Rates first: they cost nothing to look at, and a request that they refuse has reserved
            // no money.
            .layer(TokenBucketLayer::new(access.buckets(), access.clone()))
            // Money is reserved before anybody is asked, and settled when the answer's body ends.
            .layer(BudgetLayer::new(access.ledger(), access.clone()))
            .service(Responder::new(calls, reporter.clone()));
        let front_door = FrontDoor::new(
            gateway.live.clone(),
            answers,
            reporter.clone(),
            access.clone(),
            reason_of,
        );
        let client = gateway.upstream.client().clone();
        let kept_door = KeptDoor::new(gateway.live.clone(), client.clone());
        let pass_door = PassDoor::new(gateway.live.clone(), client, reporter, access.clone());
        let api = Api::new(
            gateway.live.clone(),
            gateway.store.clone(),
            gateway.models.clone(),
        );
        Self(Arc::new(Rooms {
            gateway,
            front_door,
            pass_door,
            kept_door,
            router,
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
            return openai::error_in(dialect, &Failure::Denied(denial)).map(Out::from);
        }
        match Door::of(request.uri().path()) {
            Door::Call(route, model) => {
                let model = model.map(percent_decoded);
                self.front_door.serve(request, route, model).await
            }
            _ => self.tell(request).await.map(Out::from),
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
                openai::error(&Failure::Request(RequestFault::Route))
            };
        }
        if door == Door::Explain {
            return self.explain(request).await;
        }
        if matches!(door, Door::Kept(_)) {
            // What stands in such a request's body is nobody's business.
            let request = request.map(drop);
            if let Door::Kept(kept) = Door::of(request.uri().path()) {
                return self.kept_door.serve(&request, kept).await;
            }
            return openai::error(&Failure::Request(RequestFault::Route));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return openai::error(&Failure::Request(RequestFault::Method("GET, HEAD")));
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
                Some(handle) => metrics::render(handle),
                None => openai::error(&Failure::Request(RequestFault::Route)),
            },
            Door::Models => {
                let caller = principal(&request).map(Arc::as_ref);
                openai::models(&live, caller, request.uri().query().unwrap_or(""))
            }
            Door::Model(name) => {
                let caller = principal(&request).map(Arc::as_ref);
                openai::one_model(&live, caller, &percent_decoded(name))
            }
            Door::Gemini(name) => {
                let caller = principal(&request).map(Arc::as_ref);
                match name {
                    None => gemini::models(&live, caller),
                    Some(name) => gemini::one_model(&live, caller, &percent_decoded(name)),
                }
            }
            Door::Decisions(_) if !administers(&request) => {
                openai::error(&Failure::Denied(Denial::AdminOnly))
            }
            Door::Decisions(call) => router::decisions(&self.router, &live, &percent_decoded(call)),
            Door::Call(..) | Door::Kept(_) | Door::Explain | Door::Admin | Door::Unknown => {
                openai::error(&Failure::Request(RequestFault::Route))
            }
        }
    }

    async fn explain<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if *request.method() != Method::POST {
            return openai::error(&Failure::Request(RequestFault::Method("POST")));
        }
        if !administers(&request) {
            return openai::error(&Failure::Denied(Denial::AdminOnly));
        }
        let live = self.gateway.live.load();
        router::explain(&self.router, &live, request.into_body()).await
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

fn is_key(key: &[u8]) -> bool {
    key.starts_with(b"sk-")
}

/// In whose way a refusal is told before a request is read. Who speaks Anthropic's dialect is told of
/// its key in OpenAI's, as by LiteLLM.
fn dialect_of<B>(request: &Request<B>) -> Dialect {
    match Door::of(request.uri().path()).dialect() {
        Dialect::Gemini => Dialect::Gemini,
        _ => Dialect::OpenAi,
    }
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
    openai::error_in(dialect, &reason(error))
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
        Some(Refused::Unavailable(_)) => Denial::StoreDown,
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
    openai::error(&Failure::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_where_it_should() {
        for path in ["/v1/chat/completions", "/chat/completions"] {
            assert_eq!(Door::of(path), Door::Call(Route::Chat, None));
        }
        assert_eq!(
            Door::of("/openai/deployments/a/b/chat/completions"),
            Door::Call(Route::Chat, Some("a/b"))
        );
        assert_eq!(
            Door::of("/v1/engines/x/completions"),
            Door::Call(Route::Completions, Some("x"))
        );
        assert_eq!(
            Door::of("/engines/x/embeddings"),
            Door::Call(Route::Embeddings, Some("x"))
        );
        assert_eq!(
            Door::of("/v1/models/openai/gpt-4o"),
            Door::Model("openai/gpt-4o")
        );
        assert_eq!(
            Door::of("/router/decisions/4f5c-1"),
            Door::Decisions("4f5c-1")
        );
        assert_eq!(Door::of("/router/explain"), Door::Explain);
        assert_eq!(
            Door::of("/openai/deployments//chat/completions"),
            Door::Unknown
        );
        assert_eq!(
            Door::of("/v1beta/models/a/b:streamGenerateContent"),
            Door::Call(Route::GenerateStream, Some("a/b"))
        );
        for path in ["/v1/models/m:countTokens", "/models/m:countTokens"] {
            let door = Door::Call(Route::CountContents, Some("m"));
            assert_eq!(Door::of(path), door);
        }
        assert_eq!(Door::of("/v1beta/models"), Door::Gemini(None));
        assert_eq!(Door::of("/v1beta/models/m"), Door::Gemini(Some("m")));
        assert_eq!(
            Door::of("/v1/models/llama3:latest"),
            Door::Model("llama3:latest")
        );
        assert_eq!(Door::of("/v1beta/chat/completions"), Door::Unknown);
        for path in [
            "/v1/responses",
            "/responses",
            "/openai/v1/responses",
            "/openai/responses",
        ] {
            assert_eq!(Door::of(path), Door::Call(Route::Responses, None), "{path}");
        }
        for path in ["/v1/responses/a/cancel", "/openai/v1/responses/a/cancel"] {
            assert_eq!(Door::of(path), Door::Kept(Kept::Cancel("a")), "{path}");
        }
        assert_eq!(Door::of("/openai/v1/files"), Door::Unknown);
        assert_eq!(Door::of("/v1x/models"), Door::Unknown);
        for path in [
            "/key/generate",
            "/v2/key/info",
            "/v1/model/info",
            "/openapi.json",
            "/docs",
        ] {
            assert_eq!(Door::of(path), Door::Admin, "{path}");
        }
    }
}
