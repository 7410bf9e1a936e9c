//! A call that has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use pointsman_routes::table::DeploymentId;
use pointsman_routes::usd::Usd;

use super::price::Cost;
use crate::call::{Call, Trail, Usage};

/// A call that has ended.
#[derive(Debug)]
pub struct Record {
    /// What was asked.
    pub call: Arc<Call>,
    /// Who answered, if anybody was asked.
    pub deployment: Option<DeploymentId>,
    /// What was tried before, or in vain.
    pub trail: Trail,
    /// The status that the caller got.
    pub status: StatusCode,
    /// LiteLLM's class of the failure, if it was one.
    pub failure: Option<&'static str>,
    /// The caller went away before the end.
    pub dropped: bool,
    /// What it took, if that is known.
    pub usage: Option<Usage>,
    /// Whether that is an estimate, in whole or in part.
    pub estimated: bool,
    /// What it cost.
    pub cost: Cost,
    /// What of that was paid to deployments whose streams broke, before the last one went on.
    pub before: Vec<(DeploymentId, Usd)>,
    /// From the send to the provider's head.
    pub upstream: Duration,
    /// From arrival to the first event of a stream.
    pub first_token: Option<Duration>,
    /// When it ended.
    pub ended: Instant,
    /// The id in the answer, if it has one.
    pub answer: Option<Box<str>>,
}

impl Record {
    /// What was paid to each deployment.
    pub fn paid(&self) -> impl Iterator<Item = (DeploymentId, Usd)> {
        let before = self.before.iter().map(|(_, cost)| cost.0).sum::<i128>();
        let last = Usd(self.cost.total().0.saturating_sub(before));
        let last = self.deployment.map(|deployment| (deployment, last));
        self.before.iter().copied().chain(last)
    }

    /// From arrival to end.
    pub fn total(&self) -> Duration {
        self.ended.saturating_duration_since(self.call.arrived)
    }
}
