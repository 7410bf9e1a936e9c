//! OpenAI's responses, where the provider has none of its own and another dialect is spoken behind.
//!
//! Source: OpenAI's API reference, "Responses" and "Streaming events". Nothing is kept: what goes on
//! from an earlier response has to bring it along. The proof of a thought, without which some
//! providers do not go on from it, travels as the thought's `encrypted_content`, whether or not
//! `include` asks for it, and that of a call as its `provider_specific_fields`, as in chat.
//!
//! **What is lost.** Of several turns that a model offers, only the first is shown. Sound of an answer
//! has no place in a response. `store`, `metadata` and `truncation: disabled` are repeated and change
//! nothing; `include` is heeded for likelihoods.

mod items;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use self::read::request;
pub use self::stream::Encoder;
pub use self::write::{count, failed_event, response};

/// What the `encrypted_content` of a thought begins with if it is the provider's proof of it.
const SIGNED: &str = "pm1s.";
/// The same if it is thought that only the provider can read.
const REDACTED: &str = "pm1r.";
/// What every such begins with, as a JSON string.
pub const OWN_CONTENT: &[u8] = b"\"pm1";
