//! Requests that are passed on to a whole API: the gateway checks who asks, puts its own credential
//! in place of the caller's, and counts what the answer says it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use pointsman_layers::BoxError;

use super::body::Body;
use super::front::refuse;
use super::{headers, read};
use crate::call::{Dialect, Principal};
use crate::error::{ApiFault, Denial, Failure, RequestFault, UpstreamKind};
use crate::live::api::Refused;
use crate::live::{Api, Handle, Live};
use crate::spend::pass::PassRecord;
use crate::spend::price::Cost;
use crate::spend::report::Reporter;
use crate::upstream::Client;
use crate::upstream::client::{Pieces, Reply, SendError};
use crate::upstream::pass::{PassEnd, Passed, Tap};
use crate::wire::usage::Shape;

/// Longest request body, unless the file says otherwise: batches and recordings are long.
const MAX_REQUEST_BYTES: u64 = 200 << 20;
/// Longest error body that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// How long a provider may take to its head, and between two pieces; LiteLLM's deadline.
const TIMEOUT: Duration = Duration::from_mins(10);

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION")));

/// Headers of the caller that the APIs of providers need.
const NEEDED: &[&str] = &[
    "accept",
    "accept-language",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "openai-beta",
    "range",
    "x-goog-api-client",
    "x-goog-upload-command",
    "x-goog-upload-header-content-length",
    "x-goog-upload-header-content-type",
    "x-goog-upload-offset",
    "x-goog-upload-protocol",
];
/// Headers that belong to a connection, say who the caller is, or speak to the gateway.
const KEPT: &[&str] = &[
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-api-key",
    "x-goog-api-key",
    "x-real-ip",
];
/// Headers of a provider that go to the caller.
const ANSWERED: &[&str] = &[
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "openai-processing-ms",
    "openai-version",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-request-id",
    "x-should-retry",
];

/// Passes requests on.
#[derive(Clone, Debug)]
pub struct PassDoor {
    live: Handle,
    client: Client,
    reporter: Reporter,
}

impl PassDoor {
    /// Sends through `client`, each request by the table that is in force when it comes.
    pub fn new(live: Handle, client: Client, reporter: Reporter) -> Self {
        Self {
            live,
            client,
            reporter,
        }
    }

    /// Serves a request whose path has a [`Api`].
    ///
    /// Always gives a response. Dropping the future, or the response's body, ends the upstream
    /// request.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let live = self.live.load();
        let (head, body) = request.into_parts();
        let (id, _) = read::call_id(&head.headers);
        let Some(api) = live.api(head.uri.path()) else {
            return refuse(&Failure::Request(RequestFault::Route), Dialect::OpenAi, &id);
        };
        let mut record = begun(&head, &id, api);
        // What passes is not read before it goes, so nothing could hold a key to its means here.
        let asker = &record.principal;
        let free = asker.models().all() && asker.means().unlimited();
        if !(asker.admin || free) {
            return refuse(&Failure::Denied(Denial::Unheld), dialect(api), &id);
        }
        match self.pass(&live, api, &head, body, &mut record).await {
            Ok(response) => response,
            Err(failure) => {
                record.status = failure.status();
                record.failure = Some(failure.class());
                record.ended = Instant::now();
                self.reporter.report_pass(record);
                refuse(&failure, dialect(api), &id)
            }
        }
    }

    async fn pass<B>(
        &self,
        live: &Arc<Live>,
        api: &Api,
        head: &Parts,
        body: B,
        record: &mut PassRecord,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = request(live, api, head, body)?;
        let sent = Instant::now();
        let answer = tokio::time::timeout(TIMEOUT, self.client.send(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(SendError::Broken(error))) if is_too_long(&error) => {
                let limit = limit(live);
                return Err(Failure::Request(RequestFault::TooLarge { limit }));
            }
            Ok(Err(_)) => return Err(fault(api, UpstreamKind::Unreachable)),
            Err(_) => return Err(fault(api, UpstreamKind::Timeout(TIMEOUT))),
        };
        record.upstream = sent.elapsed();
        record.status = answer.status();
        let (answered, reply) = answer.into_parts();
        if answered.status.is_redirection() && answered.status != StatusCode::NOT_MODIFIED {
            return Err(fault(api, UpstreamKind::Status(answered.status)));
        }
        let mut told = answer_headers(&answered.headers, api);
        headers::push_call(&mut told, &record.id);
        let status = answered.status;
        let record = std::mem::replace(record, begun(head, &record.id, api));
        let body = if status.is_client_error() || status.is_server_error() {
            self.refused(api, reply, &mut told, record).await
        } else {
            let kind = told.get(header::CONTENT_TYPE);
            let tap = Tap::new(api.shape, kind.map_or(b"", HeaderValue::as_bytes));
            let on_end = self.at_end(Arc::clone(live), record);
            Body::passed(Passed::new(reply, tap, TIMEOUT, on_end))
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = told;
        Ok(response)
    }

    /// An error of the provider's goes on in its words, but for secrets of the gateway's.
    async fn refused(
        &self,
        api: &Api,
        reply: Reply,
        told: &mut HeaderMap,
        mut record: PassRecord,
    ) -> Body {
        let read = Limited::new(reply, MAX_ERROR_BYTES).collect();
        let bytes = match tokio::time::timeout(TIMEOUT, read).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            _ => Bytes::new(),
        };
        told.remove(header::CONTENT_LENGTH);
        let body = if let Ok(text) = std::str::from_utf8(&bytes) {
            Bytes::from(api.redact(text).into_owned())
        } else {
            // What is no text may be compressed, and hide anything.
            told.remove(header::CONTENT_ENCODING);
            Bytes::new()
        };
        headers::push_source(told, "provider");
        record.failure = Some(UpstreamKind::Status(record.status).class());
        record.cost = Cost::default();
        record.ended = Instant::now();
        self.reporter.report_pass(record);
        Body::whole(body)
    }

    fn at_end(&self, live: Arc<Live>, mut record: PassRecord) -> Box<dyn FnOnce(PassEnd) + Send> {
        let reporter = self.reporter.clone();
        Box::new(move |end| {
            record.settle(end.figures, live.routes());
            record.dropped = end.dropped;
            record.failure = end.broken.then_some("APIConnectionError");
            record.ended = Instant::now();
            reporter.report_pass(record);
        })
    }
}

/// In whose way the callers of an API read errors.
fn dialect(api: &Api) -> Dialect {
    match api.shape {
        Shape::Anthropic => Dialect::Anthropic,
        Shape::Gemini => Dialect::Gemini,
        Shape::Cohere => Dialect::Cohere,
        Shape::OpenAi | Shape::Unknown => Dialect::OpenAi,
    }
}

fn begun(head: &Parts, id: &HeaderValue, api: &Api) -> PassRecord {
    let principal = head.extensions.get::<Arc<Principal>>();
    PassRecord {
        id: id.clone(),
        principal: principal.map_or_else(|| Arc::new(Principal::master()), Arc::clone),
        prefix: api.prefix.clone(),
        provider: api.provider.clone(),
        status: StatusCode::OK,
        failure: None,
        dropped: false,
        model: None,
        usage: None,
        cost: Cost {
            input: api.cost.unwrap_or_default(),
            ..Cost::default()
        },
        arrived: Instant::now(),
        upstream: Duration::ZERO,
        ended: Instant::now(),
    }
}

fn fault(api: &Api, kind: UpstreamKind) -> Failure {
    Failure::Api {
        provider: api.provider.clone(),
        fault: ApiFault::Asked(kind),
    }
}

fn limit(live: &Live) -> u64 {
    let general = &live.routes().general;
    general.max_request_bytes.unwrap_or(MAX_REQUEST_BYTES)
}

/// The request as the provider gets it: made new, with nothing of the caller's address.
fn request<B>(live: &Live, api: &Api, head: &Parts, body: B) -> Result<Request<Pieces>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if !api.allows(&head.method) {
        return Err(Failure::Request(RequestFault::Method("")));
    }
    let uri = api
        .uri(head.uri.path(), head.uri.query())
        .map_err(|refused| match refused {
            Refused::Path => Failure::Request(RequestFault::Route),
            Refused::Unbound => Failure::Api {
                provider: api.provider.clone(),
                fault: ApiFault::Unbound,
            },
        })?;
    let limit = limit(live);
    if body.size_hint().lower() > limit {
        return Err(Failure::Request(RequestFault::TooLarge { limit }));
    }
    let body = if body.is_end_stream() {
        Pieces::new(smallvec::SmallVec::new())
    } else {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Pieces::flowing(Limited::new(body, limit).boxed_unsync())
    };
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    let own_key = live.routes().general.key_header.as_deref();
    let headers = request.headers_mut();
    for (name, value) in client_headers(&head.headers, api.client_headers, own_key) {
        headers.append(name, value);
    }
    headers.entry(header::USER_AGENT).or_insert(AGENT);
    for (name, value) in &api.headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(request)
}

/// The caller's headers that go on.
fn client_headers<'a>(
    headers: &'a HeaderMap,
    all: bool,
    own_key: Option<&'a str>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    // Headers that a `connection` header names are of that connection.
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers.iter().filter_map(move |(name, value)| {
        let text = name.as_str();
        // LiteLLM's way to send a header on whatever it is called.
        if let Some(plain) = text.strip_prefix("x-pass-").filter(|_| all) {
            let name = HeaderName::try_from(plain).ok()?;
            let of_connection = KEPT.contains(&plain)
                && !matches!(plain, "authorization" | "api-key" | "x-api-key");
            return (!of_connection).then(|| (name, value.clone()));
        }
        let passes = if all {
            !KEPT.contains(&text)
                && own_key.is_none_or(|own| !own.eq_ignore_ascii_case(text))
                && !["x-litellm-", "x-pointsman-", "x-forwarded-", "proxy-"]
                    .iter()
                    .any(|prefix| text.starts_with(prefix))
        } else {
            NEEDED.contains(&text)
        };
        (passes && !named.iter().any(|named| named == text)).then(|| (name.clone(), value.clone()))
    })
}

fn answer_headers(headers: &HeaderMap, api: &Api) -> HeaderMap {
    let mut told = HeaderMap::new();
    for (name, value) in headers {
        let text = name.as_str();
        let goes = ANSWERED.contains(&text)
            || text.starts_with("x-ratelimit-")
            || text.starts_with("anthropic-ratelimit-");
        if goes && !api.echoes_secret(value.as_bytes()) {
            told.append(name.clone(), value.clone());
        }
    }
    told
}

/// Whether a request broke off because the caller sent more than it may.
fn is_too_long(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(all: bool, given: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        client_headers(&headers, all, Some("X-My-Key"))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    const GIVEN: &[(&str, &str)] = &[
        ("authorization", "Bearer sk-virtual"),
        ("x-api-key", "sk-virtual"),
        ("x-my-key", "sk-virtual"),
        ("cookie", "a=b"),
        ("host", "gateway"),
        ("connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-litellm-tags", "a"),
        ("anthropic-version", "2023-06-01"),
        ("content-type", "application/json"),
        ("x-custom", "1"),
        ("x-pass-x-more", "2"),
        ("x-pass-host", "evil.example"),
    ];

    #[test]
    fn only_what_an_api_needs_goes_on() {
        assert_eq!(
            passed(false, GIVEN),
            [
                "anthropic-version: 2023-06-01",
                "content-type: application/json"
            ]
        );
    }

    #[test]
    fn forwarded_headers_never_hold_who_asks() {
        assert_eq!(
            passed(true, GIVEN),
            [
                "anthropic-version: 2023-06-01",
                "content-type: application/json",
                "x-custom: 1",
                "x-more: 2"
            ]
        );
    }
}
