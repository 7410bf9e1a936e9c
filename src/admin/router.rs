//! `/router`: why a deployment was chosen, or would be.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use crate::error::{Failure, RequestFault};
use crate::ingress::answer::{self, json as respond};
use crate::ingress::body::Body;
use crate::live::Live;
use crate::routing::Router;

/// Longest request that is explained.
const MAX_BYTES: usize = 16 << 20;
/// How long it may take to come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /router/explain`: how the request in the body would be decided now. Nothing is asked, booked
/// or kept.
pub async fn explain<B>(router: &Router, live: &Live, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = match tokio::time::timeout(TIMEOUT, Limited::new(body, MAX_BYTES).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let limit = MAX_BYTES as u64;
            return answer::error(&Failure::Request(RequestFault::TooLarge { limit }));
        }
        Ok(Err(_)) => return answer::error(&Failure::Request(RequestFault::Body)),
        Err(_) => return answer::error(&Failure::Request(RequestFault::Slow)),
    };
    match router.explain_body(live, &body) {
        Ok(explanation) => respond(&explanation),
        Err(failure) => answer::error(&failure),
    }
}

/// `GET /router/decisions/{call_id}`: the decisions of a call, in their order, as long as they are
/// kept. 404 if there is none.
pub fn decisions(router: &Router, live: &Live, call: &str) -> Response<Body> {
    let decisions = router.explain_kept(live, call.as_bytes());
    if decisions.is_empty() {
        return answer::error(&Failure::Request(RequestFault::Route));
    }
    respond(&json!({"call_id": call, "decisions": decisions}))
}
