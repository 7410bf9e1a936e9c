//! Where a call is on its way: who was asked, and who may be asked next.

use std::sync::Arc;
use std::time::Duration;

use pointsman_layers::retry::Verdict;
use pointsman_routes::table::{DeploymentId, Member, Midstream, Target};
use smallvec::SmallVec;

use super::chain::{Chain, has_special};
use super::class::{self, Again, Class};
use super::{Noted, Notes, resume};
use crate::call::{Broke, Call, Left};
use crate::error::{Failure, Rehearsal};
use crate::routing::moment::Draw;
use crate::routing::state::Health;
use crate::routing::{Ask, Router};

/// Longest time that a provider's `Retry-After` is waited.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Where a call is on its way.
#[derive(Debug)]
pub(super) struct Course {
    call: Arc<Call>,
    /// Deployments of the group at hand that were asked.
    asked: SmallVec<[DeploymentId; 4]>,
    /// The `order` of it that was gone on to.
    level: Option<u32>,
    /// Attempts at it beyond the first.
    retries: u32,
    /// Whether nobody of that `order` was asked yet.
    unproven: bool,
    chain: Option<Chain>,
    /// Why the last attempt failed.
    class: Option<Class>,
    /// Whether the next attempt may go to those who were asked.
    again: bool,
    /// Whether it goes on with a stream that broke: only those who were not asked are.
    goes_on: bool,
}

impl Course {
    /// The course of a call that was answered at once.
    pub(super) fn at(call: Arc<Call>) -> Self {
        Self {
            call,
            asked: SmallVec::new(),
            level: None,
            retries: 0,
            unproven: false,
            chain: None,
            class: None,
            again: true,
            goes_on: false,
        }
    }

    /// The call as it is asked now.
    pub(super) fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Whose streams broke, this failure's among them.
    fn broken(&self, failure: &Failure) -> Vec<Left> {
        let before = self.call.resumed.iter().flat_map(|shown| &shown.left);
        before.cloned().chain([self.entry(failure)]).collect()
    }

    /// Where it goes on when the stream of its last attempt broke; `None` if nowhere.
    pub(super) fn after(
        mut self: Box<Self>,
        broke: &Broke,
        mode: Midstream,
        router: &Router,
        kept: &Notes,
    ) -> Option<Box<Self>> {
        let left = self.broken(&broke.failure);
        self.call = Arc::new(resume::going_on(&self.call, left, broke, mode)?);
        self.goes_on = true;
        let mut noted = kept.lock();
        noted.call = Arc::clone(&self.call);
        noted.router = Some(router.clone());
        self.note(&broke.failure, &mut noted);
        let time = self.call.live.routes().settings.request_timeout;
        let verdict = self
            .try_again(router, &broke.failure, (true, time), &mut noted)
            .unwrap_or_else(|| self.fall_back(&mut noted));
        matches!(verdict, Verdict::Next { .. }).then_some(self)
    }

    /// Whom the next attempt may go to. Those below the `order` that was gone on to are not gone
    /// back to.
    pub(super) fn ask(&self) -> Ask {
        let below = self.level.filter(|_| self.again);
        Ask {
            tried: match below {
                Some(level) => self
                    .members()
                    .iter()
                    .filter(|member| member.order < level)
                    .map(|member| member.deployment)
                    .collect(),
                None => self.asked.clone(),
            },
            again: self.again && below.is_none(),
            last: !self.chain.as_ref().is_some_and(Chain::goes_on),
            ..Ask::first(self.call.target)
        }
    }

    /// The members of the group at hand; none if it is a deployment.
    fn members(&self) -> &[Member] {
        members_of(&self.call)
    }

    /// Notes a failure of the attempt that was made.
    pub(super) fn note(&mut self, failure: &Failure, noted: &mut Noted) {
        let asked = match failure {
            Failure::Upstream(fault) => Some(fault.asked),
            _ => None,
        };
        self.class = class::of(failure);
        if let Some(asked) = asked.filter(|asked| !self.asked.contains(asked)) {
            self.asked.push(asked);
        }
        let first = self.chain.is_none();
        let call = &self.call;
        let chain = self.chain.get_or_insert_with(|| Chain::of(call));
        if first {
            noted.fallbacks = chain.names();
            noted.trail.max_fallbacks = chain.most();
        }
        noted.trail.left.push(self.entry(failure));
        if asked.is_some() {
            self.unproven = false;
            noted.failed = Some(failure.clone());
        }
    }

    /// A failed attempt, as it is told.
    fn entry(&self, failure: &Failure) -> Left {
        Left {
            group: self.call.group(),
            deployment: match failure {
                Failure::Upstream(fault) => Some(fault.asked),
                _ => None,
            },
            why: match (failure, class::of(failure)) {
                (Failure::Rehearsed { .. }, _) => "rehearsed",
                (_, Some(class)) => class.word(),
                (_, None) => "nobody_available",
            },
            class: failure.class(),
            status: failure.status(),
            error: self
                .tells_errors()
                .then(|| failure.to_string().into_boxed_str()),
        }
    }

    /// Whether the caller wants to know what led to a fallback.
    fn tells_errors(&self) -> bool {
        let controls = self.call.controls.as_deref();
        controls.is_some_and(|controls| controls.tell_errors)
    }

    /// Another attempt at the same group, if the class and the counts allow it and there is time:
    /// at others if they may be there, else at those who were asked.
    pub(super) fn try_again(
        &mut self,
        router: &Router,
        failure: &Failure,
        (others, time): (bool, Duration),
        noted: &mut Noted,
    ) -> Option<Verdict> {
        let class = self.class?;
        let deployment = match failure {
            Failure::Upstream(fault) => Some(fault.asked),
            Failure::Rehearsed {
                act: Rehearsal::RateLimit,
                ..
            } => None,
            // The whole group is said to have failed, or nobody is there to be asked.
            _ => return None,
        };
        let count = self.count(class, deployment)?;
        noted.trail.max_retries = count;
        if count == 0 {
            return None;
        }
        let board = router.board(&self.call.live);
        let row = board.row(self.call.target);
        let now = router.clock().now();
        let well = |id: DeploymentId, at| {
            let health = board.stats(id).health(at);
            matches!(health, Health::Up | Health::HalfOpen | Health::Unhealthy)
        };
        let mut seats = row.seats.iter().filter(|seat| others && seat.served);
        // Those who were not asked are asked whatever the count: nobody waits for it, and each can
        // be asked in vain but once.
        if seats.any(|seat| !self.asked.contains(&seat.deployment) && well(seat.deployment, now)) {
            return Some(self.retry(
                false,
                Verdict::Next {
                    after: Duration::ZERO,
                },
                noted,
            ));
        }
        if self.goes_on {
            return None;
        }
        if self.unproven {
            // Nobody of this `order` could be asked. Those of the ones before had their retries.
            return None;
        }
        let elsewhere = self.chain.as_ref().is_some_and(Chain::goes_on);
        let same = match class::again(class) {
            Again::Anybody => class != Class::RateLimit || !elsewhere,
            Again::IfTold => true,
            Again::Others | Again::Nobody => false,
        };
        if !same || self.retries >= count {
            return None;
        }
        let after = self.pause(failure, router.draw());
        let then = now.plus(after);
        let anybody = row
            .seats
            .iter()
            .any(|seat| seat.served && (row.direct || well(seat.deployment, then)));
        (anybody && after < time).then(|| self.retry(true, Verdict::Retry { after }, noted))
    }

    /// An attempt was to be made, and nobody was there for it.
    pub(super) fn unmade(&mut self, noted: &mut Noted) {
        noted.trail.retries = noted.trail.retries.saturating_sub(1);
        if !self.again {
            // It was meant for others and costs those who were asked none of theirs.
            self.retries = self.retries.saturating_sub(1);
        }
    }

    fn retry(&mut self, again: bool, verdict: Verdict, noted: &mut Noted) -> Verdict {
        self.again = again;
        self.retries += 1;
        noted.trail.retries += 1;
        verdict
    }

    /// How often a group is asked again after a failure of this class; `None` if it is not.
    ///
    /// The request's count, else the deployment's, else the policy's for the class, the group's
    /// before the router's, else the group's, else the router's.
    fn count(&self, class: Class, deployment: Option<DeploymentId>) -> Option<u32> {
        let routes = self.call.live.routes();
        let group = match self.call.target {
            Target::Group(group) => routes.groups.get(usize::from(group.0)),
            Target::Deployment(_) => None,
        };
        let policies = [
            group.and_then(|group| group.retry_policy),
            routes.router.retry_policy,
        ];
        let told = class::told(class, policies);
        match class::again(class) {
            Again::Nobody => return None,
            Again::IfTold if told.is_none_or(|told| told == 0) => return None,
            Again::IfTold if has_special(&self.call, class) => return None,
            _ => {}
        }
        let asked = self
            .call
            .controls
            .as_ref()
            .and_then(|controls| controls.num_retries);
        let own = deployment.and_then(|id| self.call.live.deployment(id).num_retries);
        let group = group.and_then(|group| group.num_retries);
        let count = asked.or(own).or(told).or(group);
        Some(count.unwrap_or(routes.router.num_retries))
    }

    /// The time before those are asked again who were asked already: what the provider says, if it
    /// is not too long, else one that grows, and not less than the file says.
    fn pause(&self, failure: &Failure, draw: Draw) -> Duration {
        let told = match failure {
            Failure::Upstream(fault) => fault.told.after,
            _ => None,
        };
        if let Some(told) = told.filter(|told| !told.is_zero() && *told <= LONGEST_WAIT) {
            return told;
        }
        let routes = self.call.live.routes();
        let of_group = match self.call.target {
            Target::Group(group) => routes.groups[usize::from(group.0)].retry_after,
            Target::Deployment(_) => None,
        };
        let least = of_group.unwrap_or(routes.router.retry_after);
        let again = self.retries.saturating_add(1);
        let pause = routes.router.backoff.pause(again, draw.unit(0));
        pause.max(least)
    }

    /// Those of the next `order`, who stand in for the others as a fallback does, whatever the
    /// counts say.
    fn next_level(&mut self, noted: &mut Noted) -> Option<Verdict> {
        let members = self.members();
        let asked = |id: &DeploymentId| self.asked.contains(id);
        let reached = members
            .iter()
            .filter(|member| asked(&member.deployment))
            .map(|member| member.order)
            .chain(self.level)
            .max()?;
        let above = members.iter().map(|member| member.order);
        let next = above.filter(|order| *order > reached).min()?;
        let below = members.iter().filter(|member| member.order < next);
        let passed: SmallVec<[DeploymentId; 4]> = below
            .map(|member| member.deployment)
            .filter(|id| !asked(id))
            .collect();
        self.asked.extend(passed);
        self.level = Some(next);
        self.retries = 0;
        self.unproven = true;
        self.again = false;
        noted.trail.retries += 1;
        Some(Verdict::Next {
            after: Duration::ZERO,
        })
    }

    /// On to the next level of the group or the next group, or the end.
    pub(super) fn fall_back(&mut self, noted: &mut Noted) -> Verdict {
        if let Some(verdict) = self.next_level(noted) {
            return verdict;
        }
        while let Some(hop) = self
            .chain
            .as_mut()
            .and_then(|chain| chain.next(&self.call, self.class))
        {
            let Some(call) = self.call.at(&hop) else {
                continue;
            };
            let call = Arc::new(call);
            self.call = Arc::clone(&call);
            self.asked.clear();
            self.level = None;
            self.retries = 0;
            self.unproven = false;
            self.again = true;
            noted.call = call;
            noted.failed = None;
            noted.trail.fallbacks += 1;
            return Verdict::Next {
                after: Duration::ZERO,
            };
        }
        Verdict::GiveUp
    }
}

/// The members of the group that a call is at; none if it is a deployment.
pub(super) fn members_of(call: &Call) -> &[Member] {
    match call.target {
        Target::Group(group) => &call.live.routes().groups[usize::from(group.0)].members,
        Target::Deployment(_) => &[],
    }
}
