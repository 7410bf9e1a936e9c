//! Anthropic's messages.
//!
//! Source: Anthropic's API reference, "Messages", "Count tokens", "Streaming messages" and "Errors".
//!
//! **What is lost.** Of several turns that a model offers, only the first is shown. Images and sound of
//! an answer, likelihoods, and sources in OpenAI's form have no place in a message.

mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use self::read::request;
pub use self::stream::Encoder;
pub use self::write::{count, message};

use serde_json::json;

use crate::error::Failure;

/// An error as Anthropic's clients read it.
pub fn error_body(failure: &Failure) -> Vec<u8> {
    let kind = match failure.status().as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    };
    let error = json!({"type": kind, "message": failure.to_string()});
    json!({"type": "error", "error": error})
        .to_string()
        .into_bytes()
}
