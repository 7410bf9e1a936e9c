//! When a deployment rests after a failure, and for how long.
//!
//! | what came | what it does |
//! |---|---|
//! | 429 | cools at once, unless its group has nobody else |
//! | 401, 403, 404 | cools at once: asking again changes nothing |
//! | 408, 5xx, no connection, no answer in time, malformed, cut | cools when most of the minute failed |
//! | other 4xx | never: the caller's fault |
//!
//! Where `allowed_fails` (other than LiteLLM's default of 3) or `allowed_fails_policy` speaks of a
//! class, its number holds instead: the deployment rests when more of them came within the time of
//! a cooldown. `breaker` adds a limit of failures one after the other.

use std::time::Duration;

use pointsman_routes::table::{RetryPolicy, Routes, Setting};

use super::class::Class;
use super::moment::Moment;
use super::options::{member, number, setting, time, whole, word};
use super::state::{Tally, Why};

/// LiteLLM's cooldown where the file gives none.
const COOLDOWN: Duration = Duration::from_secs(5);
/// LiteLLM's `allowed_fails` where the file gives none. Written out it means the same.
const ALLOWED_FAILS: u32 = 3;
/// No provider's word keeps a deployment away for longer.
const LONGEST: Duration = Duration::from_hours(1);
/// Requests of the minute below which the share of failures says nothing.
const RATE_FROM: u64 = 5;

/// What a file says of cooldowns.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `cooldown_time`.
    pub cooldown: Duration,
    /// `disable_cooldowns`.
    pub disabled: bool,
    /// `allowed_fails`.
    pub allowed_fails: Option<u32>,
    /// `allowed_fails_policy`.
    pub policy: Option<RetryPolicy>,
    /// `single_deployment_cooldown`.
    pub single: Single,
    /// `breaker`.
    pub breaker: Option<Breaker>,
}

/// When the only deployment of a group may rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Single {
    /// If there is a fallback to go to.
    #[default]
    WhenFallback,
    /// As any other.
    Always,
    /// Only by `allowed_fails`, as in LiteLLM.
    Never,
}

/// A limit of failures one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many open it.
    pub consecutive: u32,
    /// For so long.
    pub open_for: Duration,
}

/// Where a failure happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its group has no other deployment.
    pub single: bool,
    /// The group has a fallback.
    pub fallback: bool,
    /// The deployment's own `cooldown_time`.
    pub own: Option<Duration>,
}

/// A cooldown that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooling {
    /// When it ends.
    pub until: Moment,
    /// Why.
    pub why: Why,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cooldown: COOLDOWN,
            disabled: false,
            allowed_fails: None,
            policy: None,
            single: Single::default(),
            breaker: None,
        }
    }
}

impl Rules {
    /// Reads them.
    pub fn read(routes: &Routes) -> Self {
        let router = &routes.router;
        let breaker = |setting: &Setting| {
            Some(Breaker {
                consecutive: number(member(setting, "consecutive")?)
                    .and_then(whole)?
                    .max(1),
                open_for: member(setting, "open_for")
                    .and_then(time)
                    .unwrap_or(COOLDOWN),
            })
        };
        Self {
            cooldown: router.cooldown.unwrap_or(COOLDOWN),
            disabled: router.disable_cooldowns,
            allowed_fails: router.allowed_fails,
            policy: router.allowed_fails_policy,
            single: match word(routes, "single_deployment_cooldown") {
                Some("always") => Single::Always,
                Some("never") => Single::Never,
                _ => Single::WhenFallback,
            },
            breaker: setting(routes, "breaker").and_then(breaker),
        }
    }

    /// The time within which failures are counted against `allowed_fails`.
    pub fn burst(&self, own: Option<Duration>) -> Duration {
        own.unwrap_or(self.cooldown).max(Duration::from_secs(1))
    }

    /// Whether a deployment rests after a failure of this class, and how long: its own
    /// `cooldown_time`, else what its provider asked for, else the router's; zero is not at all.
    ///
    /// A pure function of its arguments.
    pub fn judge(
        &self,
        tally: &Tally,
        class: Class,
        asked: Option<Duration>,
        place: Place,
        now: Moment,
    ) -> Option<Cooling> {
        if self.disabled || !class.counts() {
            return None;
        }
        let why = self.why(tally, class, place)?;
        let asked = asked
            .filter(|asked| !asked.is_zero())
            .map(|asked| asked.min(LONGEST));
        let time = match (why, self.breaker) {
            (Why::Consecutive, Some(breaker)) => breaker.open_for,
            _ => place.own.or(asked).unwrap_or(self.cooldown),
        };
        (!time.is_zero()).then(|| Cooling {
            until: now.plus(time),
            why,
        })
    }

    fn why(&self, tally: &Tally, class: Class, place: Place) -> Option<Why> {
        if tally.probe {
            return Some(Why::Probe);
        }
        if self
            .breaker
            .is_some_and(|breaker| tally.row >= breaker.consecutive)
        {
            return Some(Why::Consecutive);
        }
        match self.allowed(class) {
            Some((allowed, of_class)) => {
                let count = if of_class {
                    tally.burst
                } else {
                    tally.burst_of_all
                };
                if count > allowed {
                    return Some(Why::AllowedFails);
                }
                if allowed != ALLOWED_FAILS || of_class {
                    return None;
                }
            }
            None => {}
        }
        if place.single && !self.single_rests(place) {
            return None;
        }
        if class == Class::RateLimit {
            return Some(Why::RateLimited);
        }
        if class.is_lasting() {
            return Some(Why::Lasting);
        }
        let total = tally.good + tally.bad;
        (total >= RATE_FROM && tally.bad * 2 > total).then_some(Why::FailureRate)
    }

    /// How many failures do not cool, and whether only those of the class count.
    fn allowed(&self, class: Class) -> Option<(u32, bool)> {
        let of_class = self.policy.and_then(|policy| class.in_policy(&policy));
        of_class
            .map(|allowed| (allowed, true))
            .or(self.allowed_fails.map(|allowed| (allowed, false)))
    }

    fn single_rests(&self, place: Place) -> bool {
        match self.single {
            Single::Always => true,
            Single::Never => false,
            Single::WhenFallback => place.fallback,
        }
    }
}
