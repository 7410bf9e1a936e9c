//! What comes of asking providers in vain.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use pointsman_routes::table::DeploymentId;

use super::special::Special;
use super::words::{Names, class_of};
use crate::wire::limits::Told;

/// What came of asking a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamFault {
    /// The class.
    pub kind: UpstreamKind,
    /// The provider, as LiteLLM names it in errors: `OpenAI`, `Azure`.
    pub provider: String,
    /// The deployment that was asked, by its place in the call's table.
    pub asked: DeploymentId,
    /// Its id.
    pub deployment: String,
    /// The group that the caller asked for.
    pub group: String,
    /// The groups that could stand in for that one.
    pub fallbacks: Vec<String>,
    /// What the provider said, redacted.
    pub message: String,
    /// What kind of refusal it is, where the provider's protocol tells.
    pub refusal: Option<Special>,
    /// `param` of the provider's error.
    pub param: Option<String>,
    /// What the provider said of when to come again, as written.
    pub retry_after: Option<http::HeaderValue>,
    /// The same as a time, and what else it said of its limits.
    pub told: Told,
}

impl UpstreamFault {
    /// Which of the two refusals with a meaning of their own it is, by what the provider says.
    pub fn special(&self) -> Option<Special> {
        match self.kind {
            UpstreamKind::Status(status) => {
                self.refusal.or_else(|| Special::of(status, &self.message))
            }
            _ => None,
        }
    }

    /// LiteLLM's exception class for it.
    pub fn class(&self) -> &'static str {
        self.special()
            .map_or_else(|| self.kind.class(), Special::class)
    }
}

/// The class of an upstream fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamKind {
    /// It answered with a status that is no success.
    Status(StatusCode),
    /// It could not be reached, or the connection broke before an answer.
    Unreachable,
    /// It did not answer in this time.
    Timeout(Duration),
    /// Its answer is not what the protocol says.
    Malformed,
    /// Its answer is longer than the gateway holds.
    TooLarge,
    /// Its stream ended in the middle.
    Cut,
    /// It fell silent in the middle of its stream for this long.
    Stalled(Duration),
    /// It was not asked, because its protocol cannot say what the caller asks for.
    Unfit {
        /// Whether `drop_params` would help.
        droppable: bool,
    },
}

impl UpstreamKind {
    /// The status that the caller gets for it. A status that says nothing to an OpenAI client (a
    /// redirect, a 1xx) becomes 502.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Status(status) if status.is_client_error() || status.is_server_error() => status,
            Self::Status(_) | Self::Malformed | Self::TooLarge => StatusCode::BAD_GATEWAY,
            Self::Timeout(_) | Self::Stalled(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Unreachable | Self::Cut => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unfit { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// What happened, in words that a provider's name can stand before.
    fn told(self) -> &'static str {
        match self {
            Self::Status(status) if status.is_redirection() => {
                "redirects elsewhere, which is not followed"
            }
            Self::Status(_) | Self::Unfit { .. } => "answered with an error",
            Self::Unreachable => "could not be reached",
            Self::Timeout(_) | Self::Stalled(_) => "did not answer in time",
            Self::Malformed => "answered with something else than its protocol says",
            Self::TooLarge => "answered with more than the gateway holds",
            Self::Cut => "broke its answer off",
        }
    }

    /// LiteLLM's exception class for it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Timeout(_) | Self::Stalled(_) => "Timeout",
            Self::Unreachable | Self::Cut => "InternalServerError",
            Self::Unfit { droppable: true } => "UnsupportedParamsError",
            _ => class_of(self.status()),
        }
    }
}

/// Why a request that is passed on did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// The gateway has no key or no address for the provider.
    Unbound,
    /// It was asked in vain.
    Asked(UpstreamKind),
}

impl ApiFault {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unbound => StatusCode::NOT_IMPLEMENTED,
            Self::Asked(kind) => kind.status(),
        }
    }

    /// Writes it, with the exception's class and whose API it is.
    pub(super) fn tell(
        self,
        f: &mut fmt::Formatter<'_>,
        class: &str,
        provider: &str,
    ) -> fmt::Result {
        match self {
            Self::Unbound => write!(
                f,
                "litellm.{class}: The gateway has no key or no address for {provider}"
            ),
            Self::Asked(kind) => write!(f, "litellm.{class}: {provider} {}", kind.told()),
        }
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class();
        let Self {
            provider,
            deployment,
            group,
            message,
            fallbacks,
            ..
        } = self;
        let fallbacks = Names(fallbacks);
        write!(f, "litellm.{class}: ")?;
        if self.special().is_some() {
            // Both are bad requests to begin with, and LiteLLM says so, too.
            f.write_str("litellm.BadRequestError: ")?;
        }
        write!(f, "{class}: {provider}Exception - ")?;
        match self.kind {
            UpstreamKind::Status(_) => f.write_str(message)?,
            UpstreamKind::Unfit { droppable } => {
                write!(f, "{provider} {message}")?;
                if droppable {
                    f.write_str(". To drop these, set `litellm_settings: drop_params: true`")?;
                }
            }
            UpstreamKind::Unreachable => write!(f, "Connection error. {message}")?,
            UpstreamKind::Timeout(after) => {
                write!(
                    f,
                    "Request timed out. Timeout passed={} seconds",
                    after.as_secs_f64()
                )?;
            }
            UpstreamKind::Malformed => {
                write!(f, "The provider's answer cannot be read. {message}")?;
            }
            UpstreamKind::TooLarge => f.write_str("The provider's answer is too large.")?,
            UpstreamKind::Cut => f.write_str("The provider's stream broke off.")?,
            UpstreamKind::Stalled(after) => {
                write!(
                    f,
                    "The provider's stream fell silent for {} seconds.",
                    after.as_secs_f64()
                )?;
            }
        }
        write!(
            f,
            ". Received Model Group={group}, Deployment={deployment}\nAvailable Model Group \
             Fallbacks={fallbacks}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_upstream_status_reaches_the_caller_as_litellm_maps_it() {
        for (upstream, status, class) in [
            (400, 400, "BadRequestError"),
            (401, 401, "AuthenticationError"),
            (402, 402, "PaymentRequiredError"),
            (404, 404, "NotFoundError"),
            (429, 429, "RateLimitError"),
            (500, 500, "InternalServerError"),
            (503, 503, "ServiceUnavailableError"),
            (302, 502, "BadGatewayError"),
        ] {
            let kind = UpstreamKind::Status(StatusCode::from_u16(upstream).unwrap());
            assert_eq!((kind.status().as_u16(), kind.class()), (status, class));
        }
    }
}
