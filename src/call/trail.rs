//! What was tried for a call, and what came of it in the end.

use std::sync::Arc;

use http::StatusCode;
use pointsman_routes::table::{DeploymentId, GroupId};

use super::{Answer, Call};
use crate::error::Failure;

/// What was tried for a call before it ended.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// The attempts that failed, in their order. Empty for a call that was answered at once.
    pub left: Vec<Left>,
    /// Attempts beyond the first of each group.
    pub retries: u32,
    /// Groups beyond the first.
    pub fallbacks: u32,
    /// How many retries the last failure allowed.
    pub max_retries: u32,
    /// How many fallbacks the call may use.
    pub max_fallbacks: u32,
    /// Attempts that were begun beside another one.
    pub hedges: u32,
    /// Whether one of those was the faster one.
    pub hedge_won: bool,
    /// Streams that broke when something was shown, and were gone on with.
    pub continued: u32,
    /// Those with which nobody could go on of all who were asked.
    pub given_up: u32,
}

impl Trail {
    /// Adds what was tried later.
    pub fn join(&mut self, later: Self) {
        self.left.extend(later.left);
        self.retries += later.retries;
        self.fallbacks += later.fallbacks;
        self.max_retries = self.max_retries.max(later.max_retries);
        self.max_fallbacks = self.max_fallbacks.max(later.max_fallbacks);
        self.hedges += later.hedges;
        self.hedge_won |= later.hedge_won;
        self.continued += later.continued;
        self.given_up += later.given_up;
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The group that was to answer.
    pub group: GroupId,
    /// The deployment that was asked, if one was.
    pub deployment: Option<DeploymentId>,
    /// Why it was left, in a word.
    pub why: &'static str,
    /// LiteLLM's class of the failure.
    pub class: &'static str,
    /// The status that stands for the failure.
    pub status: StatusCode,
    /// What the caller would have been told of it, if it wants to know.
    pub error: Option<Box<str>>,
}

/// A call that was answered.
#[derive(Debug)]
pub struct Reached<S> {
    /// The call as it was answered: a fallback changes whom it is for.
    pub call: Arc<Call>,
    /// What came back.
    pub answer: Answer<S>,
    /// What was tried before.
    pub trail: Trail,
}

/// A call that nobody answered.
#[derive(Debug)]
pub struct Lost {
    /// The call as it was tried last.
    pub call: Arc<Call>,
    /// The last failure.
    pub failure: Failure,
    /// What was tried, the last failure included.
    pub trail: Trail,
}
