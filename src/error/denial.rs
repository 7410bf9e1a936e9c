//! Why a caller is turned away at the door.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::words::Names;

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
    /// Too many unknown keys came from the caller's address; how long until they are forgotten.
    TooManyKeys(Duration),
    /// A token of the identity provider is refused.
    Token(&'static str),
    /// A token says nobody's role, and roles are enforced.
    Nobody,
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
    /// The key is held to a list of models, and the request may ask for one that it does not name.
    Unheld,
    /// The id of a response that this gateway did not give out.
    ForeignResponse,
    /// The id of a response that was made for somebody else.
    OthersResponse,
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

impl Party {
    /// As LiteLLM's older messages name it; scripts look for their words.
    const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Organization => "organization",
        }
    }
}

impl Denial {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Repeated => StatusCode::BAD_REQUEST,
            Self::StoreDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyKeys(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Address
            | Self::Path { .. }
            | Self::Unheld
            | Self::Nobody
            | Self::ForeignResponse
            | Self::OthersResponse
            | Self::Model { .. }
            | Self::EndUserBlocked(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Denial {
    /// OpenAI's `type` of it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "token_not_found_in_db",
            Self::Expired { .. } => "expired_key",
            Self::TooManyKeys(_) => "throttling_error",
            Self::Model { party, .. } => match party {
                Party::Key => "key_model_access_denied",
                Party::Team => "team_model_access_denied",
                Party::User => "user_model_access_denied",
                Party::Organization => "org_model_access_denied",
            },
            _ => "auth_error",
        }
    }

    /// OpenAI's `param` of it.
    pub(super) fn param(&self) -> &str {
        match self {
            Self::Unknown { .. } => "key",
            Self::Expired { key, .. } => key,
            Self::Model { .. } => "model",
            _ => "None",
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
            Self::TooManyKeys(_) => f.write_str(
                "Too many unknown keys came from this address. Keys that are not known yet are not \
                 looked up for a while.",
            ),
            Self::Token(why) => write!(
                f,
                "Authentication Error, The token is refused: {why}."
            ),
            Self::Nobody => f.write_str(
                "Unmatched token passed in. enforce_rbac is set to True. Token must belong to a \
                 proxy admin, team, or user.",
            ),
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
                "This key, or who it answers to, may ask for some models only, and the request does \
                 not name a model in JSON. Name it, or call the gateway's own endpoints.",
            ),
            Self::ForeignResponse => f.write_str(
                "Forbidden. The response id was not given out by this gateway, so nobody knows whose \
                 it is.",
            ),
            Self::OthersResponse => f.write_str(
                "Forbidden. The response was made for another user or team than the one of this key.",
            ),
            Self::Model { model, party } => write!(
                f,
                "The requested model '{model}' is not available for this API key, or the model \
                 name is invalid. Call `/v1/models` to see what there is. ({} not allowed to access \
                 model.)",
                party.word()
            ),
        }
    }
}
