//! Asks a provider for a response that it keeps.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use pointsman_routes::table::DeploymentId;
use smallvec::SmallVec;

use crate::call::Route;
use crate::error::{Failure, RequestFault, UpstreamKind};
use crate::live::{Endpoint, Live};
use crate::upstream::client::{Client, Pieces};
use crate::upstream::openai::response::told;
use crate::upstream::{AGENT, authority, collect, fault_at};
use crate::wire::limits;

/// Longest response that is held.
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// What is asked of a response.
#[derive(Debug)]
pub struct Errand<'a> {
    /// GET, POST or DELETE.
    pub method: Method,
    /// The provider's id of the response.
    pub id: &'a str,
    /// What stands behind the id in the path.
    pub tail: &'static str,
    /// The caller's query, without its question mark.
    pub query: &'a str,
}

/// Runs an errand at the deployment that keeps the response; gives the body of a success.
///
/// Dropping the future ends the upstream request.
pub async fn fetch(
    client: &Client,
    live: &Live,
    id: DeploymentId,
    errand: Errand<'_>,
) -> Result<Bytes, Failure> {
    let endpoint = live.endpoint(id);
    let of_group = live.deployment(id).group;
    let group = &live.routes().groups[usize::from(of_group.0)].name;
    let fault = |kind, message: &str| fault_at(live, id, group, kind, message);
    let uri = uri(endpoint, &errand).ok_or(Failure::Request(RequestFault::Response(
        "the deployment that made it has no responses.",
    )))?;
    let mut request = Request::new(Pieces::new(SmallVec::new()));
    *request.method_mut() = errand.method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::USER_AGENT, AGENT);
    for (name, value) in &endpoint.headers {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    let answer = async {
        authority::show(&mut request, &endpoint.authority)
            .await
            .map_err(|what| fault(UpstreamKind::Status(http::StatusCode::UNAUTHORIZED), what))?;
        let response = client.send(request).await;
        let response = response.map_err(|error| fault(UpstreamKind::Unreachable, error.cause()))?;
        let (head, body) = response.into_parts();
        let bytes = collect(body, MAX_RESPONSE_BYTES)
            .await
            .map_err(|kind| fault(kind, ""))?;
        Ok::<_, Failure>((head, bytes))
    };
    let answered = tokio::time::timeout(endpoint.timeout, answer).await;
    let (head, bytes) =
        answered.unwrap_or_else(|_| Err(fault(UpstreamKind::Timeout(endpoint.timeout), "")))?;
    if head.status.is_success() {
        return Ok(bytes);
    }
    let told = told(&bytes);
    let message = told.message.as_deref().unwrap_or("");
    let mut failure = fault(UpstreamKind::Status(head.status), message);
    if let Failure::Upstream(fault) = &mut failure {
        fault.param = told.param;
        fault.retry_after = head.headers.get(header::RETRY_AFTER).cloned();
        fault.told = limits::Told::read(head.status, &head.headers, SystemTime::now());
    }
    Err(failure)
}

/// Where a response is kept: below the place where responses are made, whose own query stays.
fn uri(endpoint: &Endpoint, errand: &Errand<'_>) -> Option<Uri> {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    let made = endpoint.uri(Route::Responses, "")?.to_string();
    let (path, own) = made.split_once('?').unwrap_or((&made, ""));
    let id = percent_encoding::utf8_percent_encode(errand.id, PLAIN);
    let queries = [own, errand.query].into_iter().filter(|it| !it.is_empty());
    let query = queries.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{path}/{id}{}{mark}{query}", errand.tail)
        .parse()
        .ok()
}
