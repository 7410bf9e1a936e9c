//! What went wrong, whose fault it is, and how it is told to the caller.

mod redact;
mod special;

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use pointsman_routes::table::DeploymentId;
use pointsman_routes::usd::Usd;

pub use self::redact::redact;
pub use self::special::Special;
use crate::wire::limits::Told;
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

/// Why a request that is passed on did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// The gateway has no key or no address for the provider.
    Unbound,
    /// It was asked in vain.
    Asked(UpstreamKind),
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

/// A fault in the caller's request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestFault {
    /// The body is not the JSON that was hoped for.
    Json(String),
    /// A member has an impossible value, or may not be set.
    Parameter {
        /// Which.
        name: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A member is missing.
    Missing {
        /// The route, such as `/chat/completions`.
        route: &'static str,
        /// Which.
        name: &'static str,
    },
    /// No such model.
    UnknownModel {
        /// What was asked for.
        asked: String,
        /// Names that are like it.
        nearest: Vec<String>,
    },
    /// The model does another kind of work.
    WrongMode {
        /// What was asked for.
        asked: String,
        /// The route that was used.
        route: &'static str,
    },
    /// The body is longer than this many bytes.
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The body did not come.
    Body,
    /// The body came too slowly.
    Slow,
    /// The body is not declared as JSON.
    ContentType(String),
    /// No such path.
    Route,
    /// No such method on this path; these there are.
    Method(&'static str),
    /// More header fields than one request may have, or a header that contradicts another.
    Headers(&'static str),
}

/// Why a caller was turned away.
#[derive(Clone, Debug, PartialEq)]
pub enum Denial {
    /// No credential.
    NoKey,
    /// Not of the form `sk-…`.
    Malformed,
    /// Nobody's key.
    Unknown {
        /// Its last four characters.
        tail: String,
        /// SHA-256, in hexadecimal.
        digest: String,
    },
    /// Two credentials that differ.
    Disagreeing,
    /// The same credential header twice.
    Repeated,
    /// The keys cannot be looked up now.
    StoreDown,
    /// For administrators only.
    AdminOnly,
    /// The key's life has ended.
    Expired {
        /// The key, as it may be shown.
        key: String,
        /// When it ended.
        at: String,
    },
    /// The key was blocked.
    Blocked,
    /// The key's team was blocked.
    TeamBlocked(String),
    /// The end user was blocked.
    EndUserBlocked(String),
    /// The caller's address is not on the list.
    Address,
    /// The key is not for this path.
    Path {
        /// The path.
        path: String,
        /// What it is for.
        allowed: Vec<String>,
    },
    /// The key is held to models, rates or budgets, which nothing holds it to on this path.
    Unheld,
    /// The model is not on the list of whoever the key answers to.
    Model {
        /// Whose list it is.
        party: Party,
        /// The model.
        model: String,
    },
}

/// Whom a key answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Itself.
    Key,
    /// Its team.
    Team,
    /// Its user.
    User,
    /// Its organisation.
    Organization,
}

/// A rate that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateFault {
    /// What kind of thing is limited: `api_key`, `team`, …
    pub scope: &'static str,
    /// Which one.
    pub who: String,
    /// What of it: `requests`, `tokens`, `max_parallel_requests`.
    pub unit: &'static str,
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// How long until the window ends.
    pub reset: Duration,
    /// When the window ends, as text.
    pub reset_at: String,
}

/// A budget that cannot pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetFault {
    /// What kind of thing has it: `key`, `team`, …
    pub scope: &'static str,
    /// Which one.
    pub who: String,
    /// The model, if it is for one.
    pub model: Option<String>,
    /// What is spent, and reserved for requests under way, in dollars.
    pub spent: Usd,
    /// What may be spent.
    pub limit: Usd,
    /// How long until it begins anew, if it does.
    pub retry_after: Option<Duration>,
    /// The status that the file wants for it.
    pub status: u16,
}

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
            Self::NoDeployment {
                why: NoDeployment::Unserved { .. },
                ..
            } => StatusCode::NOT_IMPLEMENTED,
            Self::NoDeployment {
                why: NoDeployment::Route | NoDeployment::Window { .. } | NoDeployment::Unfit { .. },
                ..
            } => StatusCode::BAD_REQUEST,
            Self::NoDeployment {
                why: NoDeployment::Tags,
                ..
            } => StatusCode::UNAUTHORIZED,
            Self::Limited(_)
            | Self::NoDeployment {
                why: NoDeployment::Empty | NoDeployment::Busy { .. },
                ..
            } => StatusCode::TOO_MANY_REQUESTS,
            Self::Rehearsed { act, .. } => act.status(),
            Self::Api { fault, .. } => match fault {
                ApiFault::Unbound => StatusCode::NOT_IMPLEMENTED,
                ApiFault::Asked(kind) => kind.status(),
            },
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
            Self::Denied(Denial::Unknown { .. }) => "token_not_found_in_db",
            Self::Denied(Denial::Expired { .. }) => "expired_key",
            Self::Denied(Denial::Model { party, .. }) => match party {
                Party::Key => "key_model_access_denied",
                Party::Team => "team_model_access_denied",
                Party::User => "user_model_access_denied",
                Party::Organization => "org_model_access_denied",
            },
            Self::OverBudget(_) => "budget_exceeded",
            Self::Denied(_) => "auth_error",
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
            Self::NoDeployment {
                why: NoDeployment::Window { .. },
                ..
            } => "ContextWindowExceededError",
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
            Self::Denied(Denial::Unknown { .. }) => Some("key"),
            Self::Denied(Denial::Expired { key, .. }) => Some(key),
            Self::Denied(Denial::Model { .. }) => Some("model"),
            Self::Denied(_) => Some("None"),
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

impl RequestFault {
    fn status(&self) -> StatusCode {
        match self {
            Self::Json(_)
            | Self::Parameter { .. }
            | Self::Missing { .. }
            | Self::UnknownModel { .. }
            | Self::WrongMode { .. }
            | Self::Body
            | Self::Headers(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Route => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl Denial {
    fn status(&self) -> StatusCode {
        match self {
            Self::Repeated => StatusCode::BAD_REQUEST,
            Self::StoreDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Address
            | Self::Path { .. }
            | Self::Unheld
            | Self::Model { .. }
            | Self::EndUserBlocked(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Rehearsal {
    fn status(self) -> StatusCode {
        match self {
            Self::Fallbacks => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ContextWindow | Self::ContentPolicy => StatusCode::BAD_REQUEST,
            Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::ContextWindow => "ContextWindowExceededError",
            Self::ContentPolicy => "ContentPolicyViolationError",
            Self::Fallbacks | Self::RateLimit | Self::Timeout => class_of(self.status()),
        }
    }
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

/// Rounded up, and not zero, so that nobody comes too early; LiteLLM's cooldown where it is not known.
fn whole_seconds(wait: Option<Duration>) -> u64 {
    const UNKNOWN: Duration = Duration::from_secs(5);
    let wait = wait.unwrap_or(UNKNOWN);
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "AuthenticationError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        408 => "Timeout",
        409 => "ConflictError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        502 => "BadGatewayError",
        503 => "ServiceUnavailableError",
        500..=599 => "InternalServerError",
        _ => "BadRequestError",
    }
}

fn type_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "auth_error",
        403 => "permission_denied_error",
        404 => "not_found_error",
        408 => "timeout_error",
        409 => "conflict_error",
        429 => "throttling_error",
        501 => "not_implemented_error",
        502 => "bad_gateway_error",
        503 => "service_unavailable_error",
        500..=599 => "internal_server_error",
        _ => "invalid_request_error",
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
            Self::Api { provider, fault } => match fault {
                ApiFault::Unbound => write!(
                    f,
                    "litellm.{}: The gateway has no key or no address for {provider}",
                    self.class()
                ),
                ApiFault::Asked(kind) => {
                    write!(f, "litellm.{}: {provider} {}", self.class(), kind.told())
                }
            },
            Self::NoDeployment { group, why } => {
                write!(f, "litellm.{}: ", self.class())?;
                match why {
                    NoDeployment::Empty => {
                        write!(
                            f,
                            "No deployments available for selected model, model={group}"
                        )
                    }
                    NoDeployment::Unserved { providers } => write!(
                        f,
                        "No deployment of model={group} can be asked: this build of the gateway does \
                         not speak the protocol of {providers}"
                    ),
                    NoDeployment::Route => {
                        write!(f, "No deployment of model={group} offers this route")
                    }
                    NoDeployment::Busy {
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
                    NoDeployment::Window { tokens, largest } => write!(
                        f,
                        "No deployment of model={group} has a context window for this prompt: it has \
                         {tokens} tokens, the largest window {largest}"
                    ),
                    NoDeployment::Tags => write!(
                        f,
                        "Not allowed to access model due to tags configuration. Passed model={group}"
                    ),
                    NoDeployment::Unfit { why } => write!(
                        f,
                        "No deployment of model={group} can answer this request: {}",
                        why.join(", ")
                    ),
                }
            }
            Self::Rehearsed {
                act,
                group,
                fallbacks,
            } => {
                let class = act.class();
                let what = match act {
                    Rehearsal::RateLimit => "rate limit error",
                    Rehearsal::Timeout => "timeout",
                    _ => "fallback",
                };
                let fallbacks = Names(fallbacks);
                write!(
                    f,
                    "litellm.{class}: This is a mock exception for model={group}, to trigger a \
                     {what}. Fallbacks={fallbacks}"
                )
            }
            Self::Internal => f.write_str("Internal error of the gateway"),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(what) | Self::Parameter { what, .. } => f.write_str(what),
            Self::Missing { route, name } => {
                write!(f, "{route}: Missing required parameter: '{name}'.")
            }
            Self::UnknownModel { asked, nearest } => {
                write!(
                    f,
                    "litellm.BadRequestError: You passed in model={asked}. There are no healthy \
                     deployments for this model. Call `/v1/models` to see what there is."
                )?;
                if !nearest.is_empty() {
                    write!(f, " Did you mean {}?", nearest.join(" or "))?;
                }
                Ok(())
            }
            Self::WrongMode { asked, route } => {
                write!(
                    f,
                    "litellm.BadRequestError: model={asked} does not serve {route}"
                )
            }
            Self::TooLarge { limit } => {
                write!(
                    f,
                    "Request body is too large: at most {limit} bytes are taken"
                )
            }
            Self::Body => f.write_str("The request body broke off"),
            Self::Slow => f.write_str("The request body came too slowly"),
            Self::ContentType(found) => write!(
                f,
                "Unsupported content type '{found}': send application/json"
            ),
            Self::Route => f.write_str("Not Found"),
            Self::Method(_) => f.write_str("Method Not Allowed"),
            Self::Headers(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("Authentication Error, No api key passed in."),
            Self::Malformed => f.write_str(
                "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.",
            ),
            Self::Unknown { tail, digest } => write!(
                f,
                "Authentication Error, Invalid proxy server token passed. Received API Key = \
                 sk-...{tail}, Key Hash (Token) ={digest}. Unable to find token in cache or \
                 `LiteLLM_VerificationTokenTable`"
            ),
            Self::Disagreeing => f.write_str(
                "Authentication Error, Two different api keys were passed in one request.",
            ),
            Self::Repeated => {
                f.write_str("Authentication Error, A credential header stands twice in the request.")
            }
            Self::StoreDown => f.write_str("Keys cannot be looked up at the moment."),
            Self::AdminOnly => f.write_str(
                "Authentication Error, Only proxy admin can be used to generate, delete, update info \
                 for new keys/users/teams.",
            ),
            Self::Expired { at, .. } => write!(
                f,
                "Authentication Error - Expired Key. Key Expiry time {at} has passed"
            ),
            Self::Blocked => f.write_str(
                "Authentication Error, Key is blocked. Update via `/key/unblock` if you are an \
                 admin.",
            ),
            Self::TeamBlocked(team) => write!(
                f,
                "Authentication Error, Team={team} is blocked. Update via `/team/unblock` if you \
                 are an admin."
            ),
            Self::EndUserBlocked(user) => write!(f, "User blocked. User={user}"),
            Self::Address => f.write_str("Access forbidden: IP address not allowed."),
            Self::Path { path, allowed } => write!(
                f,
                "Authentication Error, Virtual key is not allowed to call this route. Only allowed \
                 to call routes: {}. Tried to call route: {path}",
                Names(allowed)
            ),
            Self::Unheld => f.write_str(
                "This key, or who it answers to, is held to models, rates or a budget, which cannot \
                 be held to where a whole API is passed on. Call the gateway's own endpoints.",
            ),
            Self::Model { model, .. } => write!(
                f,
                "The requested model '{model}' is not available for this API key, or the model \
                 name is invalid. Call `/v1/models` to see what there is."
            ),
        }
    }
}

impl fmt::Display for RateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scope,
            who,
            unit,
            limit,
            remaining,
            reset_at,
            ..
        } = self;
        write!(
            f,
            "Rate limit exceeded for {scope}: {who}. Limit type: {unit}. Current limit: {limit}, \
             Remaining: {remaining}. Limit resets at: {reset_at}"
        )
    }
}

impl fmt::Display for BudgetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = &self.who;
        f.write_str("Budget has been exceeded! ")?;
        match self.scope {
            "key" | "key_model" => write!(f, "Key={who} ")?,
            "team" | "team_model" => write!(f, "Team={who} ")?,
            "member" => write!(f, "TeamMember={who} ")?,
            "user" | "user_model" => write!(f, "User={who} ")?,
            "organization" | "organization_model" => write!(f, "Organization={who} ")?,
            "end_user" | "end_user_model" => write!(f, "End User={who} ")?,
            _ => {}
        }
        if let Some(model) = &self.model {
            write!(f, "Model={model} ")?;
        }
        let (spent, limit) = (Float(self.spent.to_f64()), Float(self.limit.to_f64()));
        write!(f, "Current cost: {spent}, Max budget: {limit}")
    }
}

/// A number as Python writes it: clients of LiteLLM read it out of messages.
struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:e}", self.0);
        match text.split_once('e') {
            Some((digits, exponent)) if self.0 != 0.0 => match exponent.parse::<i32>() {
                Ok(exponent @ ..-4) => write!(f, "{digits}e-{:02}", exponent.unsigned_abs()),
                Ok(exponent @ 16..) => write!(f, "{digits}e+{exponent:02}"),
                _ => write!(f, "{:?}", self.0),
            },
            _ => write!(f, "{:?}", self.0),
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

/// Names as LiteLLM's errors list them.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([first, others @ ..]) = self else {
            return f.write_str("None");
        };
        write!(f, "['{first}'")?;
        others.iter().try_for_each(|name| write!(f, ", '{name}'"))?;
        f.write_str("]")
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (3.75e-5, "3.75e-05"),
            (5e-10, "5e-10"),
            (0.0001, "0.0001"),
            (0.001, "0.001"),
            (12.0, "12.0"),
            (1e16, "1e+16"),
        ] {
            assert_eq!(Float(number).to_string(), text);
        }
    }

    #[test]
    fn each_upstream_status_reaches_the_caller_as_litellm_maps_it() {
        for (upstream, status, class) in [
            (400, 400, "BadRequestError"),
            (401, 401, "AuthenticationError"),
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
