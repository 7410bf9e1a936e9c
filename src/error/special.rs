//! The two refusals that have fallbacks of their own, recognised by what providers say.

use http::StatusCode;

/// A bad request that another model may well answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// The prompt is longer than the model's window.
    ContextWindow,
    /// The content is refused.
    ContentPolicy,
}

/// What providers say of a prompt that is too long. LiteLLM's list, by provider, in lower case.
const WINDOW: &[&str] = &[
    // OpenAI, Azure and those who copy them
    "context_length_exceeded",
    "maximum context length",
    "string too long. expected a string with maximum length",
    "model's maximum context limit",
    "is longer than the model's context length",
    "input tokens exceed the configured limit",
    // Anthropic
    "prompt is too long",
    "exceed context limit",
    // Bedrock
    "too many input tokens",
    "expected maxlength",
    "input is too long",
    "prompt: length: 1..",
    // Gemini and Vertex AI
    "exceeds the maximum number of tokens",
    // Cohere, Together, Groq, Fireworks, vLLM
    "too many tokens",
    "`inputs` tokens + `max_new_tokens` must be",
    "reduce the length of the messages",
    "input length and `max_tokens` exceed",
    "exceeds the available context size",
    "context window",
];

/// What providers say of content that they refuse.
const POLICY: &[&str] = &[
    "content_policy_violation",
    "content management policy",
    "your request was rejected as a result of our safety system",
    "your task failed as a result of our safety system",
    "the response was filtered",
    "responsibleaipolicyviolation",
    "output blocked by content filtering policy",
    "content_filter_policy",
    "blocked by our content filter",
];

impl Special {
    /// What a refusal with this status and these words is, if it is either.
    pub fn of(status: StatusCode, message: &str) -> Option<Self> {
        if !matches!(status.as_u16(), 400 | 413 | 422) {
            return None;
        }
        let said = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if says(WINDOW) {
            Some(Self::ContextWindow)
        } else if says(POLICY) {
            Some(Self::ContentPolicy)
        } else {
            None
        }
    }

    /// LiteLLM's exception class.
    pub const fn class(self) -> &'static str {
        match self {
            Self::ContextWindow => "ContextWindowExceededError",
            Self::ContentPolicy => "ContentPolicyViolationError",
        }
    }
}
