//! Why no deployment is asked: there is none that can be, or the caller wants a failure acted out.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::words::{Names, class_of, whole_seconds};

/// Why no deployment can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDeployment {
    /// The group has no member.
    Empty,
    /// This build does not speak the protocol of any of them.
    Unserved {
        /// Their providers.
        providers: String,
    },
    /// They do not offer this route.
    Route,
    /// Each of them rests, or has used up its limits.
    Busy {
        /// When the first of them can be asked, if that is known.
        wait: Option<Duration>,
        /// The ids of those that rest.
        cooling: Vec<String>,
        /// `enable_pre_call_checks`.
        checks: bool,
        /// Whether one of them only has no room for another request at once.
        full: bool,
    },
    /// The prompt is longer than any window.
    Window {
        /// Its tokens.
        tokens: u64,
        /// The largest window.
        largest: u64,
    },
    /// The request's tags are nobody's.
    Tags,
    /// None of them may or can answer this request, for these reasons.
    Unfit {
        /// The words for them, as decisions record them.
        why: Vec<&'static str>,
    },
}

/// A failure that can be acted out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rehearsal {
    /// `mock_testing_fallbacks`: the first group fails with 500.
    Fallbacks,
    /// `mock_testing_context_window_fallbacks`: the prompt is too long for the first group.
    ContextWindow,
    /// `mock_testing_content_policy_fallbacks`: the first group refuses the content.
    ContentPolicy,
    /// `mock_testing_rate_limit_error`: the first attempt is refused with 429.
    RateLimit,
    /// `mock_timeout`: the first group does not answer in time.
    Timeout,
}

impl NoDeployment {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unserved { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::Route | Self::Window { .. } | Self::Unfit { .. } => StatusCode::BAD_REQUEST,
            Self::Tags => StatusCode::UNAUTHORIZED,
            Self::Empty | Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// LiteLLM's exception class for it.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Window { .. } => "ContextWindowExceededError",
            _ => class_of(self.status()),
        }
    }

    /// Writes it, with the group that was asked for.
    pub(super) fn tell(&self, f: &mut fmt::Formatter<'_>, group: &str) -> fmt::Result {
        write!(f, "litellm.{}: ", self.class())?;
        match self {
            Self::Empty => {
                write!(
                    f,
                    "No deployments available for selected model, model={group}"
                )
            }
            Self::Unserved { providers } => write!(
                f,
                "No deployment of model={group} can be asked: this build of the gateway does \
                         not speak the protocol of {providers}"
            ),
            Self::Route => {
                write!(f, "No deployment of model={group} offers this route")
            }
            Self::Busy {
                wait,
                cooling,
                checks,
                ..
            } => write!(
                f,
                "No deployments available for selected model, Try again in {} seconds. \
                         Passed model={group}. pre-call-checks={}, cooldown_list=[{}]",
                whole_seconds(*wait),
                if *checks { "True" } else { "False" },
                cooling
                    .iter()
                    .map(|id| format!("'{id}'"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Self::Window { tokens, largest } => write!(
                f,
                "No deployment of model={group} has a context window for this prompt: it has \
                         {tokens} tokens, the largest window {largest}"
            ),
            Self::Tags => write!(
                f,
                "Not allowed to access model due to tags configuration. Passed model={group}"
            ),
            Self::Unfit { why } => write!(
                f,
                "No deployment of model={group} can answer this request: {}",
                why.join(", ")
            ),
        }
    }
}

impl Rehearsal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Fallbacks => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ContextWindow | Self::ContentPolicy => StatusCode::BAD_REQUEST,
            Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::ContextWindow => "ContextWindowExceededError",
            Self::ContentPolicy => "ContentPolicyViolationError",
            Self::Fallbacks | Self::RateLimit | Self::Timeout => class_of(self.status()),
        }
    }

    /// Writes it, with the group that was asked for and where the call could go on.
    pub(super) fn tell(
        self,
        f: &mut fmt::Formatter<'_>,
        group: &str,
        fallbacks: &[String],
    ) -> fmt::Result {
        let class = self.class();
        let what = match self {
            Self::RateLimit => "rate limit error",
            Self::Timeout => "timeout",
            _ => "fallback",
        };
        let fallbacks = Names(fallbacks);
        write!(
            f,
            "litellm.{class}: This is a mock exception for model={group}, to trigger a \
                     {what}. Fallbacks={fallbacks}"
        )
    }
}
