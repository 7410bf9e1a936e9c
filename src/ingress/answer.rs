//! What every front door answers with: errors in the caller's dialect, and JSON.

use http::{HeaderName, HeaderValue, Response, header};
use serde::Serialize;

use super::body::Body;
use super::headers;
use crate::call::Dialect;
use crate::dialect;
use crate::error::{Failure, RequestFault};

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

/// The response to a failure of a request whose key was checked.
pub(super) fn refuse(failure: &Failure, dialect: Dialect, id: &HeaderValue) -> Response<Body> {
    let mut response = error_in(dialect, failure);
    headers::push_failure(response.headers_mut(), id, failure.side().word());
    response
}
