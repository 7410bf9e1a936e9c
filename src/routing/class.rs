//! The classes of what comes of an attempt.

use pointsman_routes::table::RetryPolicy;

use crate::error::{Failure, Special, UpstreamKind};

/// What came of an attempt that gave no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No answer in time, or none that went on: 408, or the gateway's own deadline.
    Timeout,
    /// No connection: refused, DNS, TLS, or broken before an answer.
    Connect,
    /// 409.
    Conflict,
    /// 429.
    RateLimit,
    /// 401, 402 and 403: the account is not let in, or has nothing left to pay with.
    Authentication,
    /// 404.
    NotFound,
    /// A prompt that is longer than the model's window.
    ContextWindow,
    /// A refusal by content policy.
    ContentPolicy,
    /// Any other 4xx: the caller's fault.
    BadRequest,
    /// 5xx.
    Server,
    /// An answer that is not what the protocol says.
    Malformed,
    /// A stream that ended in the middle.
    Cut,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Connect,
        Self::Conflict,
        Self::RateLimit,
        Self::Authentication,
        Self::NotFound,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::BadRequest,
        Self::Server,
        Self::Malformed,
        Self::Cut,
    ];

    /// The class of a status that is no success.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401..=403 => Self::Authentication,
            404 => Self::NotFound,
            408 => Self::Timeout,
            409 => Self::Conflict,
            429 => Self::RateLimit,
            400..=499 => Self::BadRequest,
            500..=599 => Self::Server,
            _ => Self::Malformed,
        }
    }

    /// The class of a failure, if a deployment was asked.
    pub fn of(failure: &Failure) -> Option<Self> {
        let Failure::Upstream(fault) = failure else {
            return None;
        };
        match fault.special() {
            Some(Special::ContextWindow) => return Some(Self::ContextWindow),
            Some(Special::ContentPolicy) => return Some(Self::ContentPolicy),
            None => {}
        }
        Some(match fault.kind {
            UpstreamKind::Status(status) => Self::of_status(status.as_u16()),
            UpstreamKind::Unreachable => Self::Connect,
            UpstreamKind::Timeout(_) | UpstreamKind::Stalled(_) => Self::Timeout,
            UpstreamKind::Malformed | UpstreamKind::TooLarge => Self::Malformed,
            UpstreamKind::Cut => Self::Cut,
            UpstreamKind::Unfit { .. } => Self::BadRequest,
        })
    }

    /// Whether it speaks against the deployment. The others are the caller's doing, and the
    /// deployment that tells so is well.
    pub const fn counts(self) -> bool {
        !matches!(
            self,
            Self::ContextWindow | Self::ContentPolicy | Self::BadRequest | Self::Conflict
        )
    }

    /// Whether no work was done on the request, so that it counts against no limit of tokens.
    pub const fn refuses(self) -> bool {
        !matches!(self, Self::Timeout | Self::Malformed | Self::Cut)
    }

    /// Whether asking again cannot help, so that it cools at once.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Authentication | Self::NotFound)
    }

    /// What a policy by class says of it.
    pub const fn in_policy(self, policy: &RetryPolicy) -> Option<u32> {
        match self {
            Self::Timeout => policy.timeout,
            Self::RateLimit => policy.rate_limit,
            Self::Authentication => policy.authentication,
            Self::ContentPolicy => policy.content_policy,
            Self::ContextWindow | Self::BadRequest | Self::NotFound | Self::Conflict => {
                policy.bad_request
            }
            Self::Server | Self::Connect | Self::Malformed | Self::Cut => policy.internal_server,
        }
    }

    /// The word of logs and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Conflict => "conflict",
            Self::RateLimit => "rate_limit",
            Self::Authentication => "authentication",
            Self::NotFound => "not_found",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::BadRequest => "bad_request",
            Self::Server => "server",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
        }
    }
}
