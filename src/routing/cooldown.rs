//! When a deployment rests after a failure, and for how long.
//!
//! | what came | what it does |
//! |---|---|
//! | 429 | cools at once, unless its group has nobody else |
//! | 401, 402, 403, 404 | cools at once: asking again changes nothing |
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
        let written = &routes.router;
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
            cooldown: written.cooldown.unwrap_or(COOLDOWN),
            disabled: written.disable_cooldowns,
            allowed_fails: written.allowed_fails,
            policy: written.allowed_fails_policy,
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
    /// `cooldown_time`, else what its provider asked for, else the router's; zero is not at all. A
    /// breaker has a time of its own, and not less than what the provider asked for.
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
            (Why::Consecutive, Some(breaker)) => breaker.open_for.max(asked.unwrap_or_default()),
            _ => place.own.or(asked).unwrap_or(self.cooldown),
        };
        (!time.is_zero()).then(|| Cooling {
            until: now.plus(time),
            why,
        })
    }

    fn why(&self, tally: &Tally, class: Class, place: Place) -> Option<Why> {
        // One that a breaker has put out of service rests for as long again.
        if self
            .breaker
            .is_some_and(|breaker| tally.row >= breaker.consecutive)
        {
            return Some(Why::Consecutive);
        }
        if tally.probe {
            return Some(Why::Probe);
        }
        if let Some((allowed, of_class)) = self.allowed(class) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000_000_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn judge(rules: &Rules, tally: Tally, class: Class, place: Place) -> Option<Why> {
        let cooling = rules.judge(&tally, class, None, place, NOW);
        cooling.map(|cooling| cooling.why)
    }

    const ONE: Tally = Tally {
        good: 0,
        bad: 1,
        row: 1,
        burst: 1,
        burst_of_all: 1,
        probe: false,
    };
    const MANY: Place = Place {
        single: false,
        fallback: false,
        own: None,
    };
    const ALONE: Place = Place {
        single: true,
        fallback: false,
        own: None,
    };

    #[test]
    fn each_class_cools_as_litellm_has_it() {
        for (class, first, half) in [
            (
                Class::RateLimit,
                Some(Why::RateLimited),
                Some(Why::RateLimited),
            ),
            (
                Class::Authentication,
                Some(Why::Lasting),
                Some(Why::Lasting),
            ),
            (Class::NotFound, Some(Why::Lasting), Some(Why::Lasting)),
            (Class::Timeout, None, Some(Why::FailureRate)),
            (Class::Server, None, Some(Why::FailureRate)),
            (Class::Connect, None, Some(Why::FailureRate)),
            (Class::Malformed, None, Some(Why::FailureRate)),
            (Class::Cut, None, Some(Why::FailureRate)),
            (Class::BadRequest, None, None),
            (Class::Conflict, None, None),
            (Class::ContextWindow, None, None),
            (Class::ContentPolicy, None, None),
        ] {
            let rules = Rules::default();
            assert_eq!(judge(&rules, ONE, class, MANY), first, "{class:?}");
            let most = Tally {
                good: 2,
                bad: 3,
                ..ONE
            };
            assert_eq!(judge(&rules, most, class, MANY), half, "{class:?}");
        }
    }

    #[test]
    fn the_share_of_failures_counts_from_five_requests_on_and_above_half() {
        for (good, bad, wanted) in [(0, 4, false), (0, 5, true), (3, 3, false), (3, 4, true)] {
            let tally = Tally { good, bad, ..ONE };
            let why = judge(&Rules::default(), tally, Class::Server, MANY);
            assert_eq!(why.is_some(), wanted, "{good} good, {bad} bad");
        }
    }

    #[test]
    fn the_only_deployment_rests_if_there_is_somewhere_to_go() {
        let bad = Tally { bad: 9, ..ONE };
        for (single, place, wanted) in [
            (Single::WhenFallback, ALONE, false),
            (
                Single::WhenFallback,
                Place {
                    fallback: true,
                    ..ALONE
                },
                true,
            ),
            (Single::Always, ALONE, true),
            (
                Single::Never,
                Place {
                    fallback: true,
                    ..ALONE
                },
                false,
            ),
        ] {
            let rules = Rules {
                single,
                ..Rules::default()
            };
            for class in [Class::RateLimit, Class::Authentication, Class::Server] {
                assert_eq!(
                    judge(&rules, bad, class, place).is_some(),
                    wanted,
                    "{single:?} {place:?}"
                );
            }
        }
    }

    #[test]
    fn allowed_fails_take_the_place_of_the_other_rules() {
        let rules = Rules {
            allowed_fails: Some(2),
            ..Rules::default()
        };
        let after = |burst_of_all| Tally {
            burst_of_all,
            bad: 9,
            ..ONE
        };
        for class in [Class::RateLimit, Class::Server, Class::Authentication] {
            assert_eq!(judge(&rules, after(2), class, MANY), None);
            assert_eq!(
                judge(&rules, after(3), class, MANY),
                Some(Why::AllowedFails)
            );
            assert_eq!(
                judge(&rules, after(3), class, ALONE),
                Some(Why::AllowedFails)
            );
        }
        // LiteLLM's default, written out, is no policy of one's own.
        let rules = Rules {
            allowed_fails: Some(3),
            ..Rules::default()
        };
        assert_eq!(
            judge(&rules, after(1), Class::RateLimit, MANY),
            Some(Why::RateLimited)
        );
        assert_eq!(
            judge(&rules, after(4), Class::Server, ALONE),
            Some(Why::AllowedFails)
        );
    }

    #[test]
    fn a_policy_speaks_of_its_classes_only() {
        let policy = RetryPolicy {
            timeout: Some(1),
            rate_limit: Some(100),
            ..RetryPolicy::default()
        };
        let rules = Rules {
            policy: Some(policy),
            ..Rules::default()
        };
        let after = |burst| Tally {
            burst,
            bad: 9,
            ..ONE
        };
        assert_eq!(judge(&rules, after(9), Class::RateLimit, MANY), None);
        assert_eq!(judge(&rules, after(1), Class::Timeout, MANY), None);
        assert_eq!(
            judge(&rules, after(2), Class::Timeout, MANY),
            Some(Why::AllowedFails)
        );
        assert_eq!(
            judge(&rules, after(1), Class::Authentication, MANY),
            Some(Why::Lasting)
        );
    }

    #[test]
    fn a_breaker_counts_failures_in_a_row() {
        let breaker = Breaker {
            consecutive: 5,
            open_for: seconds(300),
        };
        let rules = Rules {
            breaker: Some(breaker),
            ..Rules::default()
        };
        let tally = Tally {
            row: 5,
            bad: 1,
            ..ONE
        };
        let cooling = rules
            .judge(&tally, Class::Server, None, ALONE, NOW)
            .unwrap();
        assert_eq!(
            (cooling.why, cooling.until),
            (Why::Consecutive, NOW.plus(seconds(300)))
        );
        assert_eq!(
            judge(&rules, Tally { row: 4, ..tally }, Class::Server, ALONE),
            None
        );
        // A provider that asks for more gets it.
        let asked = Some(seconds(400));
        let cooling = rules.judge(&tally, Class::RateLimit, asked, ALONE, NOW);
        assert_eq!(cooling.unwrap().until, NOW.plus(seconds(400)));
        // It stays open for as long again when the request that tries it fails.
        let probe = Tally {
            row: 6,
            probe: true,
            ..tally
        };
        assert_eq!(
            judge(&rules, probe, Class::Server, ALONE),
            Some(Why::Consecutive)
        );
    }

    #[test]
    fn the_time_is_the_deployments_else_the_providers_else_the_routers() {
        let rules = Rules {
            cooldown: seconds(7),
            ..Rules::default()
        };
        let time = |own: Option<u64>, asked: Option<u64>| {
            let place = Place {
                own: own.map(seconds),
                ..MANY
            };
            let cooling = rules.judge(&ONE, Class::RateLimit, asked.map(seconds), place, NOW);
            cooling.map(|cooling| cooling.until.since(NOW))
        };
        assert_eq!(time(Some(2), Some(40)), Some(seconds(2)));
        assert_eq!(time(None, Some(40)), Some(seconds(40)));
        assert_eq!(time(None, Some(86_400)), Some(LONGEST));
        assert_eq!(time(None, Some(0)), Some(seconds(7)));
        assert_eq!(time(None, None), Some(seconds(7)));
        assert_eq!(time(Some(0), Some(40)), None);
    }

    #[test]
    fn nothing_cools_where_cooldowns_are_off() {
        let rules = Rules {
            disabled: true,
            ..Rules::default()
        };
        let bad = Tally {
            bad: 99,
            row: 99,
            probe: true,
            ..ONE
        };
        for class in Class::ALL {
            assert_eq!(judge(&rules, bad, class, MANY), None);
        }
    }

    #[test]
    fn one_that_fails_again_rests_again() {
        let probe = Tally { probe: true, ..ONE };
        assert_eq!(
            judge(&Rules::default(), probe, Class::Server, ALONE),
            Some(Why::Probe)
        );
    }
}
