//! What every front door of OpenAI's kind answers with: errors, lists of models, JSON.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue, Response, header};
use pointsman_routes::table::Target;
use serde::Serialize;

use super::body::Body;
use super::headers;
use super::read::resolve;
use crate::call::{Dialect, Principal};
use crate::dialect;
use crate::error::{Denial, Failure, RequestFault};
use crate::live::Live;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const LIMIT_TYPE: HeaderName = HeaderName::from_static("rate_limit_type");
const RESET_AT: HeaderName = HeaderName::from_static("reset_at");

/// The response to a failure, in OpenAI's shape. An unknown path or method has LiteLLM's own.
pub fn error(failure: &Failure) -> Response<Body> {
    error_in(Dialect::OpenAi, failure)
}

/// The response to a failure, as those who speak the dialect read it.
pub fn error_in(dialect: Dialect, failure: &Failure) -> Response<Body> {
    let body = match failure {
        Failure::Request(RequestFault::Route | RequestFault::Method(_)) => {
            format!(r#"{{"detail":"{failure}"}}"#).into_bytes()
        }
        _ => dialect::error_body(dialect, failure),
    };
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, headers::JSON);
    headers::push_source(headers, failure.side().word());
    if let Some(after) = failure.retry_after() {
        headers.insert(header::RETRY_AFTER, after);
    }
    match failure {
        Failure::Request(RequestFault::Method(allowed)) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        // SDKs would ask again in vain.
        Failure::OverBudget(_) => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        Failure::Limited(fault) => {
            headers.insert(LIMIT_TYPE, HeaderValue::from_static(fault.unit));
            if let Ok(at) = HeaderValue::from_str(&fault.reset_at) {
                headers.insert(RESET_AT, at);
            }
        }
        _ => {}
    }
    response
}

/// A JSON response.
pub fn json(value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::whole(serde_json::to_vec(value).unwrap_or_default()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, headers::JSON);
    response
}

#[derive(Serialize)]
struct Models<'a> {
    data: Vec<Model<'a>>,
    object: &'static str,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// `GET /v1/models`: groups and aliases, as far as the caller may ask for them, and the caller's own
/// names for models. Without a caller, all of them. A pattern is shown as the models that it is known
/// to stand for.
///
/// The query takes LiteLLM's words: `return_wildcard_routes` adds the patterns themselves,
/// `include_model_access_groups` adds the names of access groups, `only_model_access_groups` gives
/// nothing else.
pub fn models(live: &Live, principal: Option<&Principal>, query: &str) -> Response<Body> {
    let only_groups = flag(query, "only_model_access_groups");
    let mut ids: Vec<&str> = Vec::new();
    if !only_groups {
        ids.extend(names(live, principal));
        if flag(query, "return_wildcard_routes") {
            let patterns = live.routes().patterns.iter();
            ids.extend(
                patterns
                    .filter(|one| may(live, principal, &one.pattern, Target::Group(one.group)))
                    .map(|one| &*one.pattern),
            );
        }
    }
    if only_groups || flag(query, "include_model_access_groups") {
        let may = |name: &str, target| may(live, principal, name, target);
        ids.extend(access_groups(live, may));
    }
    json(&Models {
        data: ids.into_iter().map(model).collect(),
        object: "list",
    })
}

fn may(live: &Live, principal: Option<&Principal>, name: &str, target: Target) -> bool {
    principal.is_none_or(|principal| principal.models().check(live, name, target).is_ok())
}

/// The names of models that the caller may ask for, its own names among them.
pub(super) fn names<'a>(
    live: &'a Live,
    principal: Option<&'a Principal>,
) -> impl Iterator<Item = &'a str> {
    let named = live.table().names();
    let named = named
        .filter(move |name| may(live, principal, &name.name, name.target))
        .map(|name| &*name.name);
    let known = live.wildcards().iter();
    let known = known
        .filter(move |known| may(live, principal, &known.name, Target::Group(known.group)))
        .map(|known| &*known.name);
    let own = principal.into_iter().flat_map(Principal::own_names);
    named.chain(known).chain(own)
}

/// Whether there is such a model for this caller.
pub(super) fn may_see(
    live: &Live,
    principal: Option<&Principal>,
    asked: &str,
) -> Result<(), Failure> {
    let name = principal
        .and_then(|principal| principal.renamed(asked))
        .unwrap_or(asked);
    let target = resolve(live, name)?;
    match principal.map(|principal| principal.models().check(live, name, target)) {
        Some(Err(party)) => {
            let model = asked.chars().take(200).collect();
            Err(Failure::Denied(Denial::Model { party, model }))
        }
        _ => Ok(()),
    }
}

/// The access groups of the deployments that may be asked for, each once.
fn access_groups(live: &Live, may: impl Fn(&str, Target) -> bool) -> BTreeSet<&str> {
    let routes = live.routes();
    let deployments = routes.deployments.iter();
    let open = deployments.filter(|deployment| {
        let name = &routes.groups[usize::from(deployment.group.0)].name;
        may(name, Target::Group(deployment.group))
    });
    open.flat_map(|deployment| deployment.access_groups.iter().map(|group| &**group))
        .collect()
}

/// Whether a query string switches something on.
fn flag(query: &str, name: &str) -> bool {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    values.any(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// `GET /v1/models/{model}`.
pub fn one_model(live: &Live, principal: Option<&Principal>, asked: &str) -> Response<Body> {
    match may_see(live, principal, asked) {
        Ok(()) => json(&model(asked)),
        Err(failure) => error(&failure),
    }
}

fn model(id: &str) -> Model<'_> {
    // A fixed time, as LiteLLM's: when a name was put into a file is not known.
    const CREATED: u64 = 1_677_610_602;
    Model {
        id,
        object: "model",
        created: CREATED,
        owned_by: "openai",
    }
}
