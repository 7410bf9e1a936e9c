//! Sends an attempt to its deployment and brings the answer back.
//!
//! [`client`] sends, [`relay`] reads streams, `authority` may have to fetch a token; everything
//! else is pure. A provider that speaks the caller's dialect gets the caller's bytes; every other
//! gets what its [`Protocol`] makes of the one form.

pub mod anthropic;
pub mod authority;
pub mod bedrock;
pub mod client;
pub mod cohere;
mod count;
pub mod documents;
pub mod embeddings;
#[cfg(test)]
mod example;
mod exchange;
pub mod extras;
mod fetch;
pub mod gemini;
pub mod jina;
mod mock;
pub mod ollama;
pub mod openai;
mod params;
pub mod pass;
pub mod passage;
pub mod progress;
pub mod protocol;
pub mod providers;
pub mod purpose;
pub mod relay;
mod resume;
mod turns;
pub mod vertex;
pub mod voyage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use pointsman_routes::table::DeploymentId;
use tower::Service;

pub use self::client::{Client, Reply};
use self::exchange::{Exchange, NotYet, Way};
use self::fetch::{Fetched, Fetcher};
use self::openai::quirks::Vendor;
use self::passage::Passage;
use self::protocol::{Ask, Broken, Decoder, Protocol, Task, Told, Unreadable};
pub use self::providers::Providers;
pub use self::relay::Relay;
use crate::call::{Answer, AnswerBody, Attempt, Route, Usage};
pub use crate::call::{StreamEnd, StreamOutcome};
use crate::dialect::{self, vectors};
use crate::error::{Failure, UpstreamFault, UpstreamKind};
use crate::live::Live;
use crate::wire::limits;

/// What the gateway calls itself.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("pointsman/", env!("CARGO_PKG_VERSION")));
/// Longest answer that is held, unless the file says otherwise.
const MAX_RESPONSE_BYTES: u64 = 256 << 20;
/// Longest error body that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The service that asks a deployment. Dropping its future ends the upstream request.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client,
    providers: Providers,
    fetcher: Fetcher,
}

impl Upstream {
    /// Sends through this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            providers: Providers::new(),
            fetcher: Fetcher::new(),
        }
    }

    /// With providers of the program's own: those that the table in force was
    /// [bound](Providers::bind) with.
    #[must_use]
    pub fn speaking(mut self, providers: Providers) -> Self {
        self.providers = providers;
        self
    }

    /// What it sends through.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Service<Attempt> for Upstream {
    type Response = Answer<Relay>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<Relay>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { ask(&own, &attempt).await })
    }
}

async fn ask(upstream: &Upstream, attempt: &Attempt) -> Result<Answer<Relay>, Failure> {
    let Upstream {
        client, providers, ..
    } = upstream;
    let call = &attempt.call;
    let deployment = call.live.deployment(attempt.deployment);
    let counts = deployment.mock.is_none()
        && match call.route {
            Route::InputTokens if openai::responses::counts(call, attempt.deployment) => true,
            _ => exchange::counts(deployment, providers),
        };
    if call.route.counts() && !counts {
        return count::answer(attempt);
    }
    let asked = call.controls.as_ref();
    let asked = asked.and_then(|controls| controls.mock.as_ref());
    if let Some(mock) = asked.or(deployment.mock.as_ref()) {
        return mock::answer(attempt, mock);
    }
    let endpoint = call.live.endpoint(attempt.deployment);
    let model = call.model_of(attempt.deployment);
    let Exchange {
        mut request,
        way,
        dropped,
    } = exchange(upstream, attempt, &model).await?;
    let way = match call.resumed {
        None => way,
        Some(_) => way.going_on(),
    };
    let deadline = if call.peek.stream || call.route == Route::Speech {
        let deadline = call
            .stream_timeout
            .or(call.timeout)
            .unwrap_or(endpoint.stream_timeout);
        attempt
            .first_token
            .map_or(deadline, |soon| soon.min(deadline))
    } else {
        call.timeout.unwrap_or(endpoint.timeout)
    };
    // Pinned here, since the future is too large to be moved about.
    let answer = std::pin::pin!(async {
        authority::show(&mut request, &endpoint.authority)
            .await
            .map_err(|what| {
                let kind = UpstreamKind::Status(StatusCode::UNAUTHORIZED);
                fault(attempt, kind, what)
            })?;
        answer(client, attempt, request, (way, &model)).await
    });
    let answered = tokio::time::timeout(deadline, answer).await;
    let mut answer =
        answered.unwrap_or_else(|_| Err(fault(attempt, UpstreamKind::Timeout(deadline), "")))?;
    answer.dropped = dropped;
    Ok(answer)
}

/// Makes the exchange of an attempt, having fetched what the provider must be given the bytes of.
async fn exchange<'p>(
    upstream: &'p Upstream,
    attempt: &Attempt,
    model: &str,
) -> Result<Exchange<'p>, Failure> {
    let providers = &upstream.providers;
    let made = exchange::prepare(attempt, model, (providers, &Fetched::default()));
    let wanted = match made {
        Ok(exchange) => return Ok(exchange),
        Err(NotYet::Failure(failure)) => return Err(failure),
        Err(NotYet::Wants(wanted)) => wanted,
    };
    let fetched = upstream.fetcher.fetch(&attempt.call.live, wanted).await;
    let fetched = fetched.map_err(|unfit| exchange::refused(attempt, unfit))?;
    match exchange::prepare(attempt, model, (providers, &fetched)) {
        Ok(exchange) => Ok(exchange),
        Err(NotYet::Failure(failure)) => Err(failure),
        // All that was wanted is there.
        Err(NotYet::Wants(_)) => Err(Failure::Internal),
    }
}

/// Waits for the whole answer, or for a stream's first event.
async fn answer(
    client: &Client,
    attempt: &Attempt,
    request: http::Request<client::Pieces>,
    (way, model): (Way<'_>, &str),
) -> Result<Answer<Relay>, Failure> {
    let call = &attempt.call;
    let sent = Instant::now();
    let response = client
        .send(request)
        .await
        .map_err(|error| fault(attempt, UpstreamKind::Unreachable, error.cause()))?;
    let latency = sent.elapsed();
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        return Err(refused(attempt, way, &head, body).await);
    }
    let sounds = call.route == Route::Speech && matches!(way, Way::Same);
    let body = if sounds && !is_kind(&head.headers, "text/event-stream") {
        if is_html(&head.headers) || is_kind(&head.headers, "application/json") {
            return Err(told_instead(attempt, way, body, "It is no audio.").await);
        }
        let passage = Passage::speech(call);
        let mut relay = Relay::new(body, Arc::clone(call), attempt.deployment, passage);
        relay.first_event().await?;
        AnswerBody::Stream(relay)
    } else if streams(call, &head.headers) {
        if let Some(what) = not_a_stream(&head.headers, way) {
            return Err(told_instead(attempt, way, body, what).await);
        }
        let passage = match way {
            Way::Same => Passage::same(call, vendor_of(attempt)),
            Way::Responses => Passage::responses(call, attempt.deployment),
            Way::Messages(_) => Passage::Messages(anthropic::same::Restamp::new(call.name())),
            Way::Contents(_) => {
                Passage::Contents(gemini::same::Restamp::new(call.name(), call.as_list))
            }
            Way::Other(protocol) => {
                let ask = exchange::ask_of_answer(attempt, protocol, model);
                passage(attempt, protocol.decoder(&ask))
            }
        };
        let mut relay = Relay::new(body, Arc::clone(call), attempt.deployment, passage);
        relay.first_event().await?;
        AnswerBody::Stream(relay)
    } else {
        let limit = call
            .live
            .routes()
            .general
            .max_response_bytes
            .unwrap_or(MAX_RESPONSE_BYTES);
        let bytes = collect(body, usize::try_from(limit).unwrap_or(usize::MAX))
            .await
            .map_err(|kind| fault(attempt, kind, ""))?;
        whole(attempt, &head.headers, bytes, (way, model))?
    };
    Ok(Answer {
        deployment: attempt.deployment,
        status: head.status,
        headers: head.headers,
        latency,
        dropped: Vec::new(),
        body,
    })
}

/// Whether an answer comes as events. Of media that is for the provider to say: a model that cannot
/// stream answers with the whole.
fn streams(call: &crate::call::Call, headers: &HeaderMap) -> bool {
    if call.route.is_media() {
        is_kind(headers, "text/event-stream")
    } else {
        call.peek.stream
    }
}

/// A stream that has to be translated, be it a new one or one that is gone on with.
fn passage(attempt: &Attempt, decoder: Box<dyn Decoder>) -> Passage {
    let call = &attempt.call;
    match call.resumed.as_deref() {
        None => Passage::other(call, decoder, now()),
        Some(shown) => Passage::going_on(call, shown, attempt.deployment, decoder, now()),
    }
}

/// Reads a whole answer.
fn whole<S>(
    attempt: &Attempt,
    headers: &HeaderMap,
    bytes: bytes::Bytes,
    (way, model): (Way<'_>, &str),
) -> Result<AnswerBody<S>, Failure> {
    let call = &attempt.call;
    let coding = headers.get(header::CONTENT_ENCODING);
    let read = if coding.is_some_and(|coding| coding != "identity") {
        let what = "It is compressed, which was not asked for.";
        Err(Broken::Malformed(what.into()))
    } else {
        match way {
            Way::Same if openai::audio::is_plain(call) => {
                let usage = openai::audio::heard(&bytes);
                Ok((bytes, usage.or_else(|| openai::audio::recorded(call))))
            }
            Way::Same => same(attempt, bytes),
            Way::Responses => {
                let stamp = openai::responses::stamp_of(call, attempt.deployment);
                match call.route {
                    Route::Retrieve | Route::Cancel | Route::Delete => {
                        Ok((stamp.kept(bytes), None))
                    }
                    // Items have ids of their own, which nobody can ask for.
                    Route::InputItems | Route::InputTokens => Ok((bytes, None)),
                    _ => stamp.whole(bytes),
                }
            }
            Way::Messages(_) => {
                openai::response::whole(call.name(), bytes, anthropic::same::read_usage)
            }
            Way::Contents(_) => gemini::same::whole(call.name(), bytes),
            Way::Other(protocol) => {
                let ask = exchange::ask_of_answer(attempt, protocol, model);
                said(call, protocol, &ask, &bytes)
                    .map_err(|unreadable| Broken::Malformed(unreadable.0))
            }
        }
    };
    let (bytes, usage) = read.map_err(|broken| match broken {
        Broken::Malformed(_) if is_html(headers) => {
            fault(attempt, UpstreamKind::Malformed, "It is an HTML page.")
        }
        broken => broken_off(call, attempt.deployment, broken),
    })?;
    // To count is free.
    let usage = usage.filter(|_| !call.route.counts());
    Ok(AnswerBody::Whole { bytes, usage })
}

/// A whole answer of one who speaks the caller's dialect, but for what the vendor has otherwise.
fn same(attempt: &Attempt, bytes: bytes::Bytes) -> Result<(bytes::Bytes, Option<Usage>), Broken> {
    let call = &attempt.call;
    let vendor = vendor_of(attempt);
    if let Some(told) = vendor.failed(&bytes) {
        return Err(Broken::Told(told));
    }
    let bytes = vendor.mend(&bytes).unwrap_or(bytes);
    let cost = vendor.cost_of(&bytes);
    let (bytes, usage) = openai::response::whole(call.name(), bytes, openai::response::read_usage)?;
    let usage = usage.map(|usage| Usage { cost, ..usage });
    let usage = openai::response::taken(call, usage, &bytes);
    Ok((bytes, usage))
}

/// Who answers a chat in OpenAI's dialect. In all else nobody differs.
fn vendor_of(attempt: &Attempt) -> Vendor {
    let deployment = attempt.call.live.deployment(attempt.deployment);
    match attempt.call.route {
        Route::Chat => Vendor::of(&deployment.provider),
        _ => Vendor::OpenAi,
    }
}

/// What a whole answer of another protocol says, as the caller gets it.
fn said(
    call: &crate::call::Call,
    protocol: &dyn Protocol,
    ask: &Ask<'_>,
    bytes: &[u8],
) -> Result<(bytes::Bytes, Option<Usage>), Unreadable> {
    const REQUEST: Unreadable = Unreadable(std::borrow::Cow::Borrowed("It answers no request."));
    match ask.task {
        Task::Embed => {
            let asked = vectors::read_embed(call, ask.deployment).map_err(|_| REQUEST)?;
            let answer = protocol.read_embed(ask, bytes, asked.inputs.len())?;
            let written = vectors::write_embed(call, asked.encoding, &answer);
            let written = written.ok_or(Unreadable::new("An embedding has no numbers."))?;
            Ok((written, answer.usage))
        }
        Task::Rerank => {
            let asked = vectors::read_rerank(call, ask.deployment).map_err(|_| REQUEST)?;
            let answer = protocol.read_rerank(ask, bytes)?;
            let written = vectors::write_rerank(call, &asked, &answer);
            let written = written.ok_or(Unreadable::new("It ranks what is no document."))?;
            let usage = Usage {
                // One that says nothing of searches made one.
                queries: answer.searches.unwrap_or(1),
                ..answer.usage.unwrap_or_default()
            };
            Ok((written, Some(usage)))
        }
        Task::Chat | Task::Stream | Task::CountTokens => {
            let answer = protocol.read_chat(ask, bytes)?;
            if call.route.is_media() {
                let written = dialect::media::write(call, &answer, now());
                let written =
                    written.ok_or(Unreadable::new("It made none of what was asked for."))?;
                return Ok((written, answer.usage));
            }
            Ok((dialect::write(call, &answer, now()), answer.usage))
        }
    }
}

async fn collect(body: Reply, limit: usize) -> Result<bytes::Bytes, UpstreamKind> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(UpstreamKind::TooLarge),
        Err(_) => Err(UpstreamKind::Cut),
    }
}

/// An answer whose status is no success; its body, as far as it comes, says why.
async fn refused(
    attempt: &Attempt,
    way: Way<'_>,
    head: &http::response::Parts,
    body: Reply,
) -> Failure {
    let bytes = collect(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    if head.status.is_redirection() {
        let what = "It redirects elsewhere, which is not followed.";
        return fault(attempt, UpstreamKind::Malformed, what);
    }
    let told = if is_html(&head.headers) {
        Told {
            message: Some("It answered with an HTML page.".to_owned()),
            ..Told::default()
        }
    } else {
        match way {
            Way::Same | Way::Responses => openai::response::told(&bytes),
            Way::Messages(protocol) | Way::Contents(protocol) | Way::Other(protocol) => {
                protocol.told(head.status, &bytes)
            }
        }
    };
    let after = head.headers.get(header::RETRY_AFTER).cloned();
    let mut failure = told_failure(&attempt.call, attempt.deployment, told, head.status, after);
    if let Failure::Upstream(fault) = &mut failure {
        let limits = limits::Told::read(head.status, &head.headers, SystemTime::now());
        let after = limits.after.or(fault.told.after);
        fault.told = limits::Told { after, ..limits };
    }
    failure
}

/// A success without events: an error told with status 200, or nothing that can be read.
async fn told_instead(attempt: &Attempt, way: Way<'_>, body: Reply, what: &'static str) -> Failure {
    let bytes = collect(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let told = match (way, openai::response::told_as_success(&bytes)) {
        (Way::Same | Way::Responses, told) => told,
        (Way::Messages(protocol) | Way::Contents(protocol) | Way::Other(protocol), Some(like)) => {
            Some(Told {
                status: like.status,
                ..protocol.told(StatusCode::OK, &bytes)
            })
        }
        (_, None) => None,
    };
    match told {
        Some(told) => broken_off(&attempt.call, attempt.deployment, Broken::Told(told)),
        None => fault(attempt, UpstreamKind::Malformed, what),
    }
}

/// Says what a head promises if it promises no events.
fn not_a_stream(headers: &HeaderMap, way: Way<'_>) -> Option<&'static str> {
    let wanted = match way {
        Way::Same | Way::Responses | Way::Messages(_) | Way::Contents(_) => "text/event-stream",
        Way::Other(protocol) => protocol.stream_type(),
    };
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or(b"" as &[u8], HeaderValue::as_bytes);
    if kind.starts_with(wanted.as_bytes()) {
        return None;
    }
    Some(match kind {
        b"" => "It has no content type.",
        _ if is_html(headers) => "It is an HTML page.",
        _ => "It is no event stream.",
    })
}

/// Whether a head promises this content type, whatever its parameters.
fn is_kind(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or(b"" as &[u8], HeaderValue::as_bytes);
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
}

fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// What it means that an answer could not be read to its end.
pub(crate) fn broken_off(call: &crate::call::Call, id: DeploymentId, broken: Broken) -> Failure {
    match broken {
        Broken::TooLong => fault_of(call, id, UpstreamKind::TooLarge, ""),
        Broken::Malformed(what) => fault_of(call, id, UpstreamKind::Malformed, &what),
        Broken::Cut => fault_of(call, id, UpstreamKind::Cut, ""),
        Broken::Told(told) => told_failure(call, id, told, StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}

/// A failure in the provider's words, with this status unless it tells another.
fn told_failure(
    call: &crate::call::Call,
    id: DeploymentId,
    told: Told,
    status: StatusCode,
    retry_after: Option<HeaderValue>,
) -> Failure {
    let kind = UpstreamKind::Status(told.status.unwrap_or(status));
    let mut failure = fault_of(call, id, kind, told.message.as_deref().unwrap_or(""));
    if let Failure::Upstream(fault) = &mut failure {
        fault.refusal = told.kind;
        fault.param = told.param;
        fault.retry_after = retry_after;
        fault.told.after = told.retry_after;
    }
    failure
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A fault of this attempt; `message` may come from outside and is redacted here.
pub(crate) fn fault(attempt: &Attempt, kind: UpstreamKind, message: &str) -> Failure {
    fault_of(&attempt.call, attempt.deployment, kind, message)
}

/// As [`fault`], for those who hold no attempt.
pub(crate) fn fault_of(
    call: &crate::call::Call,
    id: DeploymentId,
    kind: UpstreamKind,
    message: &str,
) -> Failure {
    fault_at(&call.live, id, call.group_name(), kind, message)
}

/// As [`fault`], for those who have no call.
fn fault_at(
    live: &Live,
    id: DeploymentId,
    group: &str,
    kind: UpstreamKind,
    message: &str,
) -> Failure {
    let deployment = live.deployment(id);
    Failure::Upstream(Box::new(UpstreamFault {
        kind,
        provider: title(&deployment.provider.name),
        asked: id,
        deployment: deployment.id.to_string(),
        group: group.to_owned(),
        fallbacks: Vec::new(),
        message: live.endpoint(id).redact(message).into_owned(),
        refusal: None,
        param: None,
        retry_after: None,
        told: limits::Told::default(),
    }))
}

/// A provider's name as LiteLLM writes it before `Exception`.
fn title(provider: &str) -> String {
    match provider {
        "openai" => "OpenAI".to_owned(),
        other => {
            let mut chars = other.chars();
            chars.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(chars).collect()
            })
        }
    }
}
