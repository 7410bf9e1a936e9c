//! The admin API: keys, users, teams, organisations, customers, budgets, models and spend, under
//! LiteLLM's paths and names.
//!
//! `table` lists the endpoints: the path, who may call it, what it takes, what
//! answers. The router, the check of rights, the reading of requests, the OpenAPI document and the
//! tests are all made from it.

mod activity;
mod added;
mod budget;
mod caller;
mod customer;
mod defaults;
mod endpoint;
mod field;
mod fields;
mod form;
mod key;
mod model;
mod openapi;
mod organization;
mod refusal;
mod rights;
mod secret;
mod spend;
mod table;
mod team;
mod user;
mod utils;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawPathParams, Request, State};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pointsman_routes::table::{GroupId, Target};
use serde_json::Value;
use tower::ServiceExt;

use self::caller::Caller;
use self::endpoint::{Endpoint, Method};
use self::form::Form;
use self::refusal::Refusal;
use self::rights::Reach;
use self::table::ENDPOINTS;
use crate::access::Access;
use crate::call::Principal;
use crate::error::{Failure, RequestFault};
use crate::ingress::answer;
use crate::ingress::body::Body;
use crate::live::Handle;
use crate::models::Models;
use crate::routing::Router;
use crate::store::Store;

/// Longest body of an admin call.
const MAX_BYTES: usize = 4 << 20;
/// How long it may take to come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The admin API. Clones share it.
#[derive(Clone)]
pub struct Api {
    router: axum::Router,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

/// What the endpoints stand on.
struct Office {
    live: Handle,
    store: Option<Store>,
    models: Option<Models>,
    access: Access,
    router: Router,
}

/// A call of an endpoint.
struct Ask {
    office: Arc<Office>,
    store: Store,
    caller: Caller,
    /// Who asks, as requests for models know it.
    principal: Option<Arc<Principal>>,
    /// How far the caller's role reaches here.
    reach: Reach,
    form: Form,
    /// The id in the path, if its pattern has one.
    id: String,
    /// The endpoint, for the audit log.
    action: &'static str,
}

type Answer = Result<Value, Refusal>;

impl Api {
    /// The API over a database; without one, whatever needs it says so.
    pub fn new(
        live: Handle,
        store: Option<Store>,
        models: Option<Models>,
        access: Access,
        router: Router,
    ) -> Self {
        let office = Arc::new(Office {
            live,
            store,
            models,
            access,
            router,
        });
        let mut router = axum::Router::new();
        for endpoint in ENDPOINTS.iter() {
            let answer = move |State(office): State<Arc<Office>>,
                               params: RawPathParams,
                               request: Request| async move {
                let id = params.iter().next().map(|(_, id)| id.to_owned());
                let answer = office
                    .answer(endpoint, id.unwrap_or_default(), request)
                    .await;
                answer.map(axum::body::Body::new).into_response()
            };
            let filter = match endpoint.method {
                Method::Get => MethodFilter::GET,
                Method::Post => MethodFilter::POST,
                Method::Patch => MethodFilter::PATCH,
                Method::Delete => MethodFilter::DELETE,
            };
            for path in endpoint.paths {
                router = router.route(path, on(filter, answer));
            }
        }
        let router = router.fallback(unknown).with_state(office);
        Self { router }
    }

    /// Answers a request of which [`owns`] said that it is for the admin API.
    pub async fn serve<B>(&self, request: http::Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<pointsman_layers::BoxError>,
    {
        let request = request.map(axum::body::Body::new);
        let answer = self.router.clone().oneshot(request).await;
        let Ok(answer) = answer;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::METHOD_NOT_ALLOWED {
            return answer::error(&Failure::Request(RequestFault::Method("GET, POST")));
        }
        match body.collect().await {
            Ok(body) => Response::from_parts(head, Body::whole(body.to_bytes())),
            Err(_) => answer::error(&Failure::Internal),
        }
    }
}

/// Whether a path is the admin API's.
pub fn owns(path: &str) -> bool {
    let first = |path: &str| {
        let mut steps = path.trim_start_matches('/').split('/');
        let first = steps.next().unwrap_or_default().to_owned();
        match first.as_str() {
            "v1" | "v2" => (first, steps.next().unwrap_or_default().to_owned()),
            _ => (String::new(), first),
        }
    };
    let asked = first(path);
    ENDPOINTS
        .iter()
        .flat_map(|endpoint| endpoint.paths)
        .any(|path| first(path) == asked)
}

/// Whether a path tells everybody the same, and needs no key.
pub fn open(path: &str) -> bool {
    table::open(path)
}

async fn unknown() -> axum::response::Response {
    answer::error(&Failure::Request(RequestFault::Route))
        .map(axum::body::Body::new)
        .into_response()
}

impl Office {
    async fn answer(
        self: Arc<Self>,
        endpoint: &'static Endpoint,
        id: String,
        request: Request,
    ) -> Response<Body> {
        if endpoint.paths == ["/docs"] {
            return openapi::page(&ENDPOINTS);
        }
        match self.ask(endpoint, id, request).await {
            Ok(value) => private(answer::json(&value)),
            Err(refusal) => private(refusal.into_response()),
        }
    }

    async fn ask(
        self: Arc<Self>,
        endpoint: &'static Endpoint,
        id: String,
        request: Request,
    ) -> Answer {
        let path = request.uri().path().to_owned();
        if let Some(answer) = endpoint.plain {
            return Ok(answer(&ENDPOINTS));
        }
        let principal = request.extensions().get::<Arc<Principal>>().cloned();
        let store = self.store.clone().ok_or_else(Refusal::no_database)?;
        let caller = match &principal {
            None => Caller::master(),
            Some(principal) if principal.is_master() => Caller::master(),
            Some(principal) if principal.by_token => Caller::of_token(&store, principal).await?,
            Some(principal) => Caller::of(&store, &principal.key).await?,
        };
        let reads = endpoint.method == Method::Get;
        let reach = endpoint.class.reach(caller.role);
        if reach == Reach::Nothing || !caller.opens(&path, reads) {
            let user = caller.user_id.as_deref().unwrap_or("None");
            return Err(Refusal::role(&path, caller.role_word(), user));
        }
        if id.contains('\0') {
            return Err(Refusal::bad("id", "an id holds no null characters"));
        }
        let form = if reads {
            Form::of_query(request.uri().query().unwrap_or(""), endpoint.input)?
        } else {
            let body = read(request.into_body()).await?;
            Form::of_body(&body, endpoint.input)?
        };
        let ask = Ask {
            office: self,
            store,
            caller,
            principal,
            reach,
            form,
            id,
            action: endpoint.paths[0],
        };
        (endpoint.run)(ask).await
    }
}

async fn read(body: axum::body::Body) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(TIMEOUT, Limited::new(body, MAX_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large()),
        Ok(Err(_)) | Err(_) => Err(Refusal::no_body()),
    }
}

/// Keys and spend are nobody's to cache.
fn private(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Ask {
    /// Begins a change in the caller's name.
    async fn work(&self) -> Result<crate::store::Work, Refusal> {
        Ok(self.store.work(self.caller.name(), self.action).await?)
    }

    /// Whether the caller's key may ask for a model.
    fn may_use(&self, live: &crate::live::Live, name: &str, group: GroupId) -> bool {
        let models = self.principal.as_ref().map(|principal| principal.models());
        models.is_none_or(|models| models.check(live, name, Target::Group(group)).is_ok())
    }

    /// Refuses fields that only those above may set, or only the proxy's admins.
    fn guard(&self, above: bool) -> Result<(), Refusal> {
        if self.caller.admin() {
            return Ok(());
        }
        let guarded: BTreeMap<_, _> = table::fields_of(self.action)
            .map(|field| (field.name, field.guard))
            .collect();
        for name in self.form.names() {
            let refused = match guarded.get(name) {
                Some(field::Guard::Proxy) => true,
                Some(field::Guard::Above) => !above,
                Some(field::Guard::Free) | None => false,
            };
            if refused {
                return Err(Refusal::forbidden(&format!(
                    "Your role={} may not set `{name}` here. Your user_id={}",
                    self.caller.role_word(),
                    self.caller.name()
                )));
            }
        }
        Ok(())
    }
}

/// The table of rights in Markdown, as the documentation has it.
pub fn rights_markdown() -> String {
    openapi::rights_markdown()
}

/// The OpenAPI document.
pub fn document() -> Value {
    openapi::document(&ENDPOINTS)
}

#[cfg(test)]
mod tests;
