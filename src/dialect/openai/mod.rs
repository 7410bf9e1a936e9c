//! OpenAI's chat completions, and completions, with what LiteLLM adds to them.
//!
//! Sources: OpenAI's API reference, "Chat" and "Completions"; LiteLLM's documentation, "Reasoning
//! content", "Prompt caching" and "Thinking".
//!
//! **What is added.** `reasoning_content` and `thinking_blocks` of a message and of a delta hold what
//! was thought, and its proof; `cache_control` stands at messages, parts and tools; `thinking` asks
//! for thought as Anthropic does; `provider_specific_fields` hold what has no place of its own.
//!
//! **What is lost.** A part of an answer that only its provider's dialect knows ([`chat::Part::Other`])
//! is not shown. A text that ended an answer (`stop_sequence`) is not named.
//!
//! [`chat::Part::Other`]: crate::call::chat::Part::Other

pub mod read;
mod stream;
#[cfg(test)]
mod tests;
pub mod write;

pub use self::stream::Encoder;
