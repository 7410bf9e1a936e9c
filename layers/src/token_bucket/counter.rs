//! One counter of one bucket: windows and GCRA, on atomic numbers alone.

use std::time::Duration;

use super::{Rate, Shape};
use crate::sync::Atomic;

/// A window's number and its count in one word, so that both change at once. 20 bits of number are
/// two years of minutes, 44 bits of count are 17 trillion tokens.
const COUNT_BITS: u32 = 44;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const NUMBER: u64 = u64::MAX >> COUNT_BITS;

/// Parts of a window in which the share of the last one is reckoned.
const SHARE_BITS: u32 = 20;

#[derive(Debug)]
pub(super) struct Counter<A> {
    /// The counts of this window and the last one, by the parity of their numbers.
    windows: [A; 2],
    /// GCRA's theoretical arrival time in nanoseconds since the store was made.
    arrival: A,
}

/// When something was taken: the window's number, or the arrival time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp(u64);

/// What is left after a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) remaining: u64,
    /// Nanoseconds until everything is free again.
    pub(super) reset: u64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) room: Room,
    /// Nanoseconds until the same would be granted if nobody else came; `None` for never.
    pub(super) retry: Option<u64>,
}

impl<A: Atomic> Counter<A> {
    pub(super) fn new() -> Self {
        Self {
            windows: [A::new(0), A::new(0)],
            arrival: A::new(0),
        }
    }

    /// Takes `cost` at `now`, or nothing.
    pub(super) fn take(&self, now: u64, cost: u64, rate: &Rate) -> Result<(Stamp, Room), Full> {
        match rate.shape() {
            Shape::Gcra { burst } => self.take_gcra(now, cost, rate, burst),
            Shape::Sliding | Shape::Fixed => self.take_window(now, cost, rate),
        }
    }

    /// Gives back `cost` of what was taken at `stamp`, if it has not gone with time.
    pub(super) fn refund(&self, now: u64, stamp: Stamp, cost: u64, rate: &Rate) {
        let done: Result<_, ()> = match rate.shape() {
            Shape::Gcra { .. } => {
                // What was taken at `stamp` has drained by then.
                let back = rate.time_of(cost).min(stamp.0.saturating_sub(now));
                self.arrival
                    .try_change(|arrival| Ok(arrival.saturating_sub(back)))
            }
            Shape::Sliding | Shape::Fixed => self.window(stamp.0).try_change(|word| {
                let same = number(word) == stamp.0 & NUMBER;
                let back = if same { cost.min(word & COUNT) } else { 0 };
                Ok(word - back)
            }),
        };
        debug_assert!(done.is_ok(), "a refund is never refused");
    }

    /// Takes `cost` at `now` even if there is no room: it has been used already.
    pub(super) fn book(&self, now: u64, cost: u64, rate: &Rate) {
        let done: Result<_, ()> = match rate.shape() {
            Shape::Gcra { .. } => {
                let time = rate.time_of(cost);
                self.arrival
                    .try_change(|arrival| Ok(arrival.max(now).saturating_add(time)))
            }
            Shape::Sliding | Shape::Fixed => {
                let at = self.locate(now, rate.nanos());
                self.window(at.number).try_change(|word| {
                    let count = at.count_in(word).saturating_add(cost).min(COUNT);
                    Ok(at.word(count))
                })
            }
        };
        debug_assert!(done.is_ok(), "a booking is never refused");
    }

    /// Whether GCRA's debt is paid. Windows need no look: they end by themselves.
    pub(super) fn is_drained(&self, now: u64) -> bool {
        self.arrival.load() <= now
    }

    /// What is left at `now`.
    pub(super) fn room(&self, now: u64, rate: &Rate) -> Room {
        match rate.shape() {
            Shape::Gcra { burst } => {
                let ahead = self.arrival.load().saturating_sub(now);
                let free = rate.time_of(burst).saturating_sub(ahead);
                Room {
                    remaining: rate.cost_of(free).min(burst),
                    reset: ahead,
                }
            }
            Shape::Sliding | Shape::Fixed => {
                let at = self.locate(now, rate.nanos());
                let used = at.count_in(self.window(at.number).load()) + self.carried(&at, rate);
                at.room(used, rate)
            }
        }
    }

    fn take_gcra(
        &self,
        now: u64,
        cost: u64,
        rate: &Rate,
        burst: u64,
    ) -> Result<(Stamp, Room), Full> {
        let (time, allowed) = (rate.time_of(cost), rate.time_of(burst));
        let ahead_of = |arrival: u64| arrival.max(now).saturating_add(time) - now;
        let before = self.arrival.try_change(|arrival| {
            let ahead = ahead_of(arrival);
            if ahead <= allowed {
                return Ok(now + ahead);
            }
            let reset = arrival.saturating_sub(now);
            let remaining = rate.cost_of(allowed.saturating_sub(reset)).min(burst);
            let retry = (time <= allowed).then_some(ahead - allowed);
            Err(Full {
                room: Room { remaining, reset },
                retry,
            })
        })?;
        let ahead = ahead_of(before);
        let remaining = rate.cost_of(allowed - ahead).min(burst);
        Ok((
            Stamp(now + ahead),
            Room {
                remaining,
                reset: ahead,
            },
        ))
    }

    fn take_window(&self, now: u64, cost: u64, rate: &Rate) -> Result<(Stamp, Room), Full> {
        let at = self.locate(now, rate.nanos());
        let carried = self.carried(&at, rate);
        let before = self.window(at.number).try_change(|word| {
            let count = at.count_in(word);
            let used = count.saturating_add(carried);
            if used.saturating_add(cost) <= rate.max.min(COUNT) {
                return Ok(at.word(count + cost));
            }
            let last = self.last(&at, rate);
            let retry = at.retry(count, last, cost, rate);
            Err(Full {
                room: at.room(used, rate),
                retry,
            })
        })?;
        let used = at.count_in(before) + carried + cost;
        Ok((Stamp(at.number), at.room(used, rate)))
    }

    fn window(&self, number: u64) -> &A {
        &self.windows[usize::from(number % 2 == 1)]
    }

    /// The window of `now`. A thread that was held up since it read the clock, while others began
    /// the next window, counts at the beginning of that one.
    fn locate(&self, now: u64, length: u64) -> At {
        let at = At {
            number: now / length,
            into: now % length,
            length,
        };
        let next = at.number + 1;
        if number(self.window(next).load()) == next & NUMBER {
            return At {
                number: next,
                into: 0,
                length,
            };
        }
        at
    }

    /// The share of the last window's count that still lies within one length before now.
    fn carried(&self, at: &At, rate: &Rate) -> u64 {
        match self.last(at, rate) {
            0 => 0,
            last => share(last, at.length - at.into, at.length),
        }
    }

    /// The last window's count, as far as it matters.
    fn last(&self, at: &At, rate: &Rate) -> u64 {
        let word = self.window(at.number + 1).load();
        // The very first window has none before it, whatever an untouched word looks like.
        let none = at.number == 0 || number(word) != (at.number - 1) & NUMBER;
        if none || rate.shape() == Shape::Fixed {
            0
        } else {
            word & COUNT
        }
    }
}

/// A point in time as windows see it.
struct At {
    number: u64,
    into: u64,
    length: u64,
}

impl At {
    fn count_in(&self, word: u64) -> u64 {
        if number(word) == self.number & NUMBER {
            word & COUNT
        } else {
            0
        }
    }

    fn word(&self, count: u64) -> u64 {
        (self.number & NUMBER) << COUNT_BITS | count
    }

    fn room(&self, used: u64, rate: &Rate) -> Room {
        Room {
            remaining: rate.max.saturating_sub(used),
            reset: self.length - self.into,
        }
    }

    /// How long until `cost` fits beside `count` of this window and what is carried of `last`.
    fn retry(&self, count: u64, last: u64, cost: u64, rate: &Rate) -> Option<u64> {
        let spare = rate.max.checked_sub(cost)?;
        let rest = self.length - self.into;
        if count <= spare {
            let wait = self.fades_to(spare - count, last).saturating_sub(self.into);
            return Some(wait.clamp(1, rest));
        }
        if rate.shape() == Shape::Fixed {
            return Some(rest);
        }
        Some(rest + self.fades_to(spare, count))
    }

    /// How far into a window the share of the last one's `count` has fallen to `free`.
    fn fades_to(&self, free: u64, count: u64) -> u64 {
        let left = u128::from(free) * u128::from(self.length) / u128::from(count.max(1));
        let rounding = 2 * (self.length >> SHARE_BITS) + 1;
        self.length
            .saturating_sub(narrow(left))
            .saturating_add(rounding)
            .min(self.length)
    }
}

fn number(word: u64) -> u64 {
    word >> COUNT_BITS
}

/// `count` × `left` ÷ `length`, rounded up to be on the safe side.
fn share(count: u64, left: u64, length: u64) -> u64 {
    let parts = match left
        .checked_shl(SHARE_BITS)
        .filter(|_| left.leading_zeros() >= SHARE_BITS)
    {
        Some(shifted) => shifted.div_ceil(length),
        None => left.div_ceil((length >> SHARE_BITS).max(1)),
    };
    let product = u128::from(count) * u128::from(parts.min(1 << SHARE_BITS));
    narrow((product + ((1 << SHARE_BITS) - 1)) >> SHARE_BITS).min(count)
}

/// `whole` × `of` ÷ `all`, rounded up.
fn part(whole: u64, of: u64, all: u64) -> u64 {
    narrow((u128::from(whole) * u128::from(of)).div_ceil(u128::from(all)))
}

fn narrow(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}

impl Rate {
    pub(super) fn nanos(&self) -> u64 {
        self.nanos.get()
    }

    /// The time in which GCRA lets `cost` drain.
    fn time_of(&self, cost: u64) -> u64 {
        let max = self.max.max(1);
        match self.nanos().checked_mul(cost) {
            Some(product) => product.div_ceil(max),
            None => part(self.nanos(), cost, max),
        }
    }

    /// What drains in `time`.
    fn cost_of(&self, time: u64) -> u64 {
        match time.checked_mul(self.max) {
            Some(product) => product / self.nanos(),
            None => narrow(u128::from(time) * u128::from(self.max) / u128::from(self.nanos())),
        }
    }
}

pub(super) fn duration(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;

    fn counter() -> Counter<AtomicU64> {
        Counter::new()
    }

    fn taken(counter: &Counter<AtomicU64>, now: u64, rate: &Rate, tries: usize) -> usize {
        (0..tries)
            .filter(|_| counter.take(now, 1, rate).is_ok())
            .count()
    }

    #[test]
    fn a_sliding_window_lets_go_of_the_last_one_little_by_little() {
        let (counter, rate) = (counter(), Rate::per_minute(60));
        assert_eq!(taken(&counter, 10 * MINUTE, &rate, 100), 60);
        assert_eq!(taken(&counter, 11 * MINUTE - 1, &rate, 100), 0);
        // Half of the last minute still counts.
        assert_eq!(taken(&counter, 11 * MINUTE + 30 * SECOND, &rate, 100), 30);
        assert_eq!(taken(&counter, 13 * MINUTE, &rate, 100), 60);
    }

    #[test]
    fn a_fixed_window_begins_anew() {
        let (counter, rate) = (counter(), Rate::per_minute(60).fixed());
        assert_eq!(taken(&counter, 10 * MINUTE, &rate, 100), 60);
        assert_eq!(taken(&counter, 11 * MINUTE, &rate, 100), 60);
    }

    #[test]
    fn gcra_grants_a_burst_and_then_one_at_a_time() {
        let (counter, rate) = (counter(), Rate::gcra(60, Duration::from_mins(1), 10));
        assert_eq!(taken(&counter, 10 * MINUTE, &rate, 100), 10);
        assert_eq!(taken(&counter, 10 * MINUTE + SECOND, &rate, 100), 1);
        assert_eq!(taken(&counter, 10 * MINUTE + 3 * SECOND, &rate, 100), 2);
    }

    #[test]
    fn a_refusal_says_when_to_come_again_and_keeps_its_word() {
        let rates = [
            Rate::per_minute(60),
            Rate::per_minute(60).fixed(),
            Rate::gcra(60, Duration::from_mins(1), 10),
        ];
        for rate in rates {
            let counter = counter();
            let mut now = 10 * MINUTE + 20 * SECOND;
            for cost in [7, 1, 5, 10, 3, 9, 2, 8, 4, 6, 10, 10, 10, 10, 7] {
                if let Err(full) = counter.take(now, cost, &rate) {
                    let retry = full.retry.unwrap();
                    assert!(counter.take(now + retry / 2, cost, &rate).is_err() || retry < 1000);
                    now += retry;
                    counter.take(now, cost, &rate).unwrap();
                }
            }
            assert_eq!(counter.take(now, 100, &rate).unwrap_err().retry, None);
        }
    }

    /// The same as the counter, in the open: every take with its time.
    #[derive(Default)]
    struct Plain(Vec<(u64, u64)>);

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Wait(u64),
        Take(u64),
        Refund { nth: usize, cost: u64 },
        Book(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40 * SECOND).prop_map(Step::Wait),
            (1..40_u64).prop_map(Step::Take),
            (any::<usize>(), 0..80_u64).prop_map(|(nth, cost)| Step::Refund { nth, cost }),
            (1..20_u64).prop_map(Step::Book),
        ]
    }

    fn shape() -> impl Strategy<Value = Rate> {
        prop_oneof![
            Just(Rate::per_minute(100)),
            Just(Rate::per_minute(100).fixed()),
            Just(Rate::gcra(100, Duration::from_mins(1), 50)),
        ]
    }

    proptest! {
        /// No window is granted more than its limit, and refunds never exceed takes.
        #[test]
        fn a_window_never_grants_more_than_its_limit(
            rate in shape(),
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let counter = counter();
            let (mut now, mut plain, mut stamps) = (10 * MINUTE, Plain::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Wait(time) => now += time,
                    Step::Take(cost) => {
                        let room = counter.room(now, &rate).remaining;
                        let took = counter.take(now, cost, &rate);
                        // Rounding in GCRA's favour may differ from its own report by one.
                        prop_assert!(took.is_err() || room + 1 >= cost);
                        if let Ok((stamp, _)) = took {
                            plain.0.push((now, cost));
                            stamps.push((plain.0.len() - 1, stamp));
                        }
                    }
                    Step::Refund { nth, cost } => {
                        if !stamps.is_empty() {
                            let (entry, stamp) = stamps.swap_remove(nth % stamps.len());
                            let cost = cost.min(plain.0[entry].1);
                            counter.refund(now, stamp, cost, &rate);
                            plain.0[entry].1 -= cost;
                        }
                    }
                    Step::Book(cost) => counter.book(now, cost, &rate),
                }
                let granted = |from: u64, to: u64| -> u64 {
                    plain.0.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, n)| n).sum()
                };
                let most = match rate.shape() {
                    // Within any minute: the burst and what drained meanwhile.
                    Shape::Gcra { burst } => burst + rate.max,
                    _ => rate.max,
                };
                let from = match rate.shape() {
                    Shape::Gcra { .. } => now - MINUTE,
                    _ => now - now % MINUTE,
                };
                prop_assert!(granted(from, now) <= most);
            }
        }

        /// To take and to give back is to do nothing.
        #[test]
        fn a_refund_undoes_its_take(rate in shape(), first in 1..50_u64, cost in 1..50_u64) {
            let counter = counter();
            let now = 10 * MINUTE + 7;
            counter.take(now, first, &rate).unwrap();
            let before = counter.room(now, &rate);
            if let Ok((stamp, _)) = counter.take(now, cost, &rate) {
                counter.refund(now, stamp, cost, &rate);
                let after = counter.room(now, &rate);
                prop_assert!(after.remaining == before.remaining);
            }
        }
    }

    /// Every interleaving of two threads that take, refund and book around a window's end.
    #[test]
    fn no_interleaving_grants_more_than_the_limit() {
        for rate in [
            Rate::per_minute(3),
            Rate::gcra(3, Duration::from_mins(1), 3),
        ] {
            loom::model(move || {
                let counter = loom::sync::Arc::new(Counter::<loom::sync::atomic::AtomicU64>::new());
                let run = move |counter: &Counter<_>| {
                    let first = counter.take(10 * MINUTE, 2, &rate);
                    if let Ok((stamp, _)) = first {
                        counter.refund(10 * MINUTE, stamp, 1, &rate);
                    }
                    u64::from(first.is_ok())
                        + u64::from(counter.take(10 * MINUTE, 1, &rate).is_ok())
                };
                let other = {
                    let counter = loom::sync::Arc::clone(&counter);
                    loom::thread::spawn(move || run(&counter))
                };
                let granted = run(&counter) + other.join().unwrap();
                let left = counter.room(10 * MINUTE, &rate).remaining;
                assert!(
                    granted <= 3 && left + granted == 3,
                    "{granted} granted, {left} left"
                );
            });
        }
    }
}
