//! Money that deployments and providers may spend (`max_budget`, `provider_budget_config`).
//!
//! A purse belongs to a deployment's id or a provider's name, not to a table, so what was spent lives
//! on when the table is swapped. It is counted in this process since its start. What a request costs is
//! known when it has ended: those under way when the money runs out are not stopped.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pointsman_layers::budget::{Unix, Utc, Window};
use pointsman_routes::table::{Budget, Window as Written};
use pointsman_routes::usd::Usd;

use super::moment::Moment;

/// What was spent in the window at hand.
#[derive(Debug, Default)]
pub struct Purse {
    kept: Mutex<Kept>,
    /// Until when nothing is left; zero if something is.
    empty: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    spent: Usd,
    /// The end of the window; `None` before the first spend, and if there is none.
    end: Option<Unix>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            spent: Usd::ZERO,
            end: None,
        }
    }
}

/// What may be spent in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    max: Usd,
    window: Window,
}

impl From<&Budget> for Allowance {
    fn from(budget: &Budget) -> Self {
        const DAY: u64 = 86_400;
        let count = |n: u64| NonZeroU32::new(u32::try_from(n).unwrap_or(u32::MAX));
        let window = match budget.window {
            None => None,
            // Days end at midnight, weeks and months by the calendar.
            Some(Written::Seconds(n)) if n.is_multiple_of(DAY) => count(n / DAY).map(Window::Days),
            Some(Written::Seconds(n)) => count(n).map(Window::Seconds),
            Some(Written::Months(n)) => count(n.into()).map(Window::Months),
        };
        Self {
            max: budget.max,
            window: window.unwrap_or(Window::Total),
        }
    }
}

impl Purse {
    /// Until when nothing is left, if nothing is. Takes no lock.
    #[inline]
    pub fn empty_until(&self, now: Moment) -> Option<Moment> {
        let until = self.empty.load(Relaxed);
        (now.0 < until).then_some(Moment(until))
    }

    /// What is spent in the window at hand, and when that ends.
    pub fn standing(&self, wall: Unix) -> (Usd, Option<Unix>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.end {
            Some(end) if wall >= end => (Usd::ZERO, None),
            end => (kept.spent, end),
        }
    }

    /// Books what was spent, and whether something is left of this allowance.
    pub fn spend(&self, amount: Usd, allowance: &Allowance, wall: Unix, now: Moment) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.end.is_none_or(|end| wall >= end) {
            if kept.end.is_some() {
                kept.spent = Usd::ZERO;
            }
            kept.end = allowance.window.next_reset(wall, &Utc);
        }
        kept.spent = kept.spent.plus(amount);
        let until = if kept.spent < allowance.max {
            0
        } else {
            match kept.end {
                Some(end) => {
                    let left = u64::try_from(end.0.saturating_sub(wall.0)).unwrap_or(0);
                    now.plus(Duration::from_secs(left)).0
                }
                None => u64::MAX,
            }
        };
        self.empty.store(until, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Unix = Unix(1_767_225_600 + 43_200);
    const NOW: Moment = Moment(1_000_000_000_000);

    fn dollars(text: &str) -> Usd {
        Usd::from_decimal(text).unwrap()
    }

    fn allowance(max: &str, window: Option<Written>) -> Allowance {
        Allowance::from(&Budget {
            max: dollars(max),
            window,
        })
    }

    #[test]
    fn a_purse_is_empty_until_its_window_ends() {
        let purse = Purse::default();
        let daily = allowance("1", Some(Written::Seconds(86_400)));
        purse.spend(dollars("0.4"), &daily, NOON, NOW);
        assert_eq!(purse.empty_until(NOW), None);
        purse.spend(dollars("0.6"), &daily, NOON, NOW);
        let midnight = NOW.plus(Duration::from_hours(12));
        assert_eq!(purse.empty_until(NOW), Some(midnight));
        assert_eq!(purse.empty_until(midnight), None);
        assert_eq!(purse.standing(NOON).0, dollars("1"));
        let tomorrow = Unix(NOON.0 + 86_400);
        assert_eq!(purse.standing(tomorrow), (Usd::ZERO, None));
        purse.spend(dollars("0.9"), &daily, tomorrow, midnight);
        assert_eq!(purse.empty_until(midnight), None);
        purse.spend(dollars("0.1"), &daily, tomorrow, midnight);
        assert!(purse.empty_until(midnight).is_some());
    }

    #[test]
    fn without_a_window_it_stays_empty_unless_more_is_allowed() {
        let purse = Purse::default();
        let total = allowance("1", None);
        purse.spend(dollars("2"), &total, NOON, NOW);
        let later = NOW.plus(Duration::from_hours(1_000));
        assert!(purse.empty_until(later).is_some());
        purse.spend(Usd::ZERO, &allowance("3", None), NOON, later);
        assert_eq!(purse.empty_until(later), None);
    }
}
