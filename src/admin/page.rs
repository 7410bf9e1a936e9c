//! `/`: a short page that says what runs here.

use http::{HeaderValue, Response, header};

use crate::ingress::body::Body;

const PAGE: &str = concat!(
    "Pointsman ",
    env!("CARGO_PKG_VERSION"),
    ", an LLM gateway.\n\n",
    "POST /v1/chat/completions\n",
    "POST /v1/completions\n",
    "POST /v1/embeddings\n",
    "GET  /v1/models\n",
    "GET  /health/readiness\n",
    "GET  /health/liveliness\n",
    "GET  /metrics\n",
);

/// The page.
pub fn front() -> Response<Body> {
    let mut response = Response::new(Body::whole(PAGE));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
