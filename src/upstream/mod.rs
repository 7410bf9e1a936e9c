//! Sends an attempt to its deployment and brings the answer back.
//!
//! Everything but [`client`] and [`relay`] is pure: no sockets, no clock.

pub mod anthropic;
pub mod client;
pub mod cohere;
pub mod documents;
pub mod embeddings;
#[cfg(test)]
mod example;
pub mod extras;
pub mod gemini;
pub mod jina;
mod mock;
pub mod ollama;
pub mod openai;
pub mod protocol;
pub mod purpose;
pub mod relay;
mod silent;
mod turns;
pub mod voyage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use http_body_util::{BodyExt, Limited};

use tower::Service;

pub use self::client::{Client, Reply};
pub use self::relay::Relay;
use crate::call::{Answer, AnswerBody, Attempt};
pub use crate::call::{StreamEnd, StreamOutcome};
use crate::error::{Failure, NoDeployment, UpstreamFault, UpstreamKind};
use crate::wire::limits::Told;

/// Longest answer that is held, unless the file says otherwise.
const MAX_RESPONSE_BYTES: u64 = 256 << 20;
/// Longest error body that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The service that asks a deployment. Dropping its future ends the upstream request.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client,
}

impl Upstream {
    /// Sends through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
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
        let client = self.client.clone();
        Box::pin(async move { ask(&client, &attempt).await })
    }
}

async fn ask(client: &Client, attempt: &Attempt) -> Result<Answer<Relay>, Failure> {
    let call = &attempt.call;
    let deployment = call.live.deployment(attempt.deployment);
    if let Some(mock) = &deployment.mock {
        return mock::answer(attempt, mock);
    }
    let endpoint = call.live.endpoint(attempt.deployment);
    let model = call.model_of(attempt.deployment);
    let Some(uri) = endpoint.uri(call.route, &model) else {
        return Err(Failure::NoDeployment {
            group: call.group_name().to_owned(),
            why: NoDeployment::Unserved {
                providers: deployment.provider.name.to_string(),
            },
        });
    };
    let request = openai::request::build(attempt, uri, &model);
    let deadline = if call.peek.stream {
        call.stream_timeout
            .or(call.timeout)
            .unwrap_or(endpoint.stream_timeout)
    } else {
        call.timeout.unwrap_or(endpoint.timeout)
    };
    // Pinned here, since the future is too large to be moved about.
    let answer = std::pin::pin!(answer(client, attempt, request));
    let answered = tokio::time::timeout(deadline, answer).await;
    answered.unwrap_or_else(|_| Err(fault(attempt, UpstreamKind::Timeout(deadline), "")))
}

/// Waits for the whole answer, or for a stream's first event.
async fn answer(
    client: &Client,
    attempt: &Attempt,
    request: http::Request<client::Pieces>,
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
        return Err(refused(attempt, &head, body).await);
    }
    let body = if call.peek.stream {
        if let Some(what) = openai::response::not_a_stream(&head.headers) {
            return Err(not_a_stream(attempt, &head, body, what).await);
        }
        let mut relay = Relay::new(body, Arc::clone(call), attempt.deployment);
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
        openai::response::whole(attempt, &head.headers, bytes)?
    };
    Ok(Answer {
        deployment: attempt.deployment,
        status: head.status,
        headers: head.headers,
        latency,
        body,
    })
}

async fn collect(body: Reply, limit: usize) -> Result<bytes::Bytes, UpstreamKind> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(UpstreamKind::TooLarge),
        Err(_) => Err(UpstreamKind::Cut),
    }
}

/// An answer whose status is no success; its body, as far as it comes, says why.
async fn refused(attempt: &Attempt, head: &http::response::Parts, body: Reply) -> Failure {
    let bytes = collect(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let mut failure = openai::response::refused(attempt, head.status, &head.headers, &bytes);
    if let Failure::Upstream(fault) = &mut failure {
        fault.told = Told::read(head.status, &head.headers, SystemTime::now());
    }
    failure
}

/// A success without events: an error told with status 200, or nothing that can be read.
async fn not_a_stream(
    attempt: &Attempt,
    head: &http::response::Parts,
    body: Reply,
    what: &'static str,
) -> Failure {
    let bytes = collect(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    openai::response::told_as_success(attempt, &head.headers, &bytes)
        .unwrap_or_else(|| fault(attempt, UpstreamKind::Malformed, what))
}

/// A fault of this attempt; `message` may come from outside and is redacted here.
pub(crate) fn fault(attempt: &Attempt, kind: UpstreamKind, message: &str) -> Failure {
    fault_of(&attempt.call, attempt.deployment, kind, message)
}

/// As [`fault`], for those who hold no attempt.
pub(crate) fn fault_of(
    call: &crate::call::Call,
    id: pointsman_routes::table::DeploymentId,
    kind: UpstreamKind,
    message: &str,
) -> Failure {
    let deployment = call.live.deployment(id);
    Failure::Upstream(Box::new(UpstreamFault {
        kind,
        provider: title(&deployment.provider.name),
        asked: id,
        deployment: deployment.id.to_string(),
        group: call.group_name().to_owned(),
        fallbacks: Vec::new(),
        message: call.live.endpoint(id).redact(message).into_owned(),
        param: None,
        retry_after: None,
        told: Told::default(),
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
