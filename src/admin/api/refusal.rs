//! Why a call of the admin API is refused, in LiteLLM's words and shapes.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::account::Down;
use crate::ingress::answer::json as respond;
use crate::ingress::body::Body;
use crate::store::Fault;

/// A refusal: a status and a body.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    fn new(status: StatusCode, kind: &str, param: Option<&str>, message: &str) -> Self {
        let body = json!({"error": {
            "message": message,
            "type": kind,
            "param": param,
            "code": status.as_str(),
        }});
        Self { status, body }
    }

    /// The request holds what it must not: FastAPI's 422.
    pub(super) fn invalid(details: &[Value]) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({"detail": details}),
        }
    }

    /// A value that cannot be, by what else there is.
    pub(super) fn bad(param: &str, message: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request_error",
            Some(param),
            message,
        )
    }

    /// There is no such thing.
    pub(super) fn unknown(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found_error", None, message)
    }

    /// It is somebody else's, or more than the caller may do.
    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "auth_error", Some("None"), message)
    }

    /// The team does not let its members do this with its keys.
    pub(super) fn member(path: &str, team: &str, permitted: &[&str]) -> Self {
        let message = format!(
            "Team member does not have permissions for endpoint: {path}. You only have access to \
             the following endpoints: {permitted:?} for team {team}"
        );
        Self::new(
            StatusCode::UNAUTHORIZED,
            "team_member_permission_error",
            Some(path),
            &message,
        )
    }

    /// The caller's role may not call this at all.
    pub(super) fn role(route: &str, role: &str, user: &str) -> Self {
        let message = format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info \
             for new keys/users/teams. Route={route}. Your role={role}. Your user_id={user}"
        );
        Self::new(
            StatusCode::UNAUTHORIZED,
            "auth_error",
            Some("None"),
            &message,
        )
    }

    /// The body is longer than may be.
    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            None,
            "the body is too large",
        )
    }

    /// The body did not come.
    pub(super) fn no_body() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            None,
            "the body could not be read",
        )
    }

    /// There is no database to do it with.
    pub(super) fn no_database() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_db_connection",
            None,
            "No connected db. Set a master key and a data directory or DATABASE_URL.",
        )
    }

    /// Nothing of the kind is offered here.
    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_supported_error",
            None,
            message,
        )
    }

    /// What is wrong, for an answer that tells of several things.
    pub(super) fn message(&self) -> Value {
        let message = self.body.pointer("/error/message");
        message.unwrap_or(&self.body["detail"]).clone()
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = respond(&self.body);
        *response.status_mut() = self.status;
        response
    }
}

impl From<Down> for Refusal {
    fn from(down: Down) -> Self {
        tracing::error!(%down, "an admin call failed");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_db_connection",
            None,
            "The database cannot be used now; nothing was changed.",
        )
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Down(down) => down.into(),
            Fault::Exists => Self::bad("id", "There is one of this id already."),
            Fault::NameTaken => Self::bad(
                "key_alias",
                "Another key has this alias already. Aliases of keys are unique.",
            ),
        }
    }
}
