//! One account: what was spent in its window and what is reserved, on atomic numbers alone.

use super::Usd;
use crate::clock::Unix;
use crate::sync::Atomic;

/// Amounts and times are words, so that each changes at once.
#[derive(Debug)]
pub(super) struct Account<A> {
    /// Spent and reserved. It is raised before and lowered after `spent` is, so that it is never
    /// below what the two truly are.
    used: A,
    spent: A,
    /// The end of the window; [`NEVER`], or zero before the first request.
    ends: A,
    /// The code of the window that `ends` was reckoned by.
    window: A,
}

const NEVER: u64 = u64::MAX;

/// What an account shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) spent: Usd,
    pub(super) reserved: Usd,
    pub(super) ends: Option<Unix>,
}

impl<A: Atomic> Account<A> {
    pub(super) fn new() -> Self {
        Self {
            used: A::new(0),
            spent: A::new(0),
            ends: A::new(0),
            window: A::new(0),
        }
    }

    /// Begins a new window if the last one has ended or is another kind of window now.
    pub(super) fn roll(&self, now: Unix, window: u64, next: impl Fn() -> Option<Unix>) {
        // Read before the end is moved: what is settled in between counts in the new window.
        let spent = self.spent.load();
        let ends = self.ends.load();
        let other = self.window.load() != window;
        if word(now) < ends && !other {
            return;
        }
        let until = next().map_or(NEVER, word);
        if self.ends.replace(ends, until).is_err() {
            return;
        }
        self.window.swap(window);
        if word(now) >= ends && ends != 0 {
            self.forget(spent);
        }
    }

    fn forget(&self, spent: u64) {
        let forgotten: Result<_, ()> = self.spent.try_change(|now| Ok(now.saturating_sub(spent)));
        if let Ok(before) = forgotten {
            self.used.add(spent.min(before).wrapping_neg());
        }
    }

    /// Reserves `amount` if spent, reserved and it stay within `limit`, and something of `limit` is
    /// left at all.
    pub(super) fn reserve(&self, limit: Usd, amount: Usd) -> Result<(), ()> {
        let limit = limit.picos();
        let reserve = |used: u64| match used.checked_add(amount.picos()) {
            Some(sum) if sum <= limit && used < limit => Ok(sum),
            _ => Err(()),
        };
        self.used.try_change(reserve).map(drop)
    }

    /// Gives back a reservation of which nothing was spent.
    pub(super) fn release(&self, amount: Usd) {
        self.used.add(amount.picos().wrapping_neg());
    }

    /// Books `actual` in place of a reservation; gives the spend before and after.
    pub(super) fn settle(&self, reserved: Usd, actual: Usd) -> (Usd, Usd) {
        let (reserved, actual) = (reserved.picos(), actual.picos());
        // An unlimited account that is full stays full: it must not wrap to nothing.
        let book = |used: u64| Ok::<_, ()>((used - reserved).saturating_add(actual));
        let before = self.used.try_change(book).unwrap_or_default();
        let booked = book(before).unwrap_or_default() - (before - reserved);
        let spent = self.spent.add(booked);
        (Usd::from_picos(spent), Usd::from_picos(spent + booked))
    }

    /// Puts what was spent to `spent`, reserving nothing more or less.
    pub(super) fn restore(&self, spent: Usd, ends: Option<Unix>, window: u64) {
        self.forget(u64::MAX);
        self.settle(Usd::ZERO, spent);
        self.ends.swap(ends.map_or(NEVER, word));
        self.window.swap(window);
    }

    /// Takes off what was spent, at most all of it.
    pub(super) fn lower(&self, amount: Usd) {
        self.forget(amount.picos());
    }

    pub(super) fn show(&self, now: Unix) -> Shown {
        let used = self.used.load();
        let spent = self.spent.load().min(used);
        let reserved = Usd::from_picos(used - spent);
        let ends = self.ends.load();
        // Nobody has come since the window ended.
        let over = ends != 0 && word(now) >= ends;
        let spent = Usd::from_picos(if over { 0 } else { spent });
        let ends = Some(ends).filter(|ends| !over && *ends != 0 && *ends != NEVER);
        Shown {
            spent,
            reserved,
            ends: ends.map(|ends| Unix(ends.cast_signed())),
        }
    }
}

/// Times before 1970 are taken as 1970.
fn word(time: Unix) -> u64 {
    u64::try_from(time.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::atomic::AtomicU64;

    use super::*;

    type Model = Account<loom::sync::atomic::AtomicU64>;

    const LIMIT: Usd = Usd::from_picos(10);

    fn usd(picos: u64) -> Usd {
        Usd::from_picos(picos)
    }

    #[test]
    fn an_exhausted_account_reserves_nothing_not_even_nothing() {
        let account = Account::<AtomicU64>::new();
        assert!(account.reserve(LIMIT, usd(0)).is_ok());
        assert!(account.reserve(LIMIT, usd(11)).is_err());
        assert!(account.reserve(LIMIT, usd(10)).is_ok());
        assert!(account.reserve(LIMIT, usd(0)).is_err());
        assert!(account.reserve(Usd::MAX, usd(1)).is_ok());
    }

    #[test]
    fn what_is_forgiven_can_be_spent_again() {
        let account = Account::<AtomicU64>::new();
        account.reserve(LIMIT, usd(7)).unwrap();
        account.settle(usd(7), usd(7));
        account.reserve(LIMIT, usd(3)).unwrap();
        account.lower(usd(5));
        let shown = account.show(Unix(0));
        assert_eq!((shown.spent, shown.reserved), (usd(2), usd(3)));
        assert!(account.reserve(LIMIT, usd(5)).is_ok());
        account.lower(Usd::MAX);
        assert_eq!(account.show(Unix(0)).spent, usd(0));
    }

    #[test]
    fn sums_do_not_wrap() {
        let account = Account::<AtomicU64>::new();
        account.settle(usd(0), Usd::MAX);
        account.settle(usd(0), Usd::MAX);
        let shown = account.show(Unix(0));
        assert_eq!((shown.spent, shown.reserved), (Usd::MAX, usd(0)));
        assert!(account.reserve(Usd::MAX, usd(1)).is_err());
    }

    #[test]
    fn a_window_that_ended_forgets_what_was_spent_and_keeps_what_is_reserved() {
        let account = Account::<AtomicU64>::new();
        account.roll(Unix(5), 1, || Some(Unix(10)));
        account.reserve(LIMIT, usd(4)).unwrap();
        account.settle(usd(4), usd(3));
        account.reserve(LIMIT, usd(6)).unwrap();
        assert_eq!(account.show(Unix(9)).spent, usd(3));
        assert_eq!(account.show(Unix(10)).spent, usd(0));
        account.roll(Unix(10), 1, || Some(Unix(20)));
        let shown = account.show(Unix(10));
        assert_eq!(
            (shown.spent, shown.reserved, shown.ends),
            (usd(0), usd(6), Some(Unix(20)))
        );
        assert!(account.reserve(LIMIT, usd(5)).is_err());
        // A budget whose window is changed keeps its spend.
        account.settle(usd(6), usd(6));
        account.roll(Unix(10), 2, || None);
        let shown = account.show(Unix(1_000_000));
        assert_eq!(
            (shown.spent, shown.reserved, shown.ends),
            (usd(6), usd(0), None)
        );
    }

    /// Two requests over two accounts, taken in opposite order: whatever the interleaving, neither
    /// account is overspent, and nothing stays reserved.
    #[test]
    fn no_interleaving_spends_more_than_the_budgets() {
        loom::model(|| {
            let accounts = Arc::new([Model::new(), Model::new()]);
            let request = |accounts: &[Model; 2], order: [usize; 2], estimate, actual| {
                for (n, index) in order.into_iter().enumerate() {
                    if accounts[index].reserve(LIMIT, usd(estimate)).is_err() {
                        order[..n]
                            .iter()
                            .for_each(|&done| accounts[done].release(usd(estimate)));
                        return 0;
                    }
                }
                for account in accounts {
                    assert!(Atomic::load(&account.used) <= 10);
                    account.settle(usd(estimate), usd(actual));
                }
                actual
            };
            let other = Arc::clone(&accounts);
            let other = thread::spawn(move || request(&other, [1, 0], 6, 5));
            let spent = request(&accounts, [0, 1], 7, 6) + other.join().unwrap();
            for account in accounts.iter() {
                let shown = account.show(Unix(0));
                assert_eq!((shown.spent, shown.reserved), (usd(spent), usd(0)));
                assert!(spent <= 10);
            }
        });
    }

    /// A window ends while requests come and settle: nothing that is spent in the new one is lost.
    #[test]
    fn no_interleaving_loses_spend_when_a_window_ends() {
        loom::model(|| {
            let account = Arc::new(Model::new());
            account.roll(Unix(5), 1, || Some(Unix(10)));
            account.reserve(LIMIT, usd(8)).unwrap();
            account.settle(usd(8), usd(8));
            let request = |account: &Model| {
                account.roll(Unix(10), 1, || Some(Unix(20)));
                if account.reserve(LIMIT, usd(6)).is_err() {
                    return 0;
                }
                account.settle(usd(6), usd(6));
                6
            };
            let other = Arc::clone(&account);
            let other = thread::spawn(move || request(&other));
            let spent = request(&account) + other.join().unwrap();
            let shown = account.show(Unix(10));
            assert_eq!((shown.spent, shown.reserved), (usd(spent), usd(0)));
            assert!(spent <= 10);
        });
    }
}
