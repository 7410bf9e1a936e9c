//! Gemini's `generateContent` and its neighbours, as Google's own clients speak it.
//!
//! Sources: Google's API reference, "Generating content", "Counting tokens" and "Embeddings"
//! (v1beta); Google's API design guide, `google.rpc.Status`.
//!
//! A provider that speaks Gemini's protocol gets the caller's bytes, and none of this. For every
//! other, what only Google's models heed (`safetySettings`, `labels`, `videoMetadata`,
//! `imageConfig`, …) is left out; `cachedContent` is refused, since it stands for words that no other
//! provider has. On the way back, hidden thought ([`Thinking::redacted`]) and parts that only their
//! provider's dialect knows are not shown.
//!
//! [`Thinking::redacted`]: crate::call::chat::Thinking::redacted

pub mod read;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
pub mod vectors;
pub mod write;

pub use self::stream::Encoder;
use crate::error::Failure;

/// An error as Google's clients read it: `{"error": {"code", "message", "status"}}`.
pub fn error_body(failure: &Failure) -> Vec<u8> {
    let code = failure.status();
    let body = serde_json::json!({"error": {
        "code": code.as_u16(),
        "message": failure.to_string(),
        "status": status(code.as_u16()),
    }});
    body.to_string().into_bytes()
}

/// The name of `google.rpc.Code` that stands for a status of HTTP.
fn status(code: u16) -> &'static str {
    match code {
        400 | 413 | 415 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 405 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "UNKNOWN",
    }
}
