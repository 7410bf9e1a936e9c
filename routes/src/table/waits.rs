//! How long a request waits: between its attempts, and for a turn.

use std::time::Duration;

/// `backoff`: pauses before those are asked again who were asked already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub base: Duration,
    /// By what each further one is longer.
    pub factor: f64,
    /// The longest.
    pub max: Duration,
    /// How much of each is chance.
    pub jitter: Jitter,
}

/// How much of a pause is chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Nothing.
    None,
    /// Its second half.
    Half,
    /// All of it.
    Full,
}

/// `queue`: requests that wait until a deployment has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait for one model group; none waits if it is 0.
    pub size: u32,
    /// How long one waits.
    pub timeout: Duration,
}

impl Backoff {
    /// From half a second to eight, twice as long each time.
    pub const DEFAULT: Self = Self {
        base: Duration::from_millis(500),
        factor: 2.0,
        max: Duration::from_secs(8),
        jitter: Jitter::Half,
    };

    /// The pause before try number `again` among those who were asked already, from 1; `drawn` is a
    /// number from 0 up to but not including 1.
    pub fn pause(&self, again: u32, drawn: f64) -> Duration {
        let steps = i32::try_from(again.saturating_sub(1)).unwrap_or(i32::MAX);
        let most = self.max.as_secs_f64();
        // A product that is no number, nothing times infinity, is no pause.
        let bound = (self.base.as_secs_f64() * self.factor.powi(steps)).min(most);
        let share = match self.jitter {
            Jitter::None => 1.0,
            Jitter::Half => 0.5 + drawn / 2.0,
            Jitter::Full => drawn,
        };
        Duration::try_from_secs_f64(bound * share).unwrap_or(self.max)
    }
}

impl Queue {
    /// A thousand, for at most half a minute.
    pub const DEFAULT: Self = Self {
        size: 1_000,
        timeout: Duration::from_secs(30),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(backoff: Backoff, drawn: f64) -> Vec<u128> {
        let each = [1, 2, 3, 4, 5, 6, u32::MAX].map(|again| backoff.pause(again, drawn));
        each.map(|pause| pause.as_millis()).to_vec()
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let plain = Backoff {
            jitter: Jitter::None,
            ..Backoff::DEFAULT
        };
        let wanted = [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000];
        assert_eq!(pauses(plain, 0.3), wanted);
        let even = Backoff {
            factor: 1.0,
            base: Duration::from_secs(1),
            ..plain
        };
        assert_eq!(pauses(even, 0.3), [1_000; 7]);
        let none = Backoff {
            base: Duration::ZERO,
            ..plain
        };
        assert_eq!(none.pause(1, 0.9), Duration::ZERO);
    }

    #[test]
    fn chance_takes_its_share() {
        let half = Backoff::DEFAULT;
        assert_eq!(half.pause(1, 0.0), Duration::from_millis(250));
        assert_eq!(half.pause(1, 0.5), Duration::from_millis(375));
        let full = Backoff {
            jitter: Jitter::Full,
            ..half
        };
        assert_eq!(full.pause(2, 0.0), Duration::ZERO);
        assert_eq!(full.pause(2, 0.5), Duration::from_millis(500));
    }
}
