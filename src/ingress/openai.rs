//! What every front door of OpenAI's kind answers with: errors, lists of models, JSON.

use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::body::Body;
use super::headers;
use super::read::resolve;
use crate::call::Dialect;
use crate::dialect;
use crate::error::{Failure, RequestFault};
use crate::live::Live;

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
    if let Failure::Request(RequestFault::Method(allowed)) = failure {
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
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

/// `GET /v1/models`: groups and aliases.
pub fn models(live: &Live) -> Response<Body> {
    json(&Models {
        data: live.table().names().map(|name| model(&name.name)).collect(),
        object: "list",
    })
}

/// `GET /v1/models/{model}`.
pub fn one_model(live: &Live, asked: &str) -> Response<Body> {
    match resolve(live, asked) {
        Ok(_) => json(&model(asked)),
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
