//! The two things that a decision takes from outside: the time, and chance.

use std::time::Duration;

use tokio::time::Instant;

/// A point in time: nanoseconds on the router's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// So much later.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// The time since `earlier`; nothing if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The router's clock. It goes with tokio's, paused or not.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

/// What the clock shows at its start, so that a minute before it can be written, too, and zero can
/// mean never.
const START: Duration = Duration::from_mins(2);

impl Default for Clock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock {
    /// Now.
    pub fn now(&self) -> Moment {
        self.at(Instant::now())
    }

    /// What it showed or will show then.
    pub fn at(&self, instant: Instant) -> Moment {
        Moment(0)
            .plus(START)
            .plus(instant.saturating_duration_since(self.origin))
    }
}

/// The random draw of one decision, from which every choice by chance in it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(pub u64);

impl Draw {
    /// A number from 0 up to but not including 1, even over all draws; another one for each `use_`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are left")]
    pub fn unit(self, use_: u64) -> f64 {
        (self.mixed(use_) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A position among `count`; 0 if there is none.
    #[expect(clippy::cast_possible_truncation, reason = "it is below count")]
    pub fn below(self, count: usize, use_: u64) -> usize {
        ((u128::from(self.mixed(use_)) * count as u128) >> 64) as usize
    }

    /// Steele's and Vigna's splitmix64.
    fn mixed(self, use_: u64) -> u64 {
        let mut z = self
            .0
            .wrapping_add((use_ + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
