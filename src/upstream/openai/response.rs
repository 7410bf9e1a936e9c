//! Whole answers and errors.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::call::{AnswerBody, Attempt, Usage};
use crate::error::{Failure, UpstreamKind};
use crate::upstream::fault;
use crate::wire::json::{self, Member};
use crate::wire::openai;

/// A whole answer: the model's name is put back to what the caller asked for, usage is read, every
/// other byte is left.
pub fn whole<S>(
    attempt: &Attempt,
    headers: &HeaderMap,
    bytes: Bytes,
) -> Result<AnswerBody<S>, Failure> {
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding != "identity")
    {
        return Err(fault(
            attempt,
            UpstreamKind::Malformed,
            "It is compressed, which was not asked for.",
        ));
    }
    let mut found = Found::default();
    let read = json::members(&bytes, |member| found.note(&bytes, member));
    if read.is_err() {
        let what = if is_html(headers) {
            "It is an HTML page."
        } else {
            "It is no JSON object."
        };
        return Err(fault(attempt, UpstreamKind::Malformed, what));
    }
    if let Some(failure) = found
        .error
        .and_then(|_| told_as_success(attempt, headers, &bytes))
    {
        return Err(failure);
    }
    let usage = found
        .usage
        .and_then(|usage| read_usage(usage.value(&bytes)));
    let Some(model) = found.model else {
        return Ok(AnswerBody::Whole { bytes, usage });
    };
    let asked = asked_literal(attempt.call.name());
    if model.value(&bytes) == asked {
        return Ok(AnswerBody::Whole { bytes, usage });
    }
    let mut changed = Vec::with_capacity(bytes.len() + asked.len());
    changed.extend_from_slice(&bytes[..model.value_start]);
    changed.extend_from_slice(&asked);
    changed.extend_from_slice(&bytes[model.end..]);
    Ok(AnswerBody::Whole {
        bytes: changed.into(),
        usage,
    })
}

/// The name that the caller asked for, as a JSON string.
pub(super) fn asked_literal(asked: &str) -> Vec<u8> {
    let mut literal = Vec::with_capacity(asked.len() + 2);
    json::push_string(&mut literal, asked);
    literal
}

/// Reads `usage`, unless it is null.
pub(super) fn read_usage(text: &[u8]) -> Option<Usage> {
    openai::Usage::read(text).map(Usage::from)
}

/// The members of an answer, or of a chunk, that the gateway looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) model: Option<Member>,
    pub(super) usage: Option<Member>,
    pub(super) choices: Option<Member>,
    pub(super) error: Option<Member>,
}

impl Found {
    pub(super) fn note(&mut self, text: &[u8], member: Member) {
        match member.raw_name(text) {
            b"model" => self.model = Some(member),
            b"usage" => self.usage = Some(member),
            b"choices" => self.choices = Some(member),
            b"error" if member.value(text) != b"null" => self.error = Some(member),
            _ => {}
        }
    }
}

/// Says what a head promises if it promises no events.
pub fn not_a_stream(headers: &HeaderMap) -> Option<&'static str> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or(b"" as &[u8], HeaderValue::as_bytes);
    if kind.starts_with(b"text/event-stream") {
        return None;
    }
    Some(match kind {
        b"" => "It has no content type.",
        _ if is_html(headers) => "It is an HTML page.",
        _ => "It is no event stream.",
    })
}

fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// An answer whose status is no success.
pub fn refused(
    attempt: &Attempt,
    status: StatusCode,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Failure {
    if status.is_redirection() {
        let what = "It redirects elsewhere, which is not followed.";
        return fault(attempt, UpstreamKind::Malformed, what);
    }
    let said = Said::read(headers, bytes);
    let mut failure = fault(attempt, UpstreamKind::Status(status), &said.message);
    if let Failure::Upstream(fault) = &mut failure {
        fault.param = said.param;
        fault.retry_after = headers.get(header::RETRY_AFTER).cloned();
    }
    failure
}

/// An error told with status 200, as some providers do.
pub fn told_as_success(attempt: &Attempt, headers: &HeaderMap, bytes: &[u8]) -> Option<Failure> {
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let error = body.get("error").filter(|error| !error.is_null())?;
    let status = ["code", "status", "status_code"]
        .iter()
        .filter_map(|key| error.get(key))
        .find_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
        .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(refused(attempt, status, headers, bytes))
}

/// What an error body says.
struct Said {
    message: String,
    param: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    detail: Value,
}

impl Said {
    /// Reads `{"error":{"message"}}`, `{"error":"…"}`, `{"message"}`, `{"detail"}`, or plain text.
    fn read(headers: &HeaderMap, bytes: &[u8]) -> Self {
        if is_html(headers) {
            return Self {
                message: "It answered with an HTML page.".to_owned(),
                param: None,
            };
        }
        let Ok(body) = serde_json::from_slice::<Body>(bytes) else {
            return Self {
                message: String::from_utf8_lossy(bytes).trim().to_owned(),
                param: None,
            };
        };
        let message = [
            &body.error["message"],
            &body.error,
            &body.message,
            &body.detail,
        ]
        .into_iter()
        .find(|value| !value.is_null())
        .map_or_else(String::new, |value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        });
        Self {
            message,
            param: body.error["param"].as_str().map(str::to_owned),
        }
    }
}
