//! What can be wrong with a request itself.

use std::fmt;

use http::StatusCode;

/// A fault in the caller's request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestFault {
    /// The body is not the JSON, or the form, that was hoped for.
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
    /// The body is not declared as what is taken.
    ContentType {
        /// What it is declared as.
        found: String,
        /// What is taken.
        taken: &'static str,
    },
    /// No such response; why there is none.
    Response(&'static str),
    /// No such path.
    Route,
    /// No such method on this path; these there are.
    Method(&'static str),
    /// More header fields than one request may have, or a header that contradicts another.
    Headers(&'static str),
}

impl RequestFault {
    pub(super) fn status(&self) -> StatusCode {
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
            Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Route | Self::Response(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

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
            Self::ContentType { found, taken } => {
                write!(f, "Unsupported content type '{found}': send {taken}")
            }
            Self::Response(why) => write!(f, "Response not found: {why}"),
            Self::Route => f.write_str("Not Found"),
            Self::Method(_) => f.write_str("Method Not Allowed"),
            Self::Headers(what) => f.write_str(what),
        }
    }
}
