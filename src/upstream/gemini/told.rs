//! What Google says went wrong.
//!
//! Source: Google's API design guide, `google.rpc.Status` and its details (`RetryInfo`,
//! `BadRequest`, `ErrorInfo`). A stream that is no event stream tells it in a list of one.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::upstream::protocol::{Refusal, Told};

/// Longest wait that is believed.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Reads an error; `status` is the one that came with it, `None` within a stream.
pub(super) fn told(status: Option<StatusCode>, body: &[u8]) -> Told {
    let Ok(said) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body).trim().to_owned();
        return Told {
            message: (!text.is_empty() && !text.starts_with('<')).then_some(text),
            ..Told::default()
        };
    };
    let said = said.get(0).unwrap_or(&said);
    let error = said.get("error").unwrap_or(said);
    let message = error["message"]
        .as_str()
        .or_else(|| error.as_str())
        .map(str::to_owned);
    let detail = |kind: &str| {
        let details = error["details"].as_array()?;
        details.iter().find(|detail| {
            detail["@type"]
                .as_str()
                .is_some_and(|name| name.ends_with(kind))
        })
    };
    let code = error["status"].as_str().map(str::to_owned);
    let reason = detail("google.rpc.ErrorInfo").and_then(|info| info["reason"].as_str());
    let within = error["code"]
        .as_u64()
        .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .filter(|told| status.is_none() && (told.is_client_error() || told.is_server_error()));
    // The Gemini API answers a wrong key with 400.
    let unknown_key = reason == Some("API_KEY_INVALID")
        || message
            .as_deref()
            .is_some_and(|text| text.contains("API key not valid"));
    Told {
        kind: message.as_deref().and_then(refusal),
        param: detail("google.rpc.BadRequest")
            .and_then(|request| request["fieldViolations"][0]["field"].as_str())
            .filter(|field| !field.is_empty())
            .map(str::to_owned),
        status: if unknown_key {
            Some(StatusCode::UNAUTHORIZED)
        } else {
            within
        },
        retry_after: detail("google.rpc.RetryInfo")
            .and_then(|info| info["retryDelay"].as_str())
            .and_then(wait),
        message,
        code,
    }
}

fn refusal(message: &str) -> Option<Refusal> {
    let text = message.to_ascii_lowercase();
    let too_long = text.contains("token count") && text.contains("exceed")
        || text.contains("exceeds the maximum number of tokens");
    if too_long {
        return Some(Refusal::ContextWindow);
    }
    let blocked = text.contains("blocked") && text.contains("safety")
        || text.contains("the response was blocked")
        || text.contains("prohibited content")
        || text.contains("responsible ai");
    blocked.then_some(Refusal::ContentPolicy)
}

/// A `google.protobuf.Duration`: seconds with a fraction, and an `s`.
fn wait(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (wait <= MAX_WAIT).then_some(wait)
}
