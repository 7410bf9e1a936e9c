//! Asks a provider for a response that it keeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use pointsman_routes::table::{DeploymentId, Target};
use serde_json::Value;
use smallvec::SmallVec;
use tower::Service;

use super::stamp::Found;
use super::told;
use crate::call::{Answer, AnswerBody, Attempt, Call, Lost, Reached, Route, Trail, Usage};
use crate::error::{Failure, RequestFault, UpstreamKind};
use crate::live::Endpoint;
use crate::upstream::client::{Client, Pieces};
use crate::upstream::exchange::Way;
use crate::upstream::{AGENT, Relay, answer, authority, count, fault};

/// The service that answers calls about responses which are kept: each is sent once, to the deployment
/// that it is bound to. Dropping its future ends the upstream request.
#[derive(Clone, Debug)]
pub struct Keeper {
    client: Client,
}

impl Keeper {
    /// Sends through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks for the response that a call is about. An error if that call is about none.
    pub async fn ask(&self, call: &Arc<Call>) -> Result<Answer<Relay>, Failure> {
        let Target::Deployment(deployment) = call.target else {
            return Err(Failure::Internal);
        };
        let attempt = Attempt {
            call: Arc::clone(call),
            deployment,
            first_token: None,
        };
        let endpoint = call.live.endpoint(deployment);
        let mut request = request(call, endpoint).ok_or(Failure::Request(
            RequestFault::Response("the deployment that made it has no responses."),
        ))?;
        let deadline = if call.peek.stream {
            endpoint.stream_timeout
        } else {
            endpoint.timeout
        };
        let asked = async {
            authority::show(&mut request, &endpoint.authority)
                .await
                .map_err(|what| {
                    let kind = UpstreamKind::Status(http::StatusCode::UNAUTHORIZED);
                    fault(&attempt, kind, what)
                })?;
            answer(&self.client, &attempt, request, (Way::Responses, "")).await
        };
        tokio::time::timeout(deadline, asked)
            .await
            .unwrap_or_else(|_| Err(fault(&attempt, UpstreamKind::Timeout(deadline), "")))
    }
}

impl Service<Arc<Call>> for Keeper {
    type Response = Reached<Relay>;
    type Error = Box<Lost>;
    type Future = Pin<Box<dyn Future<Output = Result<Reached<Relay>, Box<Lost>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Box<Lost>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Arc<Call>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            let trail = Trail::default();
            match own.ask(&call).await {
                Ok(answer) => Ok(Reached {
                    call,
                    answer,
                    trail,
                }),
                Err(failure) => Err(Box::new(Lost {
                    call,
                    failure,
                    trail,
                })),
            }
        })
    }
}

fn request(call: &Call, endpoint: &Endpoint) -> Option<Request<Pieces>> {
    let (method, tail) = match call.route {
        Route::Retrieve => (Method::GET, ""),
        Route::InputItems => (Method::GET, "/input_items"),
        Route::Cancel => (Method::POST, "/cancel"),
        Route::Delete => (Method::DELETE, ""),
        _ => return None,
    };
    let kept = call.kept.as_ref()?;
    let mut request = Request::new(Pieces::new(SmallVec::new()));
    *request.method_mut() = method;
    *request.uri_mut() = uri(endpoint, &kept.issued.id, tail, &kept.query)?;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, AGENT);
    if call.peek.stream {
        let events = HeaderValue::from_static("text/event-stream");
        headers.insert(header::ACCEPT, events);
    }
    for (name, value) in &endpoint.headers {
        headers.insert(name.clone(), value.clone());
    }
    Some(request)
}

/// Where a response is kept: below the place where responses are made, whose own query stays.
fn uri(endpoint: &Endpoint, id: &str, tail: &str, query: &str) -> Option<Uri> {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    let id = percent_encoding::utf8_percent_encode(id, PLAIN);
    endpoint.responses(&format!("/{id}{tail}"), query)
}

/// What is known of a response that is made in the background.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It goes on.
    Under,
    /// It has ended.
    Over {
        /// What it took, if the provider says so.
        usage: Option<Usage>,
        /// It failed, and this is LiteLLM's class of such a failure.
        failure: Option<&'static str>,
        /// What was said until then.
        words: String,
    },
}

impl State {
    /// Reads a response, whoever's names it bears. `None` if it is none.
    pub fn read(text: &[u8]) -> Option<Self> {
        let found = Found::read(text).ok()?;
        if !found.is_response() {
            return None;
        }
        if found.goes_on(text) {
            return Some(Self::Under);
        }
        let failure = found.failed(text).then(|| {
            let whole: Value = serde_json::from_slice(text).unwrap_or_default();
            let status = told(&whole["error"]).status;
            let status = status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
            UpstreamKind::Status(status).class()
        });
        Some(Self::Over {
            usage: found.usage(text),
            failure,
            words: words(text),
        })
    }
}

/// All that the items of a response say.
fn words(text: &[u8]) -> String {
    let whole: Value = serde_json::from_slice(text).unwrap_or_default();
    let items = whole["output"].as_array().into_iter().flatten();
    let mut said = String::new();
    for item in items {
        let parts = ["content", "summary"].into_iter();
        let parts = parts.filter_map(|name| item[name].as_array()).flatten();
        let texts = parts.filter_map(|part| part["text"].as_str());
        let arguments = ["arguments", "input"].into_iter();
        let arguments = arguments.filter_map(|name| item[name].as_str());
        texts.chain(arguments).for_each(|text| said.push_str(text));
    }
    said
}

/// What an answer took that ended without a word of it: its prompt, and what was said.
pub fn estimate(call: &Call, deployment: DeploymentId, words: &str) -> Usage {
    count::of_words(call, deployment, words)
}

/// The body of a whole answer.
pub fn whole(answer: Answer<Relay>) -> Option<Bytes> {
    match answer.body {
        AnswerBody::Whole { bytes, .. } => Some(bytes),
        AnswerBody::Stream(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<State> {
        State::read(text.as_bytes())
    }

    #[test]
    fn a_response_says_whether_it_goes_on() {
        for status in ["queued", "in_progress"] {
            let text = format!(r#"{{"id":"r","status":"{status}","usage":null}}"#);
            assert_eq!(read(&text), Some(State::Under));
        }
        let done = r#"{"id":"r","status":"completed","usage":{"input_tokens":3,"output_tokens":4},
            "output":[{"content":[{"text":"a "}]},{"arguments":"{}"}]}"#;
        let Some(State::Over {
            usage,
            failure,
            words,
        }) = read(done)
        else {
            panic!("it has ended")
        };
        assert_eq!(
            (usage.unwrap().total(), failure, &*words),
            (7, None, "a {}")
        );
        let failed = r#"{"id":"r","status":"failed","error":{"code":"rate_limit_exceeded"}}"#;
        let Some(State::Over { usage, failure, .. }) = read(failed) else {
            panic!("it has ended")
        };
        assert_eq!((usage, failure), (None, Some("RateLimitError")));
        for none in [
            "",
            "[]",
            r#"{"id":"r","deleted":true}"#,
            r#"{"error":{"code":404}}"#,
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
