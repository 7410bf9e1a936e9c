//! As much of a call as its routing reads.

use crate::call::{Call, Hints, Peek, Principal, Route};

/// As much of a call as its routing reads.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// What is asked for.
    pub route: Route,
    /// The body.
    pub body: &'a [u8],
    /// What is known of it.
    pub peek: &'a Peek,
    /// What the headers say.
    pub hints: Option<&'a Hints>,
    /// Who asks, if that is known.
    pub who: Option<&'a Principal>,
}

impl<'a> From<&'a Call> for Shape<'a> {
    fn from(call: &'a Call) -> Self {
        Self {
            // Who answers in the background must keep what it says.
            route: if call.in_background() {
                Route::Compact
            } else {
                call.route
            },
            body: &call.body,
            peek: &call.peek,
            hints: call.hints.as_deref(),
            who: Some(&call.principal),
        }
    }
}
