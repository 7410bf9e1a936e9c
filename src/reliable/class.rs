//! Which failures are tried again, and where.
//!
//! | class | the same deployment | another one of the group | retries, if nobody says |
//! |---|---|---|---|
//! | timeout, connect, conflict, server, malformed, cut | yes | yes | `num_retries` |
//! | rate limit | if there is no fallback | yes | `num_retries` |
//! | authentication | no | yes | `num_retries` |
//! | not found | no | no | – |
//! | bad request | yes | yes | none |
//! | context window, content policy | yes, without a list of their own | the same | none |
//!
//! Where `retry_policy` names a class, its count holds; the last two rows are tried again only then.

use pointsman_routes::table::RetryPolicy;

use crate::error::{Failure, NoDeployment, Rehearsal, UpstreamFault, UpstreamKind};
pub use crate::routing::class::Class;

/// Whom another attempt may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Anybody of the group, whether asked already or not.
    Anybody,
    /// Those who were not asked.
    Others,
    /// Anybody, if the policy of the class says how often.
    IfTold,
    /// Nobody of the group.
    Nobody,
}

/// The table.
pub const fn again(class: Class) -> Again {
    match class {
        Class::Timeout
        | Class::Connect
        | Class::Conflict
        | Class::Server
        | Class::Malformed
        | Class::Cut
        | Class::RateLimit => Again::Anybody,
        Class::Authentication => Again::Others,
        Class::BadRequest | Class::ContextWindow | Class::ContentPolicy => Again::IfTold,
        Class::NotFound => Again::Nobody,
    }
}

/// The class of a failure; `None` if no deployment of the group could be asked.
pub fn of(failure: &Failure) -> Option<Class> {
    match failure {
        Failure::Upstream(fault) => match Class::of(failure) {
            Some(Class::BadRequest) => Some(special(fault).unwrap_or(Class::BadRequest)),
            class => class,
        },
        Failure::NoDeployment {
            why: NoDeployment::Window { .. },
            ..
        } => Some(Class::ContextWindow),
        Failure::Rehearsed { act, .. } => Some(match act {
            Rehearsal::Fallbacks => Class::Server,
            Rehearsal::ContextWindow => Class::ContextWindow,
            Rehearsal::ContentPolicy => Class::ContentPolicy,
            Rehearsal::RateLimit => Class::RateLimit,
            Rehearsal::Timeout => Class::Timeout,
        }),
        Failure::NoDeployment { .. }
        | Failure::Request(_)
        | Failure::Denied(_)
        | Failure::Internal => None,
    }
}

/// How often a policy lets this class be tried again.
pub fn told(class: Class, policies: [Option<RetryPolicy>; 2]) -> Option<u32> {
    let mut told = policies.into_iter().flatten();
    told.find_map(|policy| class.in_policy(&policy))
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

/// The two kinds of 400 that have fallbacks of their own.
fn special(fault: &UpstreamFault) -> Option<Class> {
    if !matches!(fault.kind, UpstreamKind::Status(status) if matches!(status.as_u16(), 400 | 413 | 422))
    {
        return None;
    }
    let said = fault.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if says(WINDOW) {
        Some(Class::ContextWindow)
    } else if says(POLICY) {
        Some(Class::ContentPolicy)
    } else {
        None
    }
}
