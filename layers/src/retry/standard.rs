//! A policy for common needs.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::response::Parts;

use super::{Attempt, Journey, Policy, Seen, Timing, Verdict, retry_after};

/// Pauses that grow, with full jitter: each is drawn evenly from nothing to its bound, so that
/// those who failed together do not come again together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first pause; each further bound is twice the one before.
    pub first: Duration,
    /// The largest bound.
    pub most: Duration,
}

impl Backoff {
    /// The bound of the pause after attempt number `here`.
    pub fn bound(&self, here: u32) -> Duration {
        let doubled = 1_u32
            .checked_shl(here.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.most)
    }

    /// The pause after attempt number `here`, for an evenly drawn number.
    pub fn pause(&self, here: u32, drawn: u64) -> Duration {
        let bound = self.bound(here).as_nanos();
        let nanos = (bound * u128::from(drawn)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Default for Backoff {
    /// From half a second to eight.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(8),
        }
    }
}

/// Turns a request towards a fallback; closures `Fn(&mut Req, u32)` do.
pub trait Rewrite<Req> {
    /// Changes `request`, a copy of the original, for the target of this number, from 1.
    fn rewrite(&self, request: &mut Req, target: u32);
}

impl<Req, F: Fn(&mut Req, u32)> Rewrite<Req> for F {
    fn rewrite(&self, request: &mut Req, target: u32) {
        self(request, target);
    }
}

/// Changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Same;

impl<Req> Rewrite<Req> for Same {
    fn rewrite(&self, _: &mut Req, _: u32) {}
}

/// Tries again what may be tried again: errors, time-outs, bodies that failed before their first
/// frame, and the statuses 408, 429, 500, 502, 503 and 504.
///
/// It waits as long as the server asks, if that is not longer than the largest pause, and otherwise
/// a pause of its [`Backoff`]. When an attempt's target is used up or asks for more patience, it
/// goes to the next one at once.
#[derive(Debug, Clone)]
pub struct Standard<W = Same> {
    rules: Rules,
    targets: u32,
    rewrite: W,
    random: Random,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    retries: u32,
    backoff: Backoff,
    timing: Timing,
    total: Option<Duration>,
}

impl Standard {
    /// At most `retries` retries.
    pub fn new(retries: u32) -> Self {
        let (backoff, timing) = (Backoff::default(), Timing::default());
        let rules = Rules {
            retries,
            backoff,
            timing,
            total: None,
        };
        Self {
            rules,
            targets: 1,
            rewrite: Same,
            random: Random::new(None),
        }
    }
}

impl<W> Standard<W> {
    /// Falls back to `count` further targets in turn, each with as many retries, for which
    /// `rewrite` changes the request.
    pub fn fallbacks<Req, V>(self, count: u32, rewrite: V) -> Standard<V>
    where
        V: Fn(&mut Req, u32),
    {
        let Self { rules, random, .. } = self;
        Standard {
            rules,
            targets: count.saturating_add(1),
            rewrite,
            random,
        }
    }

    /// Pauses so.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = backoff;
        self
    }

    /// Gives each attempt so much time.
    #[must_use]
    pub fn each(mut self, time: Duration) -> Self {
        self.rules.timing.most = Some(time);
        self
    }

    /// Gives all attempts together so much time.
    #[must_use]
    pub fn total(mut self, time: Duration) -> Self {
        self.rules.total = Some(time);
        self
    }

    /// Begins a second attempt beside one that has not answered within `time`.
    #[must_use]
    pub fn hedge(mut self, time: Duration) -> Self {
        self.rules.timing.hedge = Some(time);
        self
    }

    /// Draws the pauses from a known seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Random::new(Some(seed));
        self
    }
}

impl<W> Standard<W> {
    fn next(&self, attempt: Attempt) -> Verdict {
        if attempt.target + 1 < self.targets {
            Verdict::Next {
                after: Duration::ZERO,
            }
        } else {
            Verdict::GiveUp
        }
    }
}

impl<Req: Clone, W: Rewrite<Req> + Clone> Policy<Req> for Standard<W> {
    type Journey = Self;

    fn begin(&self, _: &Req) -> Option<Self> {
        Some(self.clone())
    }
}

impl<Req: Clone, W: Rewrite<Req>> Journey<Req> for Standard<W> {
    fn request(&mut self, original: &Req, attempt: Attempt) -> Req {
        let mut request = original.clone();
        if attempt.target > 0 {
            self.rewrite.rewrite(&mut request, attempt.target);
        }
        request
    }

    fn timing(&mut self, _: Attempt) -> Timing {
        self.rules.timing
    }

    fn total(&self) -> Option<Duration> {
        self.rules.total
    }

    fn judge(&mut self, attempt: Attempt, seen: Seen<'_>) -> Verdict {
        let asked = match seen {
            Seen::Head(head) if !may_be_retried(head.status) => return Verdict::Done,
            Seen::Head(head) => retry_after(&head.headers, SystemTime::now()),
            Seen::Body(_) | Seen::Error(_) | Seen::TimedOut => None,
        };
        let Rules {
            retries, backoff, ..
        } = self.rules;
        let patient = asked.is_none_or(|asked| asked <= backoff.most);
        if attempt.here <= retries && patient {
            let own = || backoff.pause(attempt.here, self.random.draw());
            return Verdict::Retry {
                after: asked.unwrap_or_else(own),
            };
        }
        self.next(attempt)
    }

    fn unpaid(&mut self, attempt: Attempt) -> Verdict {
        self.next(attempt)
    }

    fn waits_for_first_frame(&self, _: &Parts) -> bool {
        true
    }
}

fn may_be_retried(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Even numbers from a seed (splitmix64); clones draw from one sequence.
#[derive(Debug, Clone)]
struct Random(Arc<AtomicU64>);

impl Random {
    fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Self(Arc::new(AtomicU64::new(seed)))
    }

    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
