//! What an endpoint is.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::field::Field;
use super::rights::Class;
use super::{Answer, Ask};

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// Its paths; the first names it.
    pub(super) paths: &'static [&'static str],
    pub(super) class: Class,
    pub(super) summary: &'static str,
    /// The fields of its query string, for `GET`; else of its body.
    pub(super) input: &'static [&'static [Field]],
    pub(super) run: fn(Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>>,
    /// Answers without a caller.
    pub(super) plain: Option<Plain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What an endpoint answers that tells everybody the same of all of them.
pub(super) type Plain = fn(&[Endpoint]) -> Value;
