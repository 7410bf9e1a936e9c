//! What went wrong, whose fault it is, and how it is told to the caller.

mod denial;
mod deployment;
mod limits;
mod redact;
mod request;
mod special;
mod upstream;
mod words;

use std::fmt;

use http::StatusCode;

pub use self::denial::{Denial, Party};
pub use self::deployment::{NoDeployment, Rehearsal};
pub use self::limits::{BudgetFault, RateFault};
pub use self::redact::redact;
pub use self::request::RequestFault;
pub use self::special::Special;
pub use self::upstream::{ApiFault, UpstreamFault, UpstreamKind};
use self::words::{class_of, type_of, whole_seconds};
use crate::wire::openai::{ErrorBody, ErrorFields};

/// Everything that can end a request other than an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The caller's request cannot be served as it stands.
    Request(RequestFault),
    /// The caller may not do this.
    Denied(Denial),
    /// A rate of the caller's has no room.
    Limited(Box<RateFault>),
    /// A budget of the caller's cannot pay.
    OverBudget(Box<BudgetFault>),
    /// What was spent can neither be written down nor looked up now, and the file says to serve
    /// nobody then.
    LedgerDown,
    /// A deployment was asked and did not give a good answer.
    Upstream(Box<UpstreamFault>),
    /// No deployment of the group can be asked.
    NoDeployment {
        /// The group.
        group: String,
        /// Why each was left out.
        why: NoDeployment,
    },
    /// A failure that the caller wanted acted out; nobody was asked.
    Rehearsed {
        /// Which.
        act: Rehearsal,
        /// The group that the caller asked for.
        group: String,
        /// Where the call could go on.
        fallbacks: Vec<String>,
    },
    /// A request that is passed on to a whole API did not come back.
    Api {
        /// Whose API it is.
        provider: String,
        /// Why.
        fault: ApiFault,
    },
    /// A fault of the gateway's own.
    Internal,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller's.
    Client,
    /// The gateway's.
    Gateway,
    /// The provider's.
    Provider,
}

impl Side {
    /// The word of the `x-pointsman-error-source` header.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Provider => "provider",
        }
    }
}

impl Failure {
    /// The status that the caller gets.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Request(fault) => fault.status(),
            Self::Denied(denial) => denial.status(),
            Self::OverBudget(fault) => {
                StatusCode::from_u16(fault.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS)
            }
            Self::LedgerDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(fault) => fault.kind.status(),
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoDeployment { why, .. } => why.status(),
            Self::Rehearsed { act, .. } => act.status(),
            Self::Api { fault, .. } => fault.status(),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self {
            Self::Upstream(fault) if matches!(fault.kind, UpstreamKind::Unfit { .. }) => {
                Side::Client
            }
            Self::Request(_) | Self::Denied(_) | Self::Limited(_) | Self::OverBudget(_) => {
                Side::Client
            }
            Self::Upstream(_)
            | Self::Api {
                fault: ApiFault::Asked(_),
                ..
            } => Side::Provider,
            Self::NoDeployment { .. }
            | Self::Rehearsed { .. }
            | Self::LedgerDown
            | Self::Api { .. }
            | Self::Internal => Side::Gateway,
        }
    }

    /// OpenAI's `type` of the error.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.kind(),
            Self::OverBudget(_) => "budget_exceeded",
            _ => type_of(self.status()),
        }
    }

    /// LiteLLM's exception class, as metrics and logs name it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Upstream(fault) => fault.class(),
            Self::Denied(_) => "ProxyException",
            Self::OverBudget(_) => "BudgetExceededError",
            Self::Rehearsed { act, .. } => act.class(),
            Self::NoDeployment { why, .. } => why.class(),
            _ => class_of(self.status()),
        }
    }

    /// OpenAI's `param` of the error.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Request(RequestFault::Json(_)) => Some("request_body"),
            Self::Request(
                RequestFault::Parameter { name, .. } | RequestFault::Missing { name, .. },
            ) => Some(name),
            Self::Denied(denial) => Some(denial.param()),
            Self::Upstream(fault) => fault.param.as_deref(),
            _ => None,
        }
    }

    /// What the caller may be told of when to come again.
    pub fn retry_after(&self) -> Option<http::HeaderValue> {
        match self {
            Self::Upstream(fault) => fault.retry_after.clone().or_else(|| {
                let after = fault.told.after?;
                Some(whole_seconds(Some(after)).into())
            }),
            Self::Limited(fault) => Some(whole_seconds(Some(fault.reset)).into()),
            Self::OverBudget(fault) => Some(whole_seconds(Some(fault.retry_after?)).into()),
            Self::Denied(Denial::TooManyKeys(wait)) => Some(whole_seconds(Some(*wait)).into()),
            Self::Denied(Denial::StoreDown) | Self::LedgerDown => {
                Some(http::HeaderValue::from_static("1"))
            }
            Self::NoDeployment {
                why: NoDeployment::Busy { wait, .. },
                ..
            } => Some(whole_seconds(*wait).into()),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(fault) => fault.fmt(f),
            Self::Denied(denial) => denial.fmt(f),
            Self::Limited(fault) => fault.fmt(f),
            Self::OverBudget(fault) => fault.fmt(f),
            Self::LedgerDown => f.write_str("What is spent cannot be written down at the moment."),
            Self::Upstream(fault) => fault.fmt(f),
            Self::Api { provider, fault } => fault.tell(f, self.class(), provider),
            Self::NoDeployment { group, why } => why.tell(f, group),
            Self::Rehearsed {
                act,
                group,
                fallbacks,
            } => act.tell(f, group, fallbacks),
            Self::Internal => f.write_str("Internal error of the gateway"),
        }
    }
}

impl std::error::Error for Failure {}

/// The error as an OpenAI client reads it: `{"error": {"message", "type", "param", "code"}}`.
pub fn openai_body(failure: &Failure) -> Vec<u8> {
    let message = failure.to_string();
    let status = failure.status();
    let body = ErrorBody {
        error: ErrorFields {
            message: &message,
            r#type: failure.kind(),
            param: failure.param(),
            code: status.as_str(),
        },
    };
    serde_json::to_vec(&body).unwrap_or_default()
}
