//! Responses that pass through: callers who speak OpenAI's responses to a provider that has them.
//!
//! Source: OpenAI's API reference, "Responses" and "Streaming events". The model's name is put in
//! place and back, ids of responses become the gateway's own, and every other byte is left.

pub mod kept;
pub mod request;
mod restamp;
mod stamp;

pub use self::restamp::Restamp;
pub(crate) use self::restamp::stamp_of;
pub use self::stamp::Stamp;

use http::StatusCode;
use pointsman_routes::table::DeploymentId;
use serde_json::Value;

use crate::call::Call;
use crate::error::Special;
use crate::upstream::protocol::Told;

/// Whether a deployment itself counts the tokens of a prompt: OpenAI's own servers and Azure's do.
pub(crate) fn counts(call: &Call, id: DeploymentId) -> bool {
    let provider = &call.live.deployment(id).provider.name;
    call.live.endpoint(id).keeps_responses() && matches!(&**provider, "openai" | "azure")
}

/// What a response, or an event of its stream, says went wrong: `{"code", "message", "param"}`.
fn told(error: &Value) -> Told {
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let code = text("code").or_else(|| text("type"));
    let (status, kind) = match code.as_deref() {
        Some("rate_limit_exceeded" | "insufficient_quota") => (429, None),
        Some("context_length_exceeded") => (400, Some(Special::ContextWindow)),
        Some("content_filter" | "content_policy_violation" | "image_content_policy_violation") => {
            (400, Some(Special::ContentPolicy))
        }
        Some(code) if code.starts_with("invalid_") => (400, None),
        _ => (500, None),
    };
    Told {
        message: text("message"),
        param: text("param"),
        code,
        status: StatusCode::from_u16(status).ok(),
        kind,
        ..Told::default()
    }
}
