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
    let may = |name: &str, target| {
        principal.is_none_or(|principal| principal.models().check(live, name, target).is_ok())
    };
    let only_groups = flag(query, "only_model_access_groups");
    let mut ids: Vec<&str> = Vec::new();
    if !only_groups {
        let names = live.table().names();
        ids.extend(
            names
                .filter(|name| may(&name.name, name.target))
                .map(|name| &*name.name),
        );
        let known = live.wildcards().iter();
        ids.extend(
            known
                .filter(|known| may(&known.name, Target::Group(known.group)))
                .map(|known| &*known.name),
        );
        ids.extend(principal.into_iter().flat_map(Principal::own_names));
        if flag(query, "return_wildcard_routes") {
            let patterns = live.routes().patterns.iter();
            ids.extend(
                patterns
                    .filter(|one| may(&one.pattern, Target::Group(one.group)))
                    .map(|one| &*one.pattern),
            );
        }
    }
    if only_groups || flag(query, "include_model_access_groups") {
        ids.extend(access_groups(live, may));
    }
    json(&Models {
        data: ids.into_iter().map(model).collect(),
        object: "list",
    })
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
    let name = principal
        .and_then(|principal| principal.renamed(asked))
        .unwrap_or(asked);
    let target = match resolve(live, name) {
        Ok(target) => target,
        Err(failure) => return error(&failure),
    };
    match principal.map(|principal| principal.models().check(live, name, target)) {
        Some(Err(party)) => {
            let model = asked.chars().take(200).collect();
            error(&Failure::Denied(Denial::Model { party, model }))
        }
        _ => json(&model(asked)),
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
