//! Counts over the last minute that many threads add to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::routing::moment::Moment;

const SLOTS: u64 = 16;
const CELLS: usize = 16;
const SLOT_NANOS: u64 = 4_000_000_000;
/// After so many whole seconds nothing counts any more.
pub(super) const LONGEST_SECONDS: u16 = 65;
const _: () = assert!(SLOTS * SLOT_NANOS < LONGEST_SECONDS as u64 * 1_000_000_000);
const VALUE_BITS: u32 = 48;
const VALUE: u64 = (1 << VALUE_BITS) - 1;

/// Sliding windows of a minute, in sixteen slots of four seconds, of several counts that are looked
/// at together.
///
/// What is counted stays for at least 60 s and at most 64 s, so a limit that
/// [`take`](Self::take) keeps holds over *every* span of a minute, wherever it begins. Reading is
/// two loads. Counting is two compare-and-swaps; the first one to come in a new slot clears the old
/// ones, and whoever comes meanwhile counts too much rather than too little.
#[derive(Debug)]
#[repr(C)]
pub struct Windows<const N: usize> {
    /// The newest slot that was opened.
    head: AtomicU64,
    sums: [AtomicU64; N],
    /// Of each slot the lap on which it was opened, and its value.
    slots: [[AtomicU64; CELLS]; N],
}

impl<const N: usize> Default for Windows<N> {
    fn default() -> Self {
        Self {
            head: AtomicU64::new(0),
            sums: std::array::from_fn(|_| AtomicU64::new(0)),
            slots: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }
}

impl<const N: usize> Windows<N> {
    /// What was counted within the last minute.
    #[inline]
    pub fn used(&self, now: Moment) -> [u64; N] {
        self.turn(slot_of(now));
        std::array::from_fn(|which| self.sums[which].load(Relaxed))
    }

    /// Counts `amount` if that leaves the sum at or below `limit`. Gives the slot for
    /// [`give_back`](Self::give_back).
    pub fn take(&self, which: usize, amount: u64, limit: u64, now: Moment) -> Option<u64> {
        let slot = slot_of(now);
        self.turn(slot);
        self.sums[which]
            .try_update(Relaxed, Relaxed, |sum| {
                sum.checked_add(amount).filter(|after| *after <= limit)
            })
            .ok()?;
        self.put(which, slot, amount);
        Some(slot)
    }

    /// Counts `amount`, whatever the limit.
    pub fn add(&self, which: usize, amount: u64, now: Moment) {
        let slot = slot_of(now);
        self.turn(slot);
        self.sums[which].fetch_add(amount, Relaxed);
        self.put(which, slot, amount);
    }

    /// Takes `amount` of what was counted in `slot` back, unless that has gone by.
    pub fn give_back(&self, which: usize, amount: u64, slot: u64) {
        let taken = self.cell(which, slot).try_update(Relaxed, Relaxed, |held| {
            (lap(held) == lap_of(slot) && value(held) >= amount).then(|| held - amount)
        });
        if taken.is_ok() {
            self.sums[which].fetch_sub(amount, Relaxed);
        }
    }

    /// When there will be room for `amount` below `limit` if nothing more is counted; `None` if
    /// `amount` alone is too much.
    pub fn room_at(&self, which: usize, amount: u64, limit: u64, now: Moment) -> Option<Moment> {
        if amount > limit {
            return None;
        }
        let newest = slot_of(now);
        self.turn(newest);
        let mut sum = self.sums[which].load(Relaxed);
        let mut slot = newest.saturating_sub(SLOTS - 1);
        let mut at = now;
        while sum.saturating_add(amount) > limit && slot <= newest {
            let held = self.cell(which, slot).load(Relaxed);
            if lap(held) == lap_of(slot) {
                sum = sum.saturating_sub(value(held));
            }
            at = Moment((slot + SLOTS) * SLOT_NANOS);
            slot += 1;
        }
        Some(at)
    }

    /// Opens the slots up to this one and drops what stood in them a lap ago.
    #[inline]
    fn turn(&self, slot: u64) {
        let head = self.head.load(Relaxed);
        if head < slot {
            self.open(head, slot);
        }
    }

    #[cold]
    fn open(&self, head: u64, slot: u64) {
        if self
            .head
            .compare_exchange(head, slot, Relaxed, Relaxed)
            .is_err()
        {
            return;
        }
        for slot in slot.saturating_sub(SLOTS - 1).max(head + 1)..=slot {
            for which in 0..N {
                self.put(which, slot, 0);
            }
        }
    }

    fn put(&self, which: usize, slot: u64, amount: u64) {
        let lap_here = lap_of(slot);
        let put = self.cell(which, slot).try_update(Relaxed, Relaxed, |held| {
            let kept = if lap(held) == lap_here {
                value(held)
            } else {
                0
            };
            Some(lap_here << VALUE_BITS | kept.saturating_add(amount).min(VALUE))
        });
        let before = put.unwrap_or_else(|held| held);
        if lap(before) != lap_here {
            self.sums[which].fetch_sub(value(before), Relaxed);
        }
    }

    fn cell(&self, which: usize, slot: u64) -> &AtomicU64 {
        &self.slots[which][usize::try_from(slot % SLOTS).unwrap_or(0)]
    }
}

fn slot_of(now: Moment) -> u64 {
    now.0 / SLOT_NANOS
}

/// Laps repeat after 48 days, when nobody remembers.
fn lap_of(slot: u64) -> u64 {
    (slot / SLOTS) & 0xffff
}

fn lap(held: u64) -> u64 {
    held >> VALUE_BITS
}

fn value(held: u64) -> u64 {
    held & VALUE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Moment {
        Moment(0).plus(Duration::from_secs_f64(120.0 + seconds))
    }

    #[test]
    fn a_minute_later_it_is_forgotten() {
        let window = Windows::<1>::default();
        assert!(window.take(0, 60, 60, at(0.0)).is_some());
        assert_eq!(window.take(0, 1, 60, at(59.9)), None);
        assert_eq!(window.used(at(59.9))[0], 60);
        assert!(window.take(0, 60, 60, at(64.0)).is_some());
        assert_eq!(window.used(at(1_000.0))[0], 0);
    }

    #[test]
    fn what_was_not_needed_is_given_back_while_it_counts() {
        let window = Windows::<1>::default();
        let slot = window.take(0, 500, 1_000, at(0.0)).unwrap();
        window.give_back(0, 300, slot);
        assert_eq!(window.used(at(30.0))[0], 200);
        assert_eq!(window.used(at(70.0))[0], 0);
        window.give_back(0, 200, slot);
        assert_eq!(window.used(at(70.0))[0], 0);
    }

    #[test]
    fn it_says_when_there_is_room() {
        let window = Windows::<1>::default();
        window.add(0, 30, at(0.0));
        window.add(0, 30, at(20.0));
        assert_eq!(window.room_at(0, 10, 100, at(30.0)), Some(at(30.0)));
        assert_eq!(window.room_at(0, 10, 60, at(30.0)), Some(at(64.0)));
        assert_eq!(window.room_at(0, 40, 60, at(30.0)), Some(at(84.0)));
        assert_eq!(window.room_at(0, 61, 60, at(30.0)), None);
    }

    #[test]
    fn threads_together_never_take_more_than_the_limit() {
        let window = Windows::<1>::default();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..500)
                            .filter(|n| {
                                window
                                    .take(0, 1, 777, at(f64::from(*n) / 500.0 * 30.0))
                                    .is_some()
                            })
                            .count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 777);
    }

    proptest! {
        #[test]
        fn no_minute_anywhere_has_more_than_the_limit(
            steps in proptest::collection::vec((0.0..20.0f64, 1u64..40), 1..200),
            limit in 1u64..100,
        ) {
            let window = Windows::<1>::default();
            let mut granted: Vec<(f64, u64)> = Vec::new();
            let mut clock = 0.0;
            for (pause, amount) in steps {
                clock += pause;
                if window.take(0, amount, limit, at(clock)).is_some() {
                    granted.push((clock, amount));
                }
                let minute: u64 = granted.iter().filter(|(then, _)| *then > clock - 60.0).map(|(_, n)| n).sum();
                prop_assert!(minute <= limit);
                prop_assert!(window.used(at(clock))[0] >= minute);
                let longer: u64 = granted.iter().filter(|(then, _)| *then > clock - 64.0).map(|(_, n)| n).sum();
                prop_assert!(window.used(at(clock))[0] <= longer);
            }
        }
    }
}
