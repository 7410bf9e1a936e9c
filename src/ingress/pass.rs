//! Requests that are passed on to a whole API: the gateway checks who asks and for what, holds the
//! caller to its rates and budgets, puts its own credential in place of the caller's, and counts what
//! the answer says it took.
//!
//! The body of a request goes by as it comes, unless the caller is held to anything: then a body of JSON
//! is read first, for the model and the length of the answer that it asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, LengthLimitError, Limited};
use pointsman_layers::BoxError;

use super::answer::refuse;
use super::body::Body;
use super::{headers, id, read};
use crate::access::pass::{Passing, Toll};
use crate::access::{Access, address};
use crate::call::{About, Dialect, Peek, Principal};
use crate::error::{ApiFault, Denial, Failure, RequestFault, UpstreamKind};
use crate::live::api::Refused;
use crate::live::{Api, Authority, Handle, Live};
use crate::spend::pass::PassRecord;
use crate::spend::price::Cost;
use crate::spend::report::Reporter;
use crate::upstream::client::{Broken, Pieces, Reply, SendError};
use crate::upstream::pass::{PassEnd, Passed, Tap};
use crate::upstream::{Client, authority};
use crate::wire::asked::Asked;
use crate::wire::usage::{Shape, Told};

/// Longest request body, unless the file says otherwise: batches and recordings are long.
const MAX_REQUEST_BYTES: u64 = 200 << 20;
/// Longest request body of a caller who is held to anything: it is kept while it is read.
const MAX_READ_BYTES: u64 = 32 << 20;
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
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-trace",
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
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-invocation-latency",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "x-request-id",
    "x-should-retry",
];

/// Passes requests on.
#[derive(Clone, Debug)]
pub struct PassDoor {
    live: Handle,
    client: Client,
    reporter: Reporter,
    access: Access,
}

impl PassDoor {
    /// Sends through `client`, each request by the table that is in force when it comes.
    /// `access` holds callers to what they have.
    pub fn new(live: Handle, client: Client, reporter: Reporter, access: Access) -> Self {
        Self {
            live,
            client,
            reporter,
            access,
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
        let ids = id::of_call(&head.headers);
        let id = ids.0.clone();
        let Some(api) = live.api(head.uri.path()) else {
            return refuse(&Failure::Request(RequestFault::Route), Dialect::OpenAi, &id);
        };
        let principal = head.extensions.get::<Arc<Principal>>();
        let principal = principal.map_or_else(|| Arc::new(Principal::master()), Arc::clone);
        let mut record = begun(&live, &head, ids, api, Arc::clone(&principal));
        let mut response = match self.admit(&live, api, &head, body, &mut record).await {
            Ok(response) => response,
            Err(failure) => {
                record.status = failure.status();
                record.failure = Some(failure.class());
                record.cost = Cost::default();
                record.ended = Instant::now();
                self.reporter.report_pass(record);
                refuse(&failure, dialect(api), &id)
            }
        };
        headers::push_means(response.headers_mut(), &principal, 0, &self.access);
        response
    }

    /// Passes a request on if its caller may ask for it and has the means.
    async fn admit<B>(
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
        if self.reporter.ledger().is_some_and(|ledger| !ledger.takes()) {
            return Err(Failure::LedgerDown);
        }
        let customer = match &record.about.end_user {
            Some(id) => self.access.customer(id).await,
            None => None,
        };
        let account = customer.as_ref().and_then(|one| one.account.as_ref());
        if account.is_some_and(|account| account.blocked) {
            let id = record.about.end_user.as_deref().unwrap_or_default();
            return Err(Failure::Denied(Denial::EndUserBlocked(id.to_owned())));
        }
        let principal = Arc::clone(&record.principal);
        let means = customer.as_ref().and_then(|one| one.means.as_ref());
        let proxy = live.routes().settings.budget.is_some();
        let free =
            principal.models().all() && principal.means().unlimited() && means.is_none() && !proxy;
        let sends = !matches!(
            head.method,
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
        );
        // A signature is of the whole body.
        let signed = matches!(api.authority(head.uri.path()), Authority::Aws(_));
        let read = sends && (!free && is_json(&head.headers) || signed);
        let limit = limit(live);
        let (body, text) = if read {
            let limit = limit.min(MAX_READ_BYTES);
            let whole = read::read_body(&head.headers, body, limit).await?;
            (Either::Left(whole.clone()), whole)
        } else {
            (Either::Right(body), Bytes::new())
        };
        let asked = Asked::read(head.uri.path(), &text).map_err(|_| {
            let what = "the member `model` stands twice".to_owned();
            Failure::Request(RequestFault::Json(what))
        })?;
        record.length = match &body {
            Either::Left(text) => text.len() as u64,
            Either::Right(body) => body.size_hint().lower(),
        };
        let toll = {
            let passing = Passing {
                live,
                provider: &api.provider,
                principal: &principal,
                customer: customer.as_deref(),
                asked: &asked,
                length: record.length,
                fixed: api.cost.unwrap_or_default(),
            };
            passing
                .check_model(sends && !is_upload(head.uri.path()))
                .map_err(Failure::Denied)?;
            record.asked = asked
                .model
                .clone()
                .zip(passing.counted_as().map(str::to_owned));
            self.access.hold(&passing).await?
        };
        self.pass(live, api, head, body, (record, toll)).await
    }

    async fn pass<B>(
        &self,
        live: &Arc<Live>,
        api: &Api,
        head: &Parts,
        body: Either<Bytes, B>,
        (record, due): (&mut PassRecord, Toll),
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = request(live, api, head, body)?;
        let path = head.uri.path();
        authority::show(&mut request, api.authority(path))
            .await
            .map_err(|_| fault(api, UpstreamKind::Status(StatusCode::UNAUTHORIZED)))?;
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
        let body = if status.is_client_error() || status.is_server_error() {
            drop(due);
            self.refused(api, reply, &mut told, record.clone()).await
        } else {
            let kind = told.get(header::CONTENT_TYPE);
            // What is only looked up was paid when it was made.
            let shape = if head.method == Method::POST {
                api.shape_of(path)
            } else {
                Shape::Unknown
            };
            let tap = Tap::new(shape, kind.map_or(b"", HeaderValue::as_bytes))
                .knowing(told_in(&answered.headers).filter(|_| shape == Shape::Bedrock));
            let on_end = self.at_end(Arc::clone(live), record.clone(), due);
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

    fn at_end(
        &self,
        live: Arc<Live>,
        mut record: PassRecord,
        toll: Toll,
    ) -> Box<dyn FnOnce(PassEnd) + Send> {
        let reporter = self.reporter.clone();
        Box::new(move |end| {
            record.settle(end.figures, end.events, live.routes());
            record.dropped = end.dropped;
            record.failure = end.broken.then_some("APIConnectionError");
            record.ended = Instant::now();
            toll.settle(record.usage.as_ref(), record.cost.total());
            reporter.report_pass(record);
        })
    }
}

/// The tokens that Bedrock tells of an invoked model in headers.
fn told_in(headers: &HeaderMap) -> Option<Told> {
    let count = |name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
    Some(Told {
        usage: crate::wire::openai::Usage {
            prompt_tokens: count("x-amzn-bedrock-input-token-count")?,
            completion_tokens: count("x-amzn-bedrock-output-token-count").unwrap_or(0),
            ..Default::default()
        },
        ..Told::default()
    })
}

/// Whether a body says that it is JSON, or says nothing of itself.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")))
}

/// Whether a path only brings something to the provider, and has no model do anything.
fn is_upload(path: &str) -> bool {
    let mut steps = path.split('/');
    steps.any(|step| matches!(step, "files" | "uploads"))
}

/// In whose way the callers of an API read errors.
fn dialect(api: &Api) -> Dialect {
    match api.shape {
        Shape::Anthropic => Dialect::Anthropic,
        Shape::Gemini => Dialect::Gemini,
        Shape::Cohere => Dialect::Cohere,
        Shape::OpenAi | Shape::Bedrock | Shape::Unknown => Dialect::OpenAi,
    }
}

fn begun(
    live: &Live,
    head: &Parts,
    (id, row): (HeaderValue, u128),
    api: &Api,
    principal: Arc<Principal>,
) -> PassRecord {
    let ip = address::of(&head.extensions, &head.headers, live);
    let own = live.end_user_header();
    PassRecord {
        id,
        row,
        principal,
        prefix: api.prefix.clone(),
        provider: api.provider.clone(),
        status: StatusCode::OK,
        failure: None,
        dropped: false,
        about: About::read(&head.headers, own, ip, b"{}", &Peek::default()),
        asked: None,
        model: None,
        usage: None,
        estimated: false,
        length: 0,
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
fn request<B>(
    live: &Live,
    api: &Api,
    head: &Parts,
    body: Either<Bytes, B>,
) -> Result<Request<Pieces>, Failure>
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
    let body = match body {
        Either::Left(whole) => Pieces::new(smallvec::SmallVec::from_iter([whole])),
        Either::Right(body) if body.size_hint().lower() > limit => {
            return Err(Failure::Request(RequestFault::TooLarge { limit }));
        }
        Either::Right(body) if body.is_end_stream() => Pieces::new(smallvec::SmallVec::new()),
        Either::Right(body) => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            Pieces::flowing(Limited::new(body, limit).boxed_unsync())
        }
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
fn is_too_long(error: &Broken) -> bool {
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
